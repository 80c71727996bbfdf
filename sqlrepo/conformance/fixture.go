package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

const (
	shardSize = 1 << 20
	// term is how long leases last.
	term = time.Minute
	// unlimited sets no limit to the ordinals of shards.
	unlimited = math.MaxInt64
)

// started is the time at which everything happens, unless a test lets time pass.
var started = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

// fixture is a repository that is empty at first.
type fixture struct {
	*sqlrepo.Repository
	*copying.Copier
	*removal.Remover
	*audit.Auditor
	t    rapid.TB
	ctx  context.Context //nolint:containedctx // it ends with the test
	db   *dialect.DB
	made int
	now  time.Time
	// tampered is true if a test has changed rows by itself.
	tampered bool
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	f := &fixture{t: t, ctx: t.Context(), db: db, now: started}
	f.Repository = sqlrepo.New(db, sqlrepo.WithClock(func() time.Time { return f.now }))
	f.Copier, f.Remover, f.Auditor = copying.New(f.Repository), removal.New(f.Repository), audit.New(f.Repository)
	f.clear()
	return f
}

// clear empties the repository. That is faster than making another one.
func (f *fixture) clear() {
	f.t.Helper()
	f.made = 0
	defer func() { f.tampered = false }()
	for _, table := range []string{
		"roots", "nodes", "segments", "shards", "indexes", "entries", "upload_tags", "uploads", "sources", "sendings",
		"space_replicas", "spaces", "copies", "replicas", "stores",
	} {
		f.execute("DELETE FROM " + table)
	}
	f.execute("UPDATE counters SET value = 0 WHERE name NOT LIKE 'receipt-%'") // otherwise commits were lost
}

func (f *fixture) execute(statement string) {
	f.t.Helper()
	f.tampered = true
	if _, err := f.db.Writer.ExecContext(f.ctx, statement); err != nil {
		f.t.Fatal(err)
	}
}

// space adds a space with a name that is not taken.
func (f *fixture) space() sqlrepo.Space {
	f.t.Helper()
	f.made++
	name := fmt.Sprintf("space %d", f.made)
	space := sqlrepo.Space{DID: sqlrepo.DID("did:key:" + name), Name: name, ShardSize: shardSize}
	return must(f.AddSpace(f.ctx, space))(f.t)
}

// source adds a source with a name and a path that are not taken.
func (f *fixture) source(space sqlrepo.Space) sqlrepo.Source {
	f.t.Helper()
	f.made++
	return must(f.AddSource(f.ctx, sqlrepo.Source{
		Space: space.ID, Name: fmt.Sprintf("source %d", f.made), Path: fmt.Appendf(nil, "/source/%d", f.made),
		SourceOptions: sqlrepo.SourceOptions{SymlinkPolicy: "keep"},
	}))(f.t)
}

// store makes a store known, unless it is, and returns its identity. An upload can only be opened in a known store.
func (f *fixture) store(identity string) string {
	f.t.Helper()
	if identity == "" {
		return ""
	}

	store := sqlrepo.Store{Identity: identity, Name: identity, URL: "file:///" + identity + "/"}
	if _, err := f.AddStore(f.ctx, store); !errors.Is(err, sqlrepo.ErrExists) {
		f.ok(err)
	}
	return identity
}

// pass lets time pass.
func (f *fixture) pass(d time.Duration) { f.now = f.now.Add(d) }

// expire lets all leases end.
func (f *fixture) expire() { f.pass(term + time.Microsecond) }

// claim returns a worker's request for work.
func claim(worker string) sqlrepo.Claim { return sqlrepo.Claim{Worker: worker, Term: term} }

// begin opens an upload of a source that nobody is at work on, and claims its stage.
func (f *fixture) begin(source sqlrepo.Source) sqlrepo.Stage {
	f.t.Helper()
	return f.stage(f.open(source).Upload)
}

// again is begin after all leases have ended.
func (f *fixture) again(source sqlrepo.Source) sqlrepo.Stage {
	f.t.Helper()
	f.expire()
	return f.begin(source)
}

func (f *fixture) open(source sqlrepo.Source) sqlrepo.Opened {
	f.t.Helper()
	return must(f.OpenUpload(f.ctx, source.ID, fresh(source)))(f.t)
}

func fresh(source sqlrepo.Source) sqlrepo.Upload {
	return sqlrepo.Upload{Profile: "profile", ShardSize: shardSize, SourceOptions: source.SourceOptions,
		IndexLayout: sqlrepo.DefaultIndexLayout, IndexSlices: sqlrepo.DefaultIndexSlices}
}

// stage claims the stage that an upload has reached.
func (f *fixture) stage(upload sqlrepo.Upload) sqlrepo.Stage {
	f.t.Helper()
	return must(f.ClaimStage(f.ctx, claim("worker"), upload.ID))(f.t)
}

// shard claims the next shard of a stage's upload.
func (f *fixture) shard(stage sqlrepo.Stage) sqlrepo.Shard {
	f.t.Helper()
	return must(f.ClaimShard(f.ctx, claim("worker"), stage.Upload.ID, unlimited))(f.t)
}

// noShard checks that there is no shard to claim.
func (f *fixture) noShard(stage sqlrepo.Stage) {
	f.t.Helper()
	_, err := f.ClaimShard(f.ctx, claim("worker"), stage.Upload.ID, unlimited)
	f.fails(err, sqlrepo.ErrNothingToClaim)
}

func (f *fixture) upload(stage sqlrepo.Stage) sqlrepo.Upload {
	f.t.Helper()
	return must(f.Upload(f.ctx, stage.Upload.ID))(f.t)
}

// newStage begins an upload of a new source.
func (f *fixture) newStage() sqlrepo.Stage {
	f.t.Helper()
	return f.begin(f.source(f.space()))
}

// add records entries and returns them with their keys.
func (f *fixture) add(stage sqlrepo.Stage, entries ...sqlrepo.Entry) []sqlrepo.Entry {
	f.t.Helper()
	f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Added: entries}))
	return entries
}

// plan records planned shards.
func (f *fixture) plan(stage sqlrepo.Stage, shards ...sqlrepo.PlannedShard) []sqlrepo.PlannedShard {
	f.t.Helper()
	f.ok(f.SavePlan(f.ctx, stage, shards))
	return shards
}

// toPack plans shards and releases the stage, so that the shards can be packed.
func (f *fixture) toPack(stage sqlrepo.Stage, shards ...sqlrepo.PlannedShard) []sqlrepo.PlannedShard {
	f.t.Helper()
	f.plan(stage, shards...)
	f.packing(stage)
	return shards
}

// packing advances an upload that is Scanning, Planning or Rescanning to Packing.
func (f *fixture) packing(stage sqlrepo.Stage) sqlrepo.Upload {
	f.t.Helper()
	if stage.Upload.State == sqlrepo.Rescanning {
		stage = must(f.Advance(f.ctx, stage, sqlrepo.Scanning))(f.t)
	}
	if stage.Upload.State == sqlrepo.Scanning {
		stage = must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	}
	return must(f.Advance(f.ctx, stage, sqlrepo.Packing))(f.t).Upload
}

// reach is Reach with a claim of this fixture.
func (f *fixture) reach(stage sqlrepo.Stage, state sqlrepo.UploadState) (sqlrepo.Stage, error) {
	return Reach(f.ctx, f.Repository, claim("worker"), stage, state)
}

// sealing is what a shard is sealed with.
type sealing struct {
	sqlrepo.SpaceAt
	publish func(context.Context) error
}

// sealing returns what is needed to seal a shard of an upload now.
func (f *fixture) sealing(upload int64) sealing {
	f.t.Helper()
	u := must(f.Upload(f.ctx, upload))(f.t)
	space := must(f.Source(f.ctx, u.Source))(f.t).Space
	revision := must(f.Held(f.ctx, sqlrepo.Scope{Space: space}, nil))(f.t).Revision
	return sealing{SpaceAt: sqlrepo.SpaceAt{Space: space, Revision: revision}}
}

// seal records a packed shard.
func (f *fixture) seal(result sqlrepo.PackedShard) (sqlrepo.Upload, error) {
	f.t.Helper()
	return f.sealShard(result, f.sealing(result.Shard.Upload))
}

func (f *fixture) sealShard(result sqlrepo.PackedShard, with sealing) (sqlrepo.Upload, error) {
	err := f.Seal(f.ctx, with.SpaceAt, &result, with.publish)
	return result.After, err
}

func (f *fixture) sealLinks(stage sqlrepo.Stage, batch sqlrepo.LinkBatch, with sealing) error {
	batch.Stage = stage
	return f.Seal(f.ctx, with.SpaceAt, &batch, with.publish)
}

// sealed records a packed shard, which must succeed.
func (f *fixture) sealed(result sqlrepo.PackedShard) sqlrepo.Upload {
	f.t.Helper()
	return must(f.seal(result))(f.t)
}

// link records a batch and its shard, if any.
func (f *fixture) link(stage sqlrepo.Stage, batch sqlrepo.LinkBatch) error {
	f.t.Helper()
	if batch.Shard == nil {
		batch.Stage = stage
		return f.SaveLinks(f.ctx, batch)
	}
	return f.sealLinks(stage, batch, f.sealing(stage.Upload.ID))
}

// dag adds a shard of kind DAGShard to a stage's upload.
func (f *fixture) dag(stage sqlrepo.Stage, ordinal int64) {
	f.t.Helper()
	shard := packed(sqlrepo.Shard{Ordinal: ordinal})
	f.ok(f.link(stage, sqlrepo.LinkBatch{Shard: &shard}))
}

// planned returns a shard for some segments, and gives the segments their places in it.
func planned(ordinal int64, segments ...sqlrepo.Segment) sqlrepo.PlannedShard {
	for i := range segments {
		segments[i].Chunk = int64(i)
	}
	shard := sqlrepo.Shard{Ordinal: ordinal, PlannedSize: 1000 + ordinal, Chunks: int64(len(segments))}
	return sqlrepo.PlannedShard{Shard: shard, Segments: segments}
}

// packed returns the result of packing a claimed shard, with one node.
func packed(shard sqlrepo.Shard) sqlrepo.PackedShard {
	shard.State, shard.Size, shard.Content = sqlrepo.ShardPacked, 900, 700
	shard.Digest = bytes.Repeat([]byte{7}, 32)
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

// dump returns the content of the repository.
func (f *fixture) dump() string {
	f.t.Helper()
	var text bytes.Buffer
	f.ok(f.Dump(f.ctx, &text))
	return text.String()
}

// rows returns the rows of one table, as a dump shows them.
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

// must returns the value of a call that must not fail.
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
