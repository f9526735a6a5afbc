// Package portal is the server's face: web pages and the JSON API over the same core.
package portal
