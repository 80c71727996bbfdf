package pipeline

import "github.com/guppy-prep/guppy/sqlrepo"

// showProgress updates the progress counters with the state of an upload and with what other workers have packed of it.
func (c *crew) showProgress(upload *sqlrepo.OpenUpload) {
	p := c.Progress
	p.Enter(upload.State.String())
	if upload.State == sqlrepo.Packing {
		packed := c.packed[upload.ID]
		p.FilesTotal.Store(upload.PlannedFiles)
		p.BytesTotal.Store(upload.PlannedBytes)
		p.OtherFiles.Store(upload.PackedFiles - packed.files)
		p.OtherBytes.Store(upload.PackedBytes - packed.bytes)
	}
}

// packedContent is the content of an upload that this worker has packed and sealed.
type packedContent struct{ files, bytes int64 }

// sealed counts the content of a shard that this worker has sealed.
func (c *crew) sealed(p *packedShard) {
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	packed := c.packed[p.shard.Upload]
	packed.files += p.Files
	packed.bytes += p.Shard.Content
	c.packed[p.shard.Upload] = packed
}
