package pipeline_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestRoundTripsGrowWithPagesNotWithFiles compares the statements for a thousand files with those for ten thousand,
// which also fit one shard, on an engine that is a server. Each pass over the files reads and writes five more pages,
// and nothing else.
func TestRoundTripsGrowWithPagesNotWithFiles(t *testing.T) {
	few := sourcetest.Tree{Dirs: 10, Files: 100, Size: 9, Seed: 1}
	many := sourcetest.Tree{Dirs: 100, Files: 100, Size: 9, Seed: 1}
	server := enginetest.Engines()[1]
	compareTrips(t, server, few, many, trips{statements: 60, inserts: 3000})
}

// trips counts what preparing a tree takes. On an engine without COPY, a bulk insert runs a statement several times
// with some rows each: inserts counts the runs. Such a statement counts once in each transaction, as a COPY does
// elsewhere.
type trips struct{ statements, inserts int }

// compareTrips checks that the larger tree takes only a few more trips than the smaller one, when it is prepared
// first and when it is prepared again unchanged. The bounds leave room for the statements that watch locks from
// time to time.
func compareTrips(t *testing.T, engine enginetest.Engine, smaller, larger sourcetest.Tree, more trips) {
	t.Helper()
	base, got := countTrips(t, engine, smaller), countTrips(t, engine, larger)
	for i, upload := range []string{"first upload", "unchanged second upload"} {
		t.Logf("%s: %+v, then %+v", upload, base[i], got[i])
		atMost(t, upload+": statements", got[i].statements, base[i].statements+more.statements)
		atMost(t, upload+": runs of bulk inserts", got[i].inserts, base[i].inserts+more.inserts)
	}
}

// countTrips prepares a tree, and then once more unchanged.
func countTrips(t *testing.T, engine enginetest.Engine, tree sourcetest.Tree) (uploads [2]trips) {
	t.Helper()
	var recorder enginetest.Recorder
	f := newFixture(t, engine.Record(t, &recorder), sourcetest.NewSynthetic(tree), sourcetest.Root,
		func(j *pipeline.Job) { j.Fresh.ShardSize = 254 << 20 })
	for i := range uploads {
		recorder.Reset()
		upload := f.complete()
		equal(t, "files", upload.Files, int64(max(tree.Dirs, 1)*tree.Files))

		for _, times := range recorder.Statements() {
			uploads[i].statements += times
		}
		uploads[i].inserts = recorder.Rerun()
		if uploads[i].statements < 30 {
			t.Errorf("only %d statements were seen", uploads[i].statements)
		}
	}

	return uploads
}

func atMost(t *testing.T, what string, got, limit int) {
	t.Helper()
	if got > limit {
		t.Errorf("%s: %d, more than %d", what, got, limit)
	}
}
