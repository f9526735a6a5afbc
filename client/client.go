// Package client speaks the server's JSON API, for the command line.
package client
