// Command bench measures `guppy prepare` against what the machine can do at all, and prints how the results compare
// with the project's targets. It is a measurement, not a test: a missed target is shown as "over", and the exit
// code is 0 unless a run failed or gave a wrong result.
//
// The corpora are made from a seed. "small" has 20,000 files of 0 to 16 KiB in 100 directories, "big" two files of
// 1 GiB and one of 300 MiB and 123 bytes. They lie in a temporary directory, on /dev/shm if that is a tmpfs with
// room. So do the databases, the PostgreSQL server's data, and everything that is written: both sides use one file
// system and read from memory.
//
// The limit program (this one, as `bench limit`) reads every file once with 2 goroutines, hashes each byte twice
// with SHA-256, as a block and as part of a shard, and writes the same bytes to files, without fsync; see limit.go.
// guppy is built and run as its users do, with its defaults, on a new database each time. The PostgreSQL database
// exists already, but making the tables is part of the run. The server has its default settings, including fsync.
//
// Programs take turns, so that a busy machine slows all of them. The first round is not counted, and the medians of
// the others are compared. Peak memory is the highest of all runs, as the kernel accounts for the process; the
// server's memory is not included. The size of a database is that of all tables and indexes, less that of an empty
// database. All runs on a corpus must give the same root and the same shards, on every engine.
//
// More experiments follow (see -only), each with a baseline that runs beside it:
//   - roundtrip: guppy with a server that is 5 ms away in each direction, behind a proxy that delays and does not
//     limit, against the same server near by. The proxy is part of the cost. The tables are made before, as
//     operators do.
//   - workers: in this process, sources that take 5 ms longer for each open, read and listing. 1,200 small files in
//     many shards are read one by one by 1, 2 and 4 workers, and by 4 jobs with their own connections; "small" is
//     prepared by 1 worker with the default read-ahead, late and local.
//   - transfer: 1,000,000 nodes are copied from each engine to the other, as guppy transfer does, read back and
//     compared. Beside it as many nodes are inserted into the same engine, as packing does.
//   - pieces: guppy with piece CIDs against guppy without, on the first of the engines. Both compute on all CPUs.
//   - retrieve: guppy retrieve against cp -r of the source; guppy verify --deep against this program as `bench
//     hash`, which hashes the shards in one goroutine; guppy export against cp -r of the shards.
//   - sync: guppy store sync into an empty directory, which compares each file with its digest, against cp -r of the
//     shards, and against cp -r and this program as `bench hash`, on the first of the engines.
//   - replica: guppy prepare --replica into an empty directory, against guppy and then cp -r of the shards, on the
//     first of the engines.
//   - distance, which runs only when asked for: guppy with a PostgreSQL server, an S3 store (versitygw, see
//     GUPPY_TEST_VERSITYGW), and both, behind proxies that add a round trip (see -away), with some numbers of workers
//     (see -workers), against the same without latency. The proxies are part of the cost of all. "waits" is the time
//     that the distance adds, in round trips. The proxies count round trips to the database, and requests to the
//     store. They limit no connection, as the window of TCP does over real distances, and nothing is encrypted.
//   - lookup, which also runs only when asked for: 32,768 digests among 10 million nodes, sealed as packing does. Cold
//     is the first look-up after the server was restarted and the database opened. What the system caches of files
//     stays, and everything is in memory if the directory is on a tmpfs.
//   - scale, which also runs only when asked for: the queries that runs make all the time, in generated repositories of
//     several sizes (see -entries) with ten times as many nodes. All sizes take turns, each on a server of its own, and
//     the largest is compared with the smallest. With -dir on a disk the database is on that disk, and as much of it in
//     memory as the system caches; with -cold nothing of it. A repository of 10 million entries is filled in 11 minutes
//     on PostgreSQL and 27 on SQLite, on a busy machine. With -filled it is kept, and the next run with that directory
//     measures it again: sealing makes it grow by a shard a round.
//   - rescan, also when asked for: runs that find nothing changed, in generated sources of several sizes (see -entries)
//     that were prepared before. Files are generated as they are read. All sizes take turns, each on a server of its
//     own, and the largest is compared with the smallest.
//   - snapshots, also when asked for: ten runs of a generated source, of which a hundredth changes before each. Three
//     snapshots are kept, and older ones removed. Autovacuum looks each second, as if runs were hours apart, and is
//     waited for. The size of all tables and indexes is then compared with what it is once they are written again. -sql
//     has statements that are carried out before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()

	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs one of the programs to compare with if the arguments name it, otherwise the benchmark.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == limitCommand {
		return runLimit(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == hashCommand {
		return runHash(ctx, args[1:])
	}

	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}

	result, err := measureAll(ctx, o, stderr)
	if err != nil {
		return err
	}

	return o.format(stdout, result)
}
