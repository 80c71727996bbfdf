package plan

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

var errCrash = errors.New("crash")

// memory is a repository of one upload. It fails once before it has recorded more than a number of shards.
type memory struct {
	files   []sqlrepo.PlanFile
	plan    []sqlrepo.PlannedShard
	crashAt int
}

func (m *memory) PlanTail(context.Context, int64) (tail sqlrepo.PlanTail, err error) {
	tail.NextOrdinal = int64(len(m.plan))
	if len(m.plan) == 0 {
		return tail, nil
	}
	segments := m.plan[len(m.plan)-1].Segments
	last := segments[len(segments)-1]
	if file := m.files[last.Entry]; last.Offset+last.Length < file.Size {
		tail.Partial, tail.Planned = &file, last.Offset+last.Length
	}
	return tail, nil
}

func (m *memory) Unplanned(context.Context, int64, sqlrepo.PlanTail) iter.Seq2[sqlrepo.PlanFile, error] {
	return func(yield func(sqlrepo.PlanFile, error) bool) {
		planned := map[int64]bool{}
		for _, s := range m.plan {
			for _, segment := range s.Segments {
				planned[segment.Entry] = true
			}
		}

		for _, file := range m.files {
			if !planned[file.ID] && !yield(file, nil) {
				return
			}
		}
	}
}

func (m *memory) LargestFile(context.Context, int64) (largest int64, err error) {
	for _, file := range m.files {
		largest = max(largest, file.Size)
	}
	return largest, nil
}

func (m *memory) SavePlan(_ context.Context, _ sqlrepo.Stage, plan []sqlrepo.PlannedShard) error {
	if m.crashAt > 0 && len(m.plan)+len(plan) > m.crashAt {
		m.crashAt = 0
		return errCrash
	}
	m.plan = append(m.plan, plan...)
	return nil
}

func run(m *memory, shardSize int64, batch int) error {
	upload := sqlrepo.Stage{Upload: sqlrepo.Upload{ShardSize: shardSize}}
	return cutWith(context.Background(), m, upload, &progress.Counters{}, func(int64) {}, batch)
}

func drawFiles(t *rapid.T) (files []sqlrepo.PlanFile) {
	size := rapid.OneOf(
		rapid.Int64Range(0, 5000),
		rapid.SampledFrom([]int64{0, 1, unixfs.ChunkSize - 1, unixfs.ChunkSize, unixfs.ChunkSize + 1}),
		rapid.Int64Range(0, 40<<20),
	)
	for i, n := range rapid.SliceOfN(size, 0, 60).Draw(t, "sizes") {
		files = append(files, sqlrepo.PlanFile{ID: int64(i), Size: n})
	}
	return files
}

func TestAPlanHoldsEachByteOnceAndFitsItsShards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &memory{files: drawFiles(t)}
		shardSize := rapid.Int64Range(unixfs.ChunkSize+60, 20<<20).Draw(t, "shard size")
		if err := run(m, shardSize, 10); err != nil {
			t.Fatal(err)
		}

		// The next segment has to begin where the last one ended.
		at := sqlrepo.Segment{}
		for ordinal, planned := range m.plan {
			size, chunks := int64(len(car.Header)), int64(0)
			for _, s := range planned.Segments {
				if s.Entry != at.Entry || s.Offset != at.Offset || s.Chunk != chunks || s.Offset%unixfs.ChunkSize != 0 {
					t.Fatalf("shard %d: segment %+v, where entry %d was to go on at %d in chunk %d",
						ordinal, s, at.Entry, at.Offset, chunks)
				}
				size, chunks = size+sections(s.Length), chunks+unixfs.Chunks(s.Length)
				at.Offset += s.Length
				if at.Offset == m.files[s.Entry].Size {
					at = sqlrepo.Segment{Entry: s.Entry + 1}
				}
			}

			if planned.Shard.Ordinal != int64(ordinal) || planned.Shard.PlannedSize != size || planned.Shard.Chunks != chunks ||
				size > shardSize || chunks > maxBlocks {
				t.Fatalf("shard %d: %+v, but its segments make %d bytes in %d chunks", ordinal, planned.Shard, size, chunks)
			}
		}

		if at.Entry != int64(len(m.files)) {
			t.Fatalf("entry %d is not planned to its end", at.Entry)
		}
	})
}

// sections returns the length of the sections for a range of a file.
func sections(length int64) (size int64) {
	for ; length > unixfs.ChunkSize; length -= unixfs.ChunkSize {
		size += car.SectionSize(unixfs.ChunkSize)
	}
	return size + car.SectionSize(length)
}

func TestAnInterruptedPlanGoesOnTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := drawFiles(t)
		shardSize := rapid.Int64Range(unixfs.ChunkSize+60, 8<<20).Draw(t, "shard size")
		whole := &memory{files: files}
		if err := run(whole, shardSize, 5); err != nil {
			t.Fatal(err)
		}

		crashed := &memory{files: files, crashAt: rapid.IntRange(1, 12).Draw(t, "crash")}
		for range 2 {
			if err := run(crashed, shardSize, 5); err != nil && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
		}

		if !reflect.DeepEqual(crashed.plan, whole.plan) {
			t.Fatalf("got %+v, want %+v", crashed.plan, whole.plan)
		}
	})
}

// maxBlocks is the largest number of blocks in a shard of an upload with default options.
const maxBlocks = sqlrepo.DefaultIndexSlices - 1

func TestAShardHasAsManyBlocksAsAnIndexTakes(t *testing.T) {
	m := &memory{}
	for i := range 10 {
		m.files = append(m.files, sqlrepo.PlanFile{ID: int64(i), Size: 1})
	}

	stage := sqlrepo.Stage{Upload: sqlrepo.Upload{ShardSize: car.DefaultShardSize, IndexSlices: 5}}
	if err := cutWith(t.Context(), m, stage, &progress.Counters{}, func(int64) {}, 1); err != nil {
		t.Fatal(err)
	}

	for i, want := range []int64{4, 4, 2} {
		if got := m.plan[i].Shard.Chunks; got != want {
			t.Errorf("shard %d has %d blocks, want %d", i, got, want)
		}
	}
}

func TestManySmallFilesFillAShardByNumber(t *testing.T) {
	m := &memory{}
	for i := range 2*maxBlocks + 1 {
		m.files = append(m.files, sqlrepo.PlanFile{ID: int64(i), Size: 1})
	}

	if err := run(m, car.DefaultShardSize, 1); err != nil {
		t.Fatal(err)
	}

	var blocks []int64
	for _, planned := range m.plan {
		blocks = append(blocks, planned.Shard.Chunks)
	}
	if want := []int64{maxBlocks, maxBlocks, 1}; !reflect.DeepEqual(blocks, want) {
		t.Errorf("got shards of %d blocks, want %d", blocks, want)
	}
}

func TestAShardSizeThatIsTooSmallIsRefused(t *testing.T) {
	for _, c := range []struct {
		file, shardSize int64
		fits            bool
	}{
		{73, 128, true}, {74, 128, false}, {0, 128, true},
		{unixfs.ChunkSize, 18 + 3 + 36 + unixfs.ChunkSize, true}, {unixfs.ChunkSize, 17 + 3 + 36 + unixfs.ChunkSize, false},
	} {
		m := &memory{files: []sqlrepo.PlanFile{{ID: 0, Size: c.file}}}
		err := run(m, c.shardSize, 1)
		if c.fits != (err == nil) || err != nil && !errors.Is(err, shard.ErrTooSmall) {
			t.Errorf("a file of %d bytes in shards of %d: %v", c.file, c.shardSize, err)
		}

		if !c.fits && len(m.plan) > 0 {
			t.Error("something was planned all the same")
		}
	}
}
