// Package migrate keeps the schema of a preparation repository at the version that this program needs. Each engine has
// a directory of numbered pairs of SQL files, embedded here, with the same versions in each.
//
// A change of the schema takes a lock that all processes share, so any number of them may start at once.
//
// A file and the version that it leads to are one transaction. A failure or a crash at any point leaves the version
// before the file or the one after it, never something in between. An empty database gets all files in one
// transaction. Hence no file may begin or end a transaction, nor hold a statement that can't run inside one, such
// as VACUUM or CREATE INDEX CONCURRENTLY: there is no way to exempt a file. Cancelling a context takes effect
// before the next file.
//
// Reverting a migration may drop tables. If they have rows, that needs WithDestroyData, unless the same files copy
// the rows into another table first. The statements decide this: a down file drops with DROP TABLE, and moves rows
// with ALTER TABLE ... RENAME TO and INSERT INTO ... SELECT ... FROM.
//
// Other tools follow golang-migrate's protocol, which marks the schema dirty while a migration runs, and may leave
// that mark behind. Nothing goes on then until an operator has looked at the schema and called Force.
//
// The lock of PostgreSQL belongs to a session. Behind a pooler that shares sessions between transactions, such as
// PgBouncer in transaction mode, migrate through a URL that leads straight to the server; see WithDirect. A schema
// of the server that does not exist yet is created in the transaction of the first migration, and rolled back with
// it.
package migrate
