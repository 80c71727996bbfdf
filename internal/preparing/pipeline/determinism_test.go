package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// mixed has small files, files of a few chunks, and one that spans shards. Copies of a file have blocks in common.
var mixed = sourcetest.Tree{Dirs: 5, Files: 12, Seed: 7, SizeOf: func(dir, file int) int64 {
	return map[int]int64{3: 1 << 20, 5: 2<<20 + 17, 7: 5 << 20, 9: 0}[file] + int64(dir*file*97)
}}

// TestShardsDependOnTheContentAlone compares what one worker on one engine makes with what many on another make.
func TestShardsDependOnTheContentAlone(t *testing.T) {
	engines := enginetest.Engines()
	dependOnContent(t, workforce{engines[0], 1}, workforce{engines[1], 8})
}

// workforce is a number of workers on an engine.
type workforce struct {
	enginetest.Engine
	workers int
}

// workforces returns all engines with each number of workers.
func workforces(numbers ...int) (all []workforce) {
	for _, engine := range enginetest.Engines() {
		for _, workers := range numbers {
			all = append(all, workforce{engine, workers})
		}
	}
	return all
}

func dependOnContent(t *testing.T, all ...workforce) {
	t.Helper()
	var want struct{ dump, root string }
	var shards []string
	for _, force := range all {
		t.Run(fmt.Sprintf("%s with %d workers", force.Name, force.workers), func(t *testing.T) {
			f := newFixture(t, force.Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root,
				func(j *pipeline.Job) { j.Workers, j.ReadAhead = force.workers, 2*force.workers-1 })
			upload := f.complete()

			// The first combination says what the others have to give.
			if shards == nil {
				shards, want.dump, want.root = f.stored(), f.dump(), upload.RootCID.String()
			}

			sameNames(t, "shards", f.stored(), shards)
			equal(t, "root", upload.RootCID.String(), want.root)
			sameDump(t, f.dump(), want.dump)
		})
	}
}

// TestAnInterruptedRunGoesOn cancels runs after random times until one completes.
func TestAnInterruptedRunGoesOn(t *testing.T) {
	undisturbed := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root)
	root := undisturbed.complete().RootCID.String()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		slow := mixed
		slow.Latency = 200 * time.Microsecond
		f := newFixture(t, db, sourcetest.NewSynthetic(slow), sourcetest.Root)
		random := rand.New(rand.NewPCG(1, 2))

		interrupted := 0

		// The time limit grows, so that at last one run completes.
		for patience := 5 * time.Millisecond; ; patience = patience * 3 / 2 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.Int64N(int64(patience))))
			f.job.Progress = &progress.Counters{}
			result, err := f.job.Run(ctx)
			cancel()
			if err == nil {
				equal(t, "state", result.Upload.State, sqlrepo.Complete)
				equal(t, "upload", result.Upload.ID, 1)
				equal(t, "root", result.Upload.RootCID.String(), root)
				break
			}

			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			interrupted++
		}

		if interrupted < 3 {
			t.Errorf("only %d runs were interrupted", interrupted)
		}
		sameNames(t, "shards", f.stored(), undisturbed.stored())
		sameDump(t, f.dump(), undisturbed.dump())
	})
}

func TestEachByteIsReadOnce(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		counting := sourcetest.NewCounting(sourcetest.NewSynthetic(mixed))
		f := newFixture(t, db, counting, sourcetest.Root)
		upload := f.complete()
		equal(t, "bytes read", counting.Total().BytesRead, upload.Bytes)

		counting.Reset()
		again := f.complete()
		equal(t, "bytes read of an unchanged source", counting.Total().BytesRead, 0)
		equal(t, "root of an unchanged source", again.RootCID.String(), upload.RootCID.String())
	})
}

func TestASecondUploadCostsWhatChanged(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		tree := sourcetest.NewSynthetic(mixed)
		counting := sourcetest.NewCounting(tree)
		f := newFixture(t, db, counting, sourcetest.Root)
		first := f.complete()

		changed := tree.FilePath(2, 5)
		tree.Change(changed, 0)
		counting.Reset()
		second := f.complete()
		if second.ID == first.ID || second.RootCID == first.RootCID {
			t.Errorf("upload %d with root %s follows %d with %s", second.ID, second.RootCID, first.ID, first.RootCID)
		}

		equal(t, "bytes read", counting.Total().BytesRead, counting.Path(changed).BytesRead)
		totals, err := f.repo.Totals(context.Background(), second.ID)
		must(t, err)
		equal(t, "bytes packed", totals.Content, mixed.SizeOf(2, 5))

		fresh := newFixture(t, enginetest.Engines()[0].Open(t), tree, sourcetest.Root)
		equal(t, "root", second.RootCID.String(), fresh.complete().RootCID.String())

		third := f.complete()
		equal(t, "root of an unchanged third upload", third.RootCID.String(), second.RootCID.String())
	})
}

func TestAnotherProfileTakesNothingOver(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t), sourcetest.NewSynthetic(mixed), sourcetest.Root)
	f.complete()
	f.job.Fresh.Profile = "guppy"
	upload := f.complete()
	equal(t, "bytes packed", upload.PackedBytes, upload.Bytes)
}

func TestASingleFileIsItsOwnRoot(t *testing.T) {
	root := tree(t, map[string]string{"hello.txt": "hello world"}) + "/hello.txt"
	f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root)
	equal(t, "root", f.complete().RootCID.String(), "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
}
