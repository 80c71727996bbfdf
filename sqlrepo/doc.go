// Package sqlrepo is the preparation repository: all that is known about spaces, sources, uploads and their
// content, in a SQL database. It runs on every engine that package dialect knows and stores the same rows on each.
// It knows neither file systems nor CAR files.
//
// Open a database with dialect.Open, bring its schema up to date with package migrate, then call New.
//
// The packages audit, removal and copying below this one work on the same rows. Functions that take a core.Tx or a
// core.Queryer, or that return parts of statements, are for these packages.
package sqlrepo
