package gc_test

import (
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

var benchNodes = flag.Int("gc.nodes", 1_000_000, "how many nodes the removed upload of the benchmark has")

// BenchmarkRemovalBesideAWriter removes an upload of many nodes and entries while a writer commits small changes all
// the time, over connections of its own. It reports the longest wait of the writer, with the removal and without.
func BenchmarkRemovalBesideAWriter(b *testing.B) {
	for _, engine := range enginetest.Engines() {
		b.Run(engine.Name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				settings := engine.Settings(b)
				f := newFixture(b, enginetest.MustOpen(b, settings), 2)
				upload := f.fill(0, *benchNodes)
				writer := newWriter(b, enginetest.MustOpen(b, settings), f.jobs[1].Source.ID)
				must(b, removal.New(f.repo).RemoveUpload(b.Context(), upload))

				alone := writer.during(func() error { return pass(b.Context(), 5*time.Second) })
				b.StartTimer()
				rows := int64(0)
				beside := writer.during(func() error {
					sum, err := f.collector().Collect(b.Context(), f.space.ID)
					rows = sum.Rows
					return err
				})

				b.StopTimer()
				b.ReportMetric(float64(rows), "rows")
				b.ReportMetric(alone.longest.Seconds()*1000, "ms-longest-wait-alone")
				b.ReportMetric(beside.longest.Seconds()*1000, "ms-longest-wait")
				b.ReportMetric(float64(beside.commits), "commits-beside")
				b.StartTimer()
			}
		})
	}
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// fill makes an upload with nodes in shards as large as they may be, and one file for each ten nodes.
func (f *fixture) fill(job, nodes int) (upload int64) {
	f.tb.Helper()
	const perShard = 25_000
	ctx, random := context.Background(), f.files
	opened, err := f.repo.OpenUpload(ctx, f.jobs[job].Source.ID, f.jobs[job].Fresh)
	must(f.tb, err)
	claim := sqlrepo.Claim{Worker: "filler", Term: time.Hour}
	stage, err := f.repo.ClaimStage(ctx, claim, opened.Upload.ID)
	must(f.tb, err)

	entries := f.addEntries(stage, nodes/10)
	var plan []sqlrepo.PlannedShard
	for ordinal := range nodes / perShard {
		planned := sqlrepo.PlannedShard{Shard: sqlrepo.Shard{Ordinal: int64(ordinal), Chunks: perShard}}
		for chunk, id := range entries[ordinal*perShard/10:][:perShard/10] {
			planned.Segments = append(planned.Segments, sqlrepo.Segment{Entry: id, Chunk: int64(10 * chunk), Length: 10})
		}
		plan = append(plan, planned)
	}
	must(f.tb, f.repo.SavePlan(ctx, stage, plan))

	_, err = conformance.Reach(ctx, f.repo, claim, stage, sqlrepo.Packing)
	must(f.tb, err)
	held, err := f.repo.Held(ctx, sqlrepo.Scope{Space: f.space.ID}, nil)
	must(f.tb, err)
	for i := range int64(len(plan)) {
		claimed, err := f.repo.ClaimShard(ctx, claim, opened.Upload.ID, math.MaxInt64)
		must(f.tb, err)

		packed := sqlrepo.PackedShard{Shard: claimed, Nodes: make([]sqlrepo.Node, perShard)}
		packed.Shard.State, packed.Shard.Digest = sqlrepo.ShardPacked, make([]byte, 32)
		_, _ = random.Read(packed.Shard.Digest)
		for i := range packed.Nodes {
			packed.Nodes[i] = sqlrepo.Node{Position: int32(i), Length: 1, Codec: 0x55}
			_, _ = random.Read(packed.Nodes[i].Digest[:])
		}

		at := sqlrepo.SpaceAt{Space: f.space.ID, Revision: held.Revision + i}
		must(f.tb, f.repo.Seal(ctx, at, &packed, nil))
	}
	return opened.Upload.ID
}

func (f *fixture) addEntries(stage sqlrepo.Stage, n int) (ids []int64) {
	f.tb.Helper()
	for len(ids) < n {
		batch := sqlrepo.ScanBatch{Added: make([]sqlrepo.Entry, min(25_000, n-len(ids)))}
		for i := range batch.Added {
			path, err := sqlrepo.ParsePath(time.Duration(len(ids) + i).String())
			must(f.tb, err)
			batch.Added[i] = sqlrepo.Entry{Path: path, Fingerprint: sqlrepo.Fingerprint{Kind: sqlrepo.File, Size: 10}}
		}
		must(f.tb, f.repo.SaveScan(context.Background(), stage, batch))

		for _, entry := range batch.Added {
			ids = append(ids, entry.ID)
		}
	}
	return ids
}

// writer commits small changes continuously.
type writer struct {
	tb     testing.TB
	repo   *sqlrepo.Repository
	source int64
}

func newWriter(tb testing.TB, db *dialect.DB, source int64) *writer {
	return &writer{tb: tb, repo: sqlrepo.New(db), source: source}
}

type waits struct {
	commits int
	longest time.Duration
}

// during writes while fn runs.
func (w *writer) during(fn func() error) (waited waits) {
	w.tb.Helper()
	ctx, cancel := context.WithCancel(w.tb.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.write(ctx, &waited)
	}()
	err := fn()
	cancel()
	must(w.tb, errors.Join(err, <-done))
	return waited
}

func (w *writer) write(ctx context.Context, waited *waits) error {
	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	for {
		if pass(ctx, rand.N(20*time.Millisecond)) != nil {
			return nil
		}
		began := time.Now()
		if err := w.repo.SetSourceOptions(w.tb.Context(), w.source, options); err != nil {
			return err
		}
		waited.commits++
		waited.longest = max(waited.longest, time.Since(began))
	}
}
