package main

import "context"

// experiment measures one thing and adds the results to the report.
type experiment struct {
	name string
	// room is the most space that it takes, beside the chosen corpora.
	room    int64
	measure func(ctx context.Context, b *bench, r *report) error
}

// usual lists the experiments that run unless others are asked for.
const usual = "prepare,roundtrip,workers,transfer,pieces,retrieve,sync,replica"

// experiments returns all experiments. The source of the snapshots has the first of the sizes of scales, in entries.
// The statements are carried out before the snapshots.
func experiments(scales scales, far distances, statements string) []experiment {
	workers, lookups, transfers := newWorkers(), newLookups(), newTransfers()
	rescans, snapshots := rescans{scales.sizes}, newSnapshotSeries(first(scales.sizes), statements)
	return []experiment{
		{"prepare", 0, measurePrepare},
		{"roundtrip", 0, newRoundTrips().measure},
		{"workers", workers.room(), workers.measure},
		{"transfer", transfers.room(), transfers.measure},
		{"pieces", 0, measurePieces},
		{"retrieve", 0, measureRetrieve},
		{"sync", 0, measureSync},
		{"replica", 0, measureReplica},
		{"distance", far.room(), far.measure},
		{"lookup", lookups.room(), lookups.measure},
		{"scale", scales.room(), scales.measure},
		{"rescan", rescans.room(), rescans.measure},
		{"snapshots", snapshots.room(), snapshots.measure},
	}
}

func first(sizes []int) int {
	if len(sizes) == 0 {
		return leastEntries
	}
	return sizes[0]
}
