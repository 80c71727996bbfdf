package pipeline

import (
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// packedContent is content of an upload that is packed and sealed, or is to be.
type packedContent struct{ files, bytes int64 }

func (p *packedContent) add(other packedContent) {
	p.files += other.files
	p.bytes += other.bytes
}

// share is what the progress of a worker knows about an upload that it takes part in.
type share struct {
	// before was packed before a roving worker joined in. A job counts it as done.
	before packedContent
	// own was packed by this worker.
	own packedContent
	// packed and planned are what they were when the upload was last looked at.
	packed, planned packedContent
}

// takePart makes an upload that is packed count for the progress of this worker. The caller holds the mutex of the
// board.
func (c *crew) takePart(upload *sqlrepo.OpenUpload) {
	if c.shares[upload.ID] != nil {
		return
	}
	joined := &share{}
	if c.Roving {
		joined.before = packedContent{upload.PackedFiles, upload.PackedBytes}
	}
	joined.look(upload)
	c.shares[upload.ID] = joined
}

func (s *share) look(upload *sqlrepo.OpenUpload) {
	s.packed = packedContent{upload.PackedFiles, upload.PackedBytes}
	s.planned = packedContent{upload.PlannedFiles, upload.PlannedBytes}
	if upload.Ended() { // nobody packs the rest
		s.planned = s.packed
	}
}

// showProgress updates the progress counters with the state of the open uploads: with what others have packed of those
// that this worker takes part in, and with what is to be packed of them. Nothing that was packed before the worker
// joined in may look like speed. The caller holds the mutex of the board.
func (c *crew) showProgress(open []sqlrepo.OpenUpload) {
	stage := ""
	for i := range open {
		upload := &open[i]
		packing := upload.State == sqlrepo.Packing
		if packing && !c.Roving {
			c.takePart(upload)
		}
		if joined := c.shares[upload.ID]; joined != nil {
			joined.look(upload)
		}

		// The stages of other uploads do not keep a worker from packing.
		if stage == "" || packing && !upload.Ended() {
			stage = upload.State.String()
		}
	}

	c.settleShares(open)
	var others, total packedContent
	for _, joined := range c.shares {
		others.files += joined.packed.files - joined.before.files - joined.own.files
		others.bytes += joined.packed.bytes - joined.before.bytes - joined.own.bytes
		total.files += joined.planned.files - joined.before.files
		total.bytes += joined.planned.bytes - joined.before.bytes
	}

	// Rates are measured once a total is known and the stage is packing, so these come last.
	p := c.Progress
	if len(c.shares) > 0 {
		p.OtherFiles.Store(others.files)
		p.OtherBytes.Store(others.bytes)
		p.FilesTotal.Store(total.files)
		p.BytesTotal.Store(total.bytes)
	}
	if stage != "" {
		p.Enter(stage)
	}
}

// settled is the key under which the shares of uploads that are no longer open are summed up.
const settled = 0

// settleShares sums up the shares of the uploads that are no longer open. What others may have packed of them since the
// last look stays uncounted.
func (c *crew) settleShares(open []sqlrepo.OpenUpload) {
	for id, joined := range c.shares {
		if id == settled || !c.Roving || slices.ContainsFunc(open, func(o sqlrepo.OpenUpload) bool { return o.ID == id }) {
			continue
		}
		if c.shares[settled] == nil {
			c.shares[settled] = &share{}
		}
		sum := c.shares[settled]
		sum.before.add(joined.before)
		sum.own.add(joined.own)
		sum.packed.add(joined.packed)
		sum.planned = sum.packed
		delete(c.shares, id)
	}
}

// sealed counts the content of a shard that this worker has sealed. The caller holds the mutex of the board.
func (c *crew) sealed(p *packedShard) {
	if joined := c.shares[p.shard.Upload]; joined != nil {
		joined.own.files += p.Files
		joined.own.bytes += p.Shard.Content
	}
}
