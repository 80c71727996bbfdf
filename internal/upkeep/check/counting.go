package check

import (
	"context"
	"fmt"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// expectFiles begins the stage that checks the files of uploads, with what is known of its length.
func (r *run) expectFiles(ctx context.Context) error {
	r.Progress.Begin("checking files", "file")
	if r.Progress == nil {
		return nil
	}
	for row, err := range r.blobs(ctx) {
		if err != nil {
			return err
		}
		r.Progress.Expect(1, r.share(row))
	}
	return nil
}

// share returns how many bytes of a file will be read. For a shard that may be in the sample, it is an average.
func (r *run) share(row blobRow) int64 {
	switch {
	case r.ReadPercent <= 0:
		return 0
	case row.shard == 0:
		return row.size
	}
	return int64(float64(row.size) * min(r.ReadPercent, 100) / 100)
}

// begin begins a part for a file that is checked. By now it is known whether the file is read.
func (r *run) begin(row blobRow, read bool) *progress.Part {
	bytes, what := int64(0), fmt.Sprintf("shard %d", row.shard)
	if row.shard == 0 {
		what = fmt.Sprintf("index %d", row.index)
	}
	if read {
		bytes = row.size
	}
	r.Progress.Expect(0, bytes-r.share(row))
	return r.Progress.Part(what, bytes)
}

// finish counts a file that was checked.
func (r *run) finish(part *progress.Part) {
	part.Done()
	r.Progress.Add(1, 0)
}

func blobOfShard(row sqlrepo.Shard) blobRow {
	return blobRow{upload: row.Upload, shard: row.ID, digest: row.Digest, size: row.Size}
}

func blobOfIndex(row sqlrepo.Index) blobRow {
	return blobRow{upload: row.Upload, index: row.ID, digest: row.Digest, size: row.Size}
}
