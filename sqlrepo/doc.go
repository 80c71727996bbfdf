// Package sqlrepo is the preparation repository: all that is known about spaces, sources, uploads and their
// content, in a SQL database. It runs on every engine that package dialect knows and stores the same rows on each.
// It knows neither file systems nor CAR files.
//
// Open a database with dialect.Open, bring its schema up to date with package migrate, then call New.
package sqlrepo
