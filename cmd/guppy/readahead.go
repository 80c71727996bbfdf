package main

import "github.com/guppy-prep/guppy/internal/config"

// mostReads limits the reads under way in the process, because each read of a hanging file system keeps a thread
// waiting.
const mostReads = 4096

// readAhead returns the number of reads under way for each shard. It is the configured number, unless the process
// may not have so many files open or threads waiting.
func readAhead(cfg *config.Config) int {
	bound := mostReads
	if limit, known := openFileLimit(); known {
		// The other half is for the database, the store and the walk.
		bound = min(bound, int(limit/2))
	}

	return max(1, min(cfg.Prepare.ReadAhead, bound/workers(cfg)))
}
