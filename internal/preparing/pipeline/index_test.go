package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	sources "github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func withIndexes(layout string, slices int64) change {
	return func(j *pipeline.Job) { j.Fresh.IndexLayout, j.Fresh.IndexSlices = layout, slices }
}

// TestIndexesTellWhereBlocksLie reads each slice of each index from its shard, in every layout.
func TestIndexesTellWhereBlocksLie(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		tree := sourcetest.NewSynthetic(mixed)
		f := newFixture(t, db, tree, sourcetest.Root)
		for i, layout := range blobindex.Layouts() {
			// Each layout gets a changed file, so that there is something to index.
			withIndexes(string(layout), 9)(&f.job)
			tree.Change(tree.FilePath(2, 5+i), 0)
			upload := f.complete()

			slices := f.readIndexes(upload, layout, 9)
			if slices == 0 || i == 0 && slices < int64(len(f.blocks())) {
				t.Errorf("%s: %d slices of %d blocks", layout, slices, len(f.blocks()))
			}
		}
	})
}

// readIndexes compares the indexes of an upload with the shards that they cover, and counts their slices.
func (f *fixture) readIndexes(upload sqlrepo.Upload, layout blobindex.Layout, most int64) (slices int64) {
	f.tb.Helper()
	for row, err := range f.repo.Indexes(context.Background(), sqlrepo.IndexFilter{Upload: &upload.ID}) {
		must(f.tb, err)
		raw, err := os.ReadFile(filepath.Join(f.dir, blobindex.Name([32]byte(row.Digest))))
		must(f.tb, err)

		equal(f.tb, "digest", sha256.Sum256(raw), [32]byte(row.Digest))

		index, found, err := blobindex.Decode(bytes.NewReader(raw))
		must(f.tb, err)
		equal(f.tb, "layout", found, layout)
		if row.Slices > most && row.Shards > 1 {
			f.tb.Errorf("%d slices of %d shards", row.Slices, row.Shards)
		}

		if layout != blobindex.Forge {
			equal(f.tb, "content", index.Content, upload.RootCID.Cid)
		}
		for _, covered := range index.Shards {
			car, err := os.ReadFile(filepath.Join(f.dir, shard.Name(covered.Digest)))
			must(f.tb, err)
			for _, slice := range covered.Slices {
				equal(f.tb, "slice", sha256.Sum256(car[slice.Offset:][:slice.Length]), slice.Digest)
			}
			slices += int64(len(covered.Slices))
		}
	}

	return slices
}

// TestIndexesDependOnTheContentAlone makes many indexes with few slices each.
func TestIndexesDependOnTheContentAlone(t *testing.T) {
	engines := enginetest.Engines()
	indexContent(t, workforce{engines[0], 1}, workforce{engines[1], 4})
}

func indexContent(t *testing.T, all ...workforce) {
	t.Helper()
	var want []string
	for _, force := range all {
		f := newFixture(t, force.Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root, withIndexes("storacha", 12),
			func(j *pipeline.Job) { j.Workers = force.workers })
		f.complete()
		if want == nil {
			want = f.stored()
		}
		sameNames(t, force.Name, f.stored(), want)
	}

	if indexes := strings.Count(strings.Join(want, " "), ".idx"); indexes < 5 {
		t.Errorf("there are %d indexes", indexes)
	}
}

// TestUploadsThatEndAtOnce runs uploads at the same time, in a space with shards of an earlier upload that no index
// covers. Each shard ends up in exactly one index.
func TestUploadsThatEndAtOnce(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		ctx := context.Background()
		f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, withIndexes("storacha", 9))
		left := f.complete()

		// Without its indexes, the first upload leaves shards that no index covers.
		var keys []int64
		for row, err := range f.repo.Indexes(ctx, sqlrepo.IndexFilter{Upload: &left.ID}) {
			must(t, err)
			keys = append(keys, row.ID)
		}

		must(t, f.repo.DropIndexes(ctx, keys))
		var runs sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			job := f.job
			root := tree(t, map[string]string{"one": name + " one", "two": name + " two", "below/three": name})
			source, err := f.repo.AddSource(ctx, sqlrepo.Source{Space: f.job.Space.ID, Name: name, Path: []byte(root),
				SourceOptions: f.job.Source.SourceOptions})
			must(t, err)
			job.FS, job.Progress, job.Source = sources.Local(), &progress.Counters{}, source
			runs.Go(func() {
				if result, err := job.Run(ctx); err != nil || result.Upload.State != sqlrepo.Complete {
					t.Errorf("%s, %v", result.Upload.State, err)
				}
			})
		}

		runs.Wait()
		for shard, err := range f.repo.Uncovered(ctx, f.job.Space.ID, 0) {
			must(t, err)
			t.Errorf("shard %d is in no index", shard.ID)
		}

		checktest.Sound(t, f.repo, f.dir)
	})
}
