// Package dialect holds what differs between the engines that a preparation repository runs on, and nothing else: how
// to name, open and tune a database, placeholders, the row lock of a claim, bulk inserts, the classes of errors, the
// lock of a run, and how to set a copy aside. Callers ask a Dialect for a capability and never for an engine's name.
package dialect
