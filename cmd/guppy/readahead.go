package main

import "github.com/guppy-prep/guppy/internal/config"

// mostReads bounds the reads under way in the process: each of a file system that hangs has a thread waiting.
const mostReads = 4096

// readAhead is how many reads are under way for each shard: as the configuration says, as far as the process may have
// so many files open and threads waiting.
func readAhead(cfg *config.Config) int {
	most := mostReads
	if limit, known := openFileLimit(); known {
		most = min(most, int(limit/2)) // the rest is for the database, the store and the walk
	}
	return max(1, min(cfg.Prepare.ReadAhead, most/workers(cfg)))
}
