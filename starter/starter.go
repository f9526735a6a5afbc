// Package starter holds the embedded starter kit: a first zones repository,
// its settings and the policies in force where an organisation has none.
package starter
