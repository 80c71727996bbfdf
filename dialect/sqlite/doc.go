// Package sqlite is the engine SQLite: database files, their locks and logs of changes, errors, and archives, which
// keep a repository in one file that proves itself.
package sqlite
