// Package migrate keeps the schema of a preparation repository at the version that this program needs. Each engine has
// a directory of numbered pairs of SQL files, embedded here, with the same versions in each.
//
// Whoever changes the schema first takes a lock that all processes share, so that any number of them may start at once.
// A migration that fails leaves the schema marked dirty, and nothing goes on until somebody has looked at it and has
// called Force. A started migration is always finished: cancelling a context takes effect before the next one, since
// stopping inside one would leave the schema dirty.
//
// The lock of PostgreSQL belongs to a session. Behind a pooler that shares sessions between transactions, such as
// PgBouncer in transaction mode, migrate through a URL that leads straight to the server.
package migrate
