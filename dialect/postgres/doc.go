// Package postgres is the engine PostgreSQL, 13 and later: how to name, open and tune a database, its locks, which may
// be lost, statements that are sent several at a time, poolers, errors and what an operator can do about them.
package postgres
