// Package plan cuts the files of an upload into shards before a byte is read. Chunks have a fixed size, so the
// length of a CAR file can be computed.
package plan

import (
	"context"
	"iter"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that planning needs.
type Repository interface {
	PlanTail(ctx context.Context, upload int64) (sqlrepo.PlanTail, error)
	Unplanned(ctx context.Context, upload int64, tail sqlrepo.PlanTail) iter.Seq2[sqlrepo.PlanFile, error]
	LargestFile(ctx context.Context, upload int64) (int64, error)
	SavePlan(ctx context.Context, stage sqlrepo.Stage, plan []sqlrepo.PlannedShard) error
}

// batchSegments is the approximate number of segments that one transaction records.
const batchSegments = 20_000

// Run plans the content of the upload that is not planned yet. It calls alive for each planned file. It returns
// shard.ErrTooSmall, before it plans anything, if a chunk does not fit the shard size.
//
// The plan of an interrupted run stays, and planning continues where that run ended. So the shards are the same as
// without the interruption.
func Run(ctx context.Context, repo Repository, stage sqlrepo.Stage, count *progress.Counters,
	alive func(n int64)) error {
	return cutWith(ctx, repo, stage, count, alive, batchSegments)
}

func cutWith(ctx context.Context, repo Repository, stage sqlrepo.Stage, count *progress.Counters, alive func(n int64),
	batch int) error {
	if err := checkShardSize(ctx, repo, stage.Upload); err != nil {
		return err
	}

	tail, err := repo.PlanTail(ctx, stage.Upload.ID)
	if err != nil {
		return err
	}

	p := planner{repo: repo, stage: stage, count: count, batch: batch}
	p.begin(tail.NextOrdinal)

	// The interrupted run may have ended in the middle of a file.
	if tail.Partial != nil {
		if err := p.add(ctx, *tail.Partial, tail.Planned); err != nil {
			return err
		}
	}

	for file, err := range repo.Unplanned(ctx, stage.Upload.ID, tail) {
		if err != nil {
			return err
		}

		if err := p.add(ctx, file, 0); err != nil {
			return err
		}
		alive(1)
	}
	return p.finish(ctx)
}

// checkShardSize returns shard.ErrTooSmall if a chunk of the upload does not fit a shard. It reads the files only
// if a whole chunk might not fit.
func checkShardSize(ctx context.Context, repo Repository, upload sqlrepo.Upload) error {
	if shard.CheckFits(unixfs.ChunkSize, upload.ShardSize) == nil {
		return nil
	}

	largest, err := repo.LargestFile(ctx, upload.ID)
	if err != nil {
		return err
	}

	return shard.CheckFits(min(largest, unixfs.ChunkSize), upload.ShardSize)
}

// planner fills one shard after the other.
type planner struct {
	repo     Repository
	stage    sqlrepo.Stage
	count    *progress.Counters
	batch    int
	done     []sqlrepo.PlannedShard
	segments int
	open     sqlrepo.PlannedShard
}

func (p *planner) begin(ordinal int64) {
	p.open = sqlrepo.PlannedShard{}
	p.open.Shard.Ordinal, p.open.Shard.PlannedSize = ordinal, int64(len(car.Header))
}

// add plans a file from offset to its end.
func (p *planner) add(ctx context.Context, file sqlrepo.PlanFile, offset int64) error {
	p.count.FilesTotal.Add(1)
	p.count.BytesTotal.Add(file.Size - offset)

	for {
		chunks, length, size := p.fit(file.Size - offset)
		if chunks > 0 {
			p.open.Segments = append(p.open.Segments, sqlrepo.Segment{
				Entry: file.ID, Offset: offset, Chunk: p.open.Shard.Chunks, Length: length,
			})
			p.open.Shard.Chunks += chunks
			p.open.Shard.PlannedSize += size
			offset += length
		}

		// An empty file has one chunk without bytes, so its end alone is not enough.
		if chunks > 0 && offset == file.Size {
			return nil
		}

		if err := p.close(ctx); err != nil {
			return err
		}
	}
}

// fit returns how much of the rest of a file the open shard takes: in chunks, in bytes of the file, and in bytes of
// the shard.
func (p *planner) fit(remaining int64) (chunks, length, size int64) {
	const full = unixfs.ChunkSize
	space := p.stage.Upload.ShardSize - p.open.Shard.PlannedSize
	blocks := p.stage.Upload.MaxBlocks() - p.open.Shard.Chunks

	chunks = min(remaining/full, space/car.SectionSize(full), blocks)
	length, size = chunks*full, chunks*car.SectionSize(full)

	// The last chunk of a file may be shorter, and an empty file has one empty chunk.
	rest := remaining - length
	last := rest < full && (rest > 0 || remaining == 0)
	if last && chunks < blocks && size+car.SectionSize(rest) <= space {
		chunks, length, size = chunks+1, length+rest, size+car.SectionSize(rest)
	}

	return chunks, length, size
}

// close ends the open shard, and saves the plan once it has enough segments. Before the end of planning, only whole
// shards are saved.
func (p *planner) close(ctx context.Context) error {
	p.done, p.segments = append(p.done, p.open), p.segments+len(p.open.Segments)
	p.begin(p.open.Shard.Ordinal + 1)

	if p.segments < p.batch {
		return nil
	}
	return p.save(ctx)
}

func (p *planner) save(ctx context.Context) error {
	if len(p.done) == 0 {
		return nil
	}

	err := p.repo.SavePlan(ctx, p.stage, p.done)
	p.done, p.segments = nil, 0
	return err
}

func (p *planner) finish(ctx context.Context) error {
	if len(p.open.Segments) > 0 {
		p.done = append(p.done, p.open)
	}
	return p.save(ctx)
}
