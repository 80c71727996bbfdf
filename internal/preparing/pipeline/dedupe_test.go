package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// duplicates returns files with copies near and far, a copy shifted by a byte and one shifted by a chunk, zeros,
// and small files that are all alike.
func duplicates(tb testing.TB) map[string]string {
	tb.Helper()
	content := make([]byte, 5<<20+123)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	large, chunk := string(content), string(content[5:5+1<<20])
	files := map[string]string{
		"a/large": large, "a/near": large, "z/far": large, "m/prefix": large[:2<<20], "m/tail": large[3<<20:],
		"b/byte": "!" + large, "b/chunk": chunk + large, "c/zeros": string(make([]byte, 5<<20)),
		"y/zeros": string(make([]byte, 3<<20+1)),
		"e/empty": "", "f/empty": "",
	}

	for i := range 40 {
		files[fmt.Sprintf("s/%d/same", i)] = "the same small file"
		files[fmt.Sprintf("s/%d/own", i)] = fmt.Sprint("small file ", i%7)
	}

	return files
}

// blocks counts how often each block is stored in the space.
func (f *fixture) blocks() map[string]int {
	f.tb.Helper()
	stored := map[string]int{}
	for _, name := range f.stored() {
		if filepath.Ext(name) != ".car" {
			continue
		}

		data, err := os.ReadFile(filepath.Join(f.dir, name))
		must(f.tb, err)
		for reader := car.NewReader(bytes.NewReader(data)); ; {
			section, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(f.tb, err)
			stored[section.CID.String()]++
		}
	}

	return stored
}

func (f *fixture) eachBlockOnce() {
	f.tb.Helper()
	for block, times := range f.blocks() {
		if times != 1 {
			f.tb.Errorf("%s is stored %d times", block, times)
		}
	}
}

// TestEachBlockIsStoredOnce checks that the first shard with a block stores it, with any number of workers and on
// each engine.
func TestEachBlockIsStoredOnce(t *testing.T) {
	engines := enginetest.Engines()
	storeOnce(t, workforce{engines[0], 8}, workforce{engines[1], 1})
}

func storeOnce(t *testing.T, all ...workforce) {
	t.Helper()
	root := tree(t, duplicates(t))

	var shards []string
	var dump string
	for _, force := range all {
		t.Run(fmt.Sprintf("%s with %d workers", force.Name, force.workers), func(t *testing.T) {
			f := newFixture(t, force.Open(t), source.Local(), root, func(j *pipeline.Job) { j.Workers = force.workers })
			upload := f.complete()
			f.eachBlockOnce()

			want, err := boxoRoot(root)
			must(t, err)
			equal(t, "root", upload.RootCID.Cid, want)
			checkShards(t, f, upload)

			// All engines and numbers of workers give the same shards and rows.
			if shards == nil {
				shards, dump = f.stored(), f.dump()
			}
			sameNames(t, "shards", f.stored(), shards)
			sameDump(t, f.dump(), dump)
			f.firstShardOwns(upload)
		})
	}
}

// firstShardOwns checks that each chunk of the plan is stored in the first shard planned to hold it.
func (f *fixture) firstShardOwns(upload sqlrepo.Upload) {
	f.tb.Helper()
	ctx, seen, empty := context.Background(), map[sqlrepo.Digest]bool{}, 0
	for shard, err := range f.repo.Shards(ctx, upload.ID, sqlrepo.ShardFilter{}) {
		must(f.tb, err)
		if shard.Kind != sqlrepo.DataShard {
			continue
		}

		// The shard holds the chunks of its plan that no earlier shard had.
		var want []sqlrepo.Digest
		digests, err := f.repo.ShardDigests(ctx, shard.ID)
		must(f.tb, err)
		for chunk := range slices.Chunk(digests, 32) {
			if digest := sqlrepo.Digest(chunk); !seen[digest] {
				seen[digest] = true
				want = append(want, digest)
			}
		}

		var got []sqlrepo.Digest
		for node, err := range f.repo.Nodes(ctx, shard.ID) {
			must(f.tb, err)
			got = append(got, node.Digest)
		}

		if !slices.Equal(got, want) {
			f.tb.Errorf("shard %d holds %d blocks, want %d", shard.Ordinal, len(got), len(want))
		}
		if shard.State == sqlrepo.ShardEmpty {
			empty++
			equal(f.tb, "an empty shard has a digest", shard.Digest != nil, false)
		}
	}

	if empty == 0 {
		f.tb.Error("no shard was left empty: the tree has too few copies")
	}
}

// TestAMovedTreeStoresNoDataAgain renames directories, then prepares a second source with the same content.
func TestAMovedTreeStoresNoDataAgain(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		root := tree(t, duplicates(t))
		f := newFixture(t, db, source.Local(), root)
		f.complete()
		before := f.data()

		must(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "moved")))
		must(t, os.Rename(filepath.Join(root, "s"), filepath.Join(root, "b", "s")))

		moved := f.complete()
		want, err := boxoRoot(root)
		must(t, err)
		equal(t, "root", moved.RootCID.Cid, want)
		sameNames(t, "data shards", f.data(), before)
		f.eachBlockOnce()

		// A copy in another source has the same blocks.
		copied := tree(t, duplicates(t))
		f.job.Source, err = f.repo.AddSource(context.Background(), sqlrepo.Source{
			Space: f.job.Space.ID, Name: "copy", Path: []byte(copied), SourceOptions: f.job.Source.SourceOptions,
		})
		must(t, err)

		all := f.stored()
		f.complete()
		sameNames(t, "shards", f.stored(), all)
	})
}

// data returns the files of all data shards.
func (f *fixture) data() (files []string) {
	f.tb.Helper()
	kind := sqlrepo.DataShard
	uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{})
	must(f.tb, err)

	for _, upload := range uploads {
		for shard, err := range f.repo.Shards(context.Background(), upload.ID, sqlrepo.ShardFilter{Kind: &kind}) {
			must(f.tb, err)
			if shard.Digest != nil {
				files = append(files, f.shardFile(shard))
			}
		}
	}

	return files
}

// TestUploadsOfASpaceShareBlocks runs two uploads with common content at the same time.
func TestUploadsOfASpaceShareBlocks(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), tree(t, duplicates(t)))

		// The other source begins with content that the first one has later, and lacks some.
		files := duplicates(t)
		files["0/first"] = files["b/byte"]
		delete(files, "a/large")

		other := f.job
		path := tree(t, files)
		var err error
		other.Source, err = f.repo.AddSource(context.Background(), sqlrepo.Source{
			Space: f.job.Space.ID, Name: "other", Path: []byte(path), SourceOptions: f.job.Source.SourceOptions,
		})
		must(t, err)

		results := make(chan error, 1)
		otherRun := *f
		otherRun.job = other
		go func() {
			_, err := otherRun.run()
			results <- err
		}()

		f.complete()
		must(t, <-results)
		f.eachBlockOnce()

		want, err := boxoRoot(path)
		must(t, err)
		uploads, err := f.repo.Uploads(context.Background(), sqlrepo.UploadFilter{Source: &other.Source.ID})
		must(t, err)
		equal(t, "root", uploads[0].RootCID.Cid, want)
	})
}

// TestInterruptedLinksGiveTheSameShards interrupts the linking of many directories after random batches. The space
// already holds some of the blocks.
func TestInterruptedLinksGiveTheSameShards(t *testing.T) { interruptLinks(t) }

func interruptLinks(t *testing.T) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{}
		for i := range 60 {
			files[fmt.Sprintf("%d/%d/f", i%rapid.IntRange(1, 9).Draw(rt, "dirs"), i)] = fmt.Sprint(i % 13)
		}

		root := tree(t, files)
		tiny := func(j *pipeline.Job) { j.Fresh.ShardSize = 4000 }
		undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root, tiny)
		undisturbed.complete()

		// The second fixture is stopped in the middle of linking.
		faulty := &faultyStore{}
		f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root, tiny, withFaultyStore(faulty))

		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stop := int64(rapid.IntRange(1, 2*len(undisturbed.stored())).Draw(rt, "stop after"))
		faulty.onSync = func(n int64) {
			if n == stop {
				cancel()
			}
		}

		f.job.Progress = &progress.Counters{}
		if _, err := f.job.Run(ctx); err != nil { // the run may have been quicker
			f.complete()
		}

		sameNames(t, "shards", f.stored(), undisturbed.stored())
		sameDump(t, f.dump(), undisturbed.dump())
		if !maps.Equal(f.blocks(), undisturbed.blocks()) {
			rt.Error("other blocks")
		}
	})
}
