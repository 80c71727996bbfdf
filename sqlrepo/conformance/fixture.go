package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const shardSize = 1 << 20

// started is the time at which everything happens.
var started = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

// fixture is an empty repository.
type fixture struct {
	*sqlrepo.Repository
	t    *testing.T
	ctx  context.Context //nolint:containedctx // that of the test
	db   *dialect.DB
	made int
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	clock := sqlrepo.WithClock(func() time.Time { return started })
	f := &fixture{sqlrepo.New(db, clock), t, t.Context(), db, 0}
	f.clear()
	return f
}

// clear empties the repository, which is faster than to make another one.
func (f *fixture) clear() {
	f.t.Helper()
	f.made = 0
	for _, table := range []string{
		"roots", "nodes", "segments", "shards", "entries", "uploads", "sources", "spaces",
	} {
		f.execute("DELETE FROM " + table)
	}
	f.execute("UPDATE counters SET value = 0")
}

func (f *fixture) execute(statement string) {
	f.t.Helper()
	if _, err := f.db.Writer.ExecContext(f.ctx, statement); err != nil {
		f.t.Fatal(err)
	}
}

// space adds a space under a name that is not taken.
func (f *fixture) space() sqlrepo.Space {
	f.t.Helper()
	f.made++
	name := fmt.Sprintf("space %d", f.made)
	space := sqlrepo.Space{DID: sqlrepo.DID("did:key:" + name), Name: name, ShardSize: shardSize}
	return must(f.AddSpace(f.ctx, space))(f.t)
}

// source adds a source to a space under a name and path that are not taken.
func (f *fixture) source(space sqlrepo.Space) sqlrepo.Source {
	f.t.Helper()
	f.made++
	return must(f.AddSource(f.ctx, sqlrepo.Source{
		Space: space.ID, Name: fmt.Sprintf("source %d", f.made), Path: fmt.Appendf(nil, "/source/%d", f.made),
		SourceOptions: sqlrepo.SourceOptions{SymlinkPolicy: "keep"},
	}))(f.t)
}

// begin starts a run on a source.
func (f *fixture) begin(source sqlrepo.Source) sqlrepo.Run {
	f.t.Helper()
	return must(f.BeginRun(f.ctx, source.ID, fresh(source)))(f.t)
}

func fresh(source sqlrepo.Source) sqlrepo.Upload {
	return sqlrepo.Upload{Profile: "profile", ShardSize: shardSize, SourceOptions: source.SourceOptions}
}

// newRun starts a run on a new source.
func (f *fixture) newRun() sqlrepo.Run {
	f.t.Helper()
	return f.begin(f.source(f.space()))
}

// add records entries and returns them with their keys.
func (f *fixture) add(run sqlrepo.Run, entries ...sqlrepo.Entry) []sqlrepo.Entry {
	f.t.Helper()
	f.ok(f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{Added: entries}))
	return entries
}

// plan records shards that are to hold these segments.
func (f *fixture) plan(run sqlrepo.Run, shards ...sqlrepo.PlannedShard) []sqlrepo.PlannedShard {
	f.t.Helper()
	f.ok(f.SavePlan(f.ctx, run, shards))
	return shards
}

// planned is a shard for some segments, which get their places in it.
func planned(ordinal int64, segments ...sqlrepo.Segment) sqlrepo.PlannedShard {
	for i := range segments {
		segments[i].Chunk = int64(i)
	}
	shard := sqlrepo.Shard{Ordinal: ordinal, PlannedSize: 1000 + ordinal, Chunks: int64(len(segments))}
	return sqlrepo.PlannedShard{Shard: shard, Segments: segments}
}

// packed is what packing a claimed shard gave, with one node.
func packed(shard sqlrepo.Shard) sqlrepo.PackedShard {
	shard.State, shard.Size, shard.Content = sqlrepo.ShardPacked, 900, 700
	shard.Digest, shard.Location = bytes.Repeat([]byte{7}, 32), "file:///shard"
	node := sqlrepo.Node{Position: 59, Length: 700, Codec: 0x55, Digest: sqlrepo.Digest{byte(shard.Ordinal)}}
	return sqlrepo.PackedShard{Shard: shard, Digests: node.Digest[:], Nodes: []sqlrepo.Node{node}}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) fails(err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("error %v, want %v", err, want)
	}
}

// dump is the content of the repository.
func (f *fixture) dump() string {
	f.t.Helper()
	var text bytes.Buffer
	f.ok(f.Dump(f.ctx, &text))
	return text.String()
}

// rows are those of one table, as a dump shows them.
func (f *fixture) rows(table string) (rows []map[string]any) {
	f.t.Helper()
	for line := range bytes.Lines([]byte(f.dump())) {
		var row map[string]any
		f.ok(json.Unmarshal(line, &row))
		if row["table"] == table {
			rows = append(rows, row)
		}
	}
	return rows
}

// must returns the value of a call that may not fail.
func must[T any](value T, err error) func(rapid.TB) T {
	return func(t rapid.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func collect[T any](t rapid.TB, all iter.Seq2[T, error]) (values []T) {
	t.Helper()
	for value, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	return values
}

func equal[T any](t rapid.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func file(path string, size int64) sqlrepo.Entry {
	return entry(path, sqlrepo.Fingerprint{Kind: sqlrepo.File, Size: size, ModTime: 1, Mode: 0o644})
}

func directory(path string) sqlrepo.Entry {
	return entry(path, sqlrepo.Fingerprint{Kind: sqlrepo.Directory, ModTime: 2, Mode: 0o755})
}

func entry(path string, fingerprint sqlrepo.Fingerprint) sqlrepo.Entry {
	parsed, err := sqlrepo.ParsePath(path)
	if err != nil {
		panic(err) // a test that names a wrong path
	}
	return sqlrepo.Entry{Path: parsed, Fingerprint: fingerprint}
}

func keys(entries []sqlrepo.Entry) (ids []int64) {
	for _, entry := range entries {
		ids = append(ids, entry.ID)
	}
	return ids
}

func paths(entries []sqlrepo.Entry) (names []string) {
	for _, entry := range entries {
		names = append(names, entry.Path.String())
	}
	return names
}
