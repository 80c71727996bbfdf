package pipeline

import "github.com/guppy-prep/guppy/sqlrepo"

// show updates the progress counters with the state of an upload and with what other workers have packed of it.
func (c *crew) show(upload *sqlrepo.OpenUpload) {
	p := c.Progress
	p.Enter(upload.State.String())
	if upload.State == sqlrepo.Packing {
		own := c.own[upload.ID]
		p.FilesTotal.Store(upload.PlannedFiles)
		p.BytesTotal.Store(upload.PlannedBytes)
		p.OtherFiles.Store(upload.PackedFiles - own.files)
		p.OtherBytes.Store(upload.PackedBytes - own.bytes)
	}
}

// packedContent is the content of an upload that this worker has packed and sealed.
type packedContent struct{ files, bytes int64 }

// sealed counts the content of a shard that this worker has sealed.
func (c *crew) sealed(p *packedShard) {
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	own := c.own[p.shard.Upload]
	own.files += p.Files
	own.bytes += p.Shard.Content
	c.own[p.shard.Upload] = own
}
