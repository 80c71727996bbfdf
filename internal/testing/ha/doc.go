// Package ha runs a PostgreSQL cluster that fails over, for tests: three servers under Patroni and etcd, reached
// through HAProxy. Its programs run on loopback, in a temporary directory, as an unprivileged user, and end with the
// test, even if the test is killed.
package ha
