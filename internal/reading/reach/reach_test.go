package reach_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// newJob returns the preparation of a tree with large, equal, empty and many files.
func newJob(t *testing.T, db *dialect.DB) *pipeline.Job {
	t.Helper()
	ctx, repo := t.Context(), sqlrepo.New(db)
	space, err := repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 4 << 20})
	must(t, err)

	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	src, err := repo.AddSource(ctx, sqlrepo.Source{
		Space: space.ID, Name: "source", Path: []byte(t.TempDir()), SourceOptions: options,
	})
	must(t, err)

	shards, err := store.OpenDirectory(filepath.Join(t.TempDir(), "shards"))
	must(t, err)

	large := make([]byte, 9<<20+123)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(large) // it never fails
	write(t, src, "a/large", large)
	write(t, src, "b/again", large[:5<<20])
	write(t, src, "b/empty", nil)

	for i := range 3000 {
		write(t, src, fmt.Sprintf("many/%04d-%0100d", i, i), fmt.Append(nil, i%100))
	}
	must(t, os.Symlink("large", filepath.Join(string(src.Path), "a", "link")))

	return &pipeline.Job{
		Repo: repo, Store: shards, FS: source.Local(), Space: space, Source: src,
		Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
		Workers: 2, ReadAhead: 4, TempDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	}
}

func write(t *testing.T, src sqlrepo.Source, path string, content []byte) {
	t.Helper()
	path = filepath.Join(string(src.Path), path)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, content, 0o644))
}

func run(t *testing.T, job *pipeline.Job) sqlrepo.Upload {
	t.Helper()
	job.Progress = &progress.Counters{}
	result, err := job.Run(t.Context())
	must(t, err)
	if result.Upload.State != sqlrepo.Complete {
		t.Fatalf("the upload is %s", result.Upload.State)
	}
	return result.Upload
}

// walked returns the lengths of all blocks of an upload.
func walked(t *testing.T, repo *sqlrepo.Repository, upload sqlrepo.Upload) (root cid.Cid, blocks map[cid.Cid]int64) {
	t.Helper()
	blocks = map[cid.Cid]int64{}
	walker := reach.Walker{Repo: repo, TempDir: t.TempDir()}

	root, err := walker.Walk(t.Context(), upload, func(batch []reach.Block) error {
		if len(batch) > reach.BatchBlocks {
			t.Errorf("a batch of %d", len(batch))
		}
		for _, block := range batch {
			isNode := block.Codec == cid.DagProtobuf
			was, seen := blocks[block.CID()]
			if seen && was != block.Length || block.Entry == 0 || (block.Owner == 0) != isNode {
				t.Errorf("%+v", block)
			}
			blocks[block.CID()] = block.Length
		}
		return nil
	})

	must(t, err)
	return root, blocks
}

// stored returns the lengths of all blocks in the shards of some uploads.
func stored(t *testing.T, repo *sqlrepo.Repository, uploads ...sqlrepo.Upload) map[cid.Cid]int64 {
	t.Helper()
	blocks := map[cid.Cid]int64{}
	for _, upload := range uploads {
		for shard, err := range repo.Shards(t.Context(), upload.ID, sqlrepo.ShardFilter{}) {
			must(t, err)
			for node, err := range repo.Nodes(t.Context(), shard.ID) {
				must(t, err)
				blocks[reach.Block{Digest: node.Digest, Codec: node.Codec}.CID()] = int64(node.Length)
			}
		}
	}
	return blocks
}

// TestWhatAnUploadConsistsOf compares the blocks of uploads with the blocks in the shards of their space.
func TestWhatAnUploadConsistsOf(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		job := newJob(t, db)
		first := run(t, job)
		root, blocks := walked(t, job.Repo, first)
		if !root.Equals(first.RootCID.Cid) {
			t.Errorf("root %s, want %s", root, first.RootCID)
		}
		if want := stored(t, job.Repo, first); !maps.Equal(blocks, want) {
			t.Errorf("%d blocks, want %d", len(blocks), len(want))
		}

		write(t, job.Source, "a/new", []byte("new"))
		second := run(t, job)
		root, blocks = walked(t, job.Repo, second)
		if !root.Equals(second.RootCID.Cid) {
			t.Errorf("root %s of the second upload, want %s", root, second.RootCID)
		}

		before, all, reused := stored(t, job.Repo, first), stored(t, job.Repo, first, second), 0
		for block, length := range blocks {
			if held, ok := all[block]; !ok || held != length {
				t.Errorf("%s of %d bytes is held: %t, with %d bytes", block, length, ok, held)
			}
			if _, ok := before[block]; ok {
				reused++
			}

			if t.Failed() {
				return
			}
		}

		if reused < 100 || reused == len(blocks) {
			t.Errorf("%d of %d blocks are those of the first upload", reused, len(blocks))
		}
	})
}

// TestWhatAnUnfinishedUploadHas requires the chunks that are packed.
func TestWhatAnUnfinishedUploadHas(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		job := newJob(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		job.Progress = &progress.Counters{}
		job.Store = &stopping{Store: job.Store, stop: cancel}
		if _, err := job.Run(ctx); err == nil {
			t.Fatal("the run was not interrupted")
		}

		upload, err := job.Repo.UnfinishedUpload(t.Context(), job.Source.ID)
		must(t, err)

		root, blocks := walked(t, job.Repo, upload)
		want := stored(t, job.Repo, upload)
		if root.Defined() || len(want) == 0 || !maps.Equal(blocks, want) {
			t.Errorf("root %s, %d blocks, want %d", root, len(blocks), len(want))
		}
	})
}

// stopping ends a run when one shard has been stored and the next one is about to be. Shards are sealed one after
// the other.
type stopping struct {
	store.Store
	stored int
	stop   func()
}

func (s *stopping) Create(ctx context.Context, owner string) (store.Blob, error) {
	blob, err := s.Store.Create(ctx, owner)
	return &stoppingBlob{blob, s}, err
}

type stoppingBlob struct {
	store.Blob
	store *stopping
}

func (b *stoppingBlob) Commit(ctx context.Context, name string) error {
	if b.store.stored++; b.store.stored > 1 {
		b.store.stop()
	}
	return b.Blob.Commit(ctx, name)
}

// TestWhatVisitReturns requires that an error of visit ends the walk.
func TestWhatVisitReturns(t *testing.T) {
	db := enginetest.Engines()[0].Open(t)
	job := newJob(t, db)
	upload := run(t, job)

	failure := errors.New("enough")
	walker := reach.Walker{Repo: job.Repo, TempDir: t.TempDir(), Rooted: func(sqlrepo.Linkable, unixfs.Link) error {
		return failure
	}}
	if _, err := walker.Walk(t.Context(), upload, func([]reach.Block) error { return nil }); !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}

	walker.Rooted = nil
	if _, err := walker.Walk(t.Context(), upload, func([]reach.Block) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("%v", err)
	}
}
