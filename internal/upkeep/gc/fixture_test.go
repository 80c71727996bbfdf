package gc_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// fixture is a space with sources, in a repository and a store of their own.
type fixture struct {
	tb    testing.TB
	repo  *sqlrepo.Repository
	space sqlrepo.Space
	store *store.Directory
	dir   string
	jobs  []*pipeline.Job
	files *rand.ChaCha8
}

func newFixture(tb testing.TB, db *dialect.DB, sources int) *fixture {
	tb.Helper()
	dir, files := filepath.Join(tb.TempDir(), "shards"), rand.NewChaCha8([32]byte{1})
	f := &fixture{tb: tb, repo: sqlrepo.New(db), dir: dir, files: files}
	ctx := context.Background()
	space, err := f.repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 4 << 20})
	must(tb, err)

	f.space = space
	f.store, err = store.OpenDirectory(f.dir)
	must(tb, err)
	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	for i := range sources {
		src, err := f.repo.AddSource(ctx, sqlrepo.Source{
			Space: space.ID, Name: fmt.Sprint(i), Path: []byte(tb.TempDir()), SourceOptions: options,
		})
		must(tb, err)

		f.jobs = append(f.jobs, &pipeline.Job{
			Repo: f.repo, Store: f.store, FS: source.Local(), Space: space, Source: src,
			Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
			Workers: 2, ReadAhead: 4, TempDir: tb.TempDir(), Log: slog.New(slog.DiscardHandler),
			Limits: pipeline.Limits{Pause: time.Millisecond},
		})
	}
	return f
}

// write puts a file of random bytes into a source, or the given ones.
func (f *fixture) write(job int, path string, size int, content ...byte) {
	f.tb.Helper()
	if content == nil {
		content = make([]byte, size)
		_, _ = f.files.Read(content) // it never fails
	}
	path = filepath.Join(string(f.jobs[job].Source.Path), path)
	must(f.tb, os.MkdirAll(filepath.Dir(path), 0o755))
	must(f.tb, os.WriteFile(path, content, 0o644))
}

func (f *fixture) remove(job int, path string) {
	f.tb.Helper()
	must(f.tb, os.RemoveAll(filepath.Join(string(f.jobs[job].Source.Path), path)))
}

// prepare prepares a source.
func (f *fixture) prepare(job int) sqlrepo.Upload {
	f.tb.Helper()
	run := *f.jobs[job]
	run.Progress = &progress.Counters{}
	result, err := run.Run(context.Background())
	must(f.tb, err)
	if result.Upload.State != sqlrepo.Complete {
		f.tb.Fatalf("the upload is %s", result.Upload.State)
	}
	return result.Upload
}

func (f *fixture) collector() *gc.Collector {
	return &gc.Collector{
		Repo: f.repo, TempDir: f.tb.TempDir(), Log: slog.New(slog.DiscardHandler),
		Locate: func(context.Context, sqlrepo.Upload) (store.Store, error) { return f.store, nil },
	}
}

// rm removes an upload, and fails the test unless the removal matches its plan.
func (f *fixture) rm(upload int64) gc.Summary {
	f.tb.Helper()
	ctx := context.Background()
	row, err := f.repo.Upload(ctx, upload)
	must(f.tb, err)
	others, err := removal.New(f.repo).RemovedUploads(ctx, f.space.ID)
	must(f.tb, err)

	plan, err := f.collector().Plan(ctx, f.space.ID, append(others, row))
	must(f.tb, err)
	must(f.tb, removal.New(f.repo).RemoveUpload(ctx, upload))
	collector := f.collector()
	collector.Progress = progress.NewTask("", "")
	sum, err := collector.Collect(ctx, f.space.ID)
	must(f.tb, err)
	if state := collector.Progress.State(); state.Items != sum.Shards || state.ItemsTotal != sum.Shards ||
		state.Bytes != state.BytesTotal {
		f.tb.Errorf("progress of %+v: %+v", sum, state)
	}

	done := sum
	done.Rows = 0
	if done != plan {
		f.tb.Errorf("removed %+v, planned %+v", done, plan)
	}
	return sum
}

// sound fails the test unless every remaining upload is whole, and the store has its shards and nothing else.
func (f *fixture) sound() {
	f.tb.Helper()
	ctx, walker := context.Background(), reach.Walker{Repo: f.repo, TempDir: f.tb.TempDir()}
	view, err := removal.New(f.repo).ViewSpace(ctx, f.space.ID)
	must(f.tb, err)

	for _, upload := range view.Uploads {
		root, err := walker.Walk(ctx, upload, func(batch []reach.Block) error { return f.holds(upload, batch) })
		must(f.tb, err)
		if !root.Equals(upload.RootCID.Cid) {
			f.tb.Errorf("upload %d has the root %s, its rows make %s", upload.ID, upload.RootCID, root)
		}
	}
	if named, stored := f.named(), f.stored(); !slices.Equal(named, stored) {
		f.tb.Errorf("the store has %q, the shards are %q", stored, named)
	}
}

func (f *fixture) holds(upload sqlrepo.Upload, batch []reach.Block) error {
	var digests []sqlrepo.Digest
	for _, block := range batch {
		digests = append(digests, block.Digest)
	}
	held, err := f.repo.Held(context.Background(), sqlrepo.Scope{Space: f.space.ID, Store: upload.Store}, digests)
	for _, block := range batch {
		if _, ok := held.Digests[block.Digest]; !ok {
			f.tb.Errorf("upload %d lacks %s of entry %d", upload.ID, block.CID(), block.Entry)
		}
	}
	return err
}

// named returns the files of the shards of all uploads.
func (f *fixture) named() (names []string) {
	f.tb.Helper()
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)
	for _, upload := range uploads {
		for row, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{}) {
			must(f.tb, err)
			if len(row.Digest) > 0 {
				names = append(names, shard.Name([32]byte(row.Digest)))
			}
		}
	}

	for row, err := range f.repo.Indexes(context.Background(), sqlrepo.IndexFilter{}) {
		must(f.tb, err)
		names = append(names, blobindex.Name([32]byte(row.Digest)))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f *fixture) stored() (names []string) {
	f.tb.Helper()
	for file, err := range f.store.Committed(context.Background()) {
		must(f.tb, err)
		names = append(names, file.Name)
	}
	slices.Sort(names)
	return names
}

// empty fails the test if anything of any upload is left.
func (f *fixture) empty() {
	f.tb.Helper()
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)
	nodes, err := f.repo.CountNodes(context.Background())
	must(f.tb, err)
	if len(uploads) > 0 || nodes > 0 || len(f.stored()) > 0 {
		f.tb.Errorf("left: %d uploads, %d nodes, %q", len(uploads), nodes, f.stored())
	}
}

// interrupt prepares a source as far as its linking.
func (f *fixture) interrupt(job int) {
	f.tb.Helper()
	path := filepath.Join(string(f.jobs[job].Source.Path), "unreadable")
	run := *f.jobs[job]
	run.Progress = &progress.Counters{}
	run.FS = unreadable{source.Local(), path}
	result, err := run.Run(context.Background())
	must(f.tb, err)
	if result.Upload.State != sqlrepo.Incomplete {
		f.tb.Fatalf("the upload is %s", result.Upload.State)
	}
}

// unreadable is a source with one file that can't be opened.
type unreadable struct {
	source.FS
	path string
}

func (u unreadable) Open(path string) (source.File, error) {
	if path == u.path {
		return nil, os.ErrPermission
	}
	return u.FS.Open(path)
}
