package gc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// neededBlocks holds the shards of a space that remaining uploads need.
type neededBlocks struct {
	collector *Collector
	space     int64
	shards    map[int64]struct{}
	// digests still have to be looked up, for uploads in store.
	digests []sqlrepo.Digest
	store   string
	// segments holds the shards with segments of shared entries.
	segments map[int64]struct{}
	// seen holds the uploads that were looked at, walked the complete uploads whose DAG was walked, and sealed the
	// shards of other uploads. shared holds the moments of those other uploads when their shared content was looked
	// at.
	seen, walked, sealed map[int64]bool
	shared               map[int64]moment
}

// moment identifies the moment at which an upload was viewed. If it has not changed, the upload has only taken
// over content that a complete upload had at that moment, and complete uploads are walked anyway.
type moment struct {
	state sqlrepo.UploadState
	began sqlrepo.Time
}

func momentOf(upload sqlrepo.Upload) moment { return moment{upload.State, upload.StageBegan} }

func newNeededBlocks(c *Collector, space int64) *neededBlocks {
	n := &neededBlocks{collector: c, space: space, segments: map[int64]struct{}{}}
	n.forget()
	return n
}

// takeNeeds returns the needs that Plan has found, or new ones. Uploads under way are looked at again: they may have
// taken over content of the removed uploads since.
func (c *Collector) takeNeeds(space int64) *neededBlocks {
	n := c.planned[space]
	if n == nil {
		return newNeededBlocks(c, space)
	}
	delete(c.planned, space)
	clear(n.shared)
	return n
}

// NeededBy returns the keys of the shards of a space that hold a block which an upload needs, or the digests of
// content that it shares. The result is right as long as no other process is at work.
func (c *Collector) NeededBy(ctx context.Context, space int64, upload sqlrepo.Upload) (map[int64]struct{}, error) {
	n := newNeededBlocks(c, space)
	if err := n.addUpload(ctx, upload); err != nil {
		return nil, n.explain(ctx, upload, err)
	}
	return n.shards, n.flush(ctx)
}

// forget makes the next update look at all uploads again.
func (n *neededBlocks) forget() {
	n.shards, n.digests = maps.Clone(n.segments), n.digests[:0]
	n.seen, n.walked, n.sealed, n.shared = map[int64]bool{}, map[int64]bool{}, map[int64]bool{}, map[int64]moment{}
}

// addSegments adds the shards that hold the digests of entries which later uploads share.
func (n *neededBlocks) addSegments(ctx context.Context, entries []int64) error {
	if len(entries) == 0 {
		return nil
	}
	shards, err := n.collector.remover().SegmentShards(ctx, entries)
	for _, shard := range shards {
		n.shards[shard] = struct{}{}
		n.segments[shard] = struct{}{}
	}
	return err
}

// update adds the shards that hold a block which the remaining uploads need. It skips what it has seen before,
// unless one of the uploads seen is gone. It returns sqlrepo.ErrSpaceChanged if an upload was removed or went on
// while it was looked at.
func (n *neededBlocks) update(ctx context.Context, remaining []sqlrepo.Upload) error {
	if n.hasLost(remaining) {
		n.forget()
	}
	n.expect(remaining)
	for _, upload := range remaining {
		n.seen[upload.ID] = true
		if err := n.addUpload(ctx, upload); err != nil {
			return n.explain(ctx, upload, err)
		}
	}
	n.collector.Progress.Settle() // unfinished uploads have less, or more
	return n.flush(ctx)
}

// expect begins to count the content of the uploads that will be walked.
func (n *neededBlocks) expect(remaining []sqlrepo.Upload) {
	n.collector.Progress.Begin("finding what other uploads need", "block")
	for _, upload := range remaining {
		if upload.Rooted() && !n.walked[upload.ID] {
			n.collector.Progress.Expect(0, upload.Bytes)
		}
	}
}

// hasLost reports whether an upload that was looked at does not remain. Blocks that only such an upload needs are
// not needed.
func (n *neededBlocks) hasLost(remaining []sqlrepo.Upload) bool {
	seen := 0
	for _, upload := range remaining {
		if n.seen[upload.ID] {
			seen++
		}
	}
	return seen < len(n.seen)
}

func (n *neededBlocks) addUpload(ctx context.Context, upload sqlrepo.Upload) error {
	if n.store != upload.Store {
		if err := n.flush(ctx); err != nil {
			return err
		}
		n.store = upload.Store
	}

	if upload.Rooted() {
		return n.addDAG(ctx, upload)
	}
	if err := n.addShared(ctx, upload); err != nil {
		return err
	}
	return n.addSealed(ctx, upload)
}

// explain distinguishes damage from an upload whose rows have changed while they were read.
func (n *neededBlocks) explain(ctx context.Context, upload sqlrepo.Upload, failure error) error {
	// Rows that changed during the walk may look damaged. The state of the upload shows the difference.
	now, err := n.collector.Repo.Upload(ctx, upload.ID)
	switch {
	case ctx.Err() != nil:
		return failure
	case errors.Is(err, sqlrepo.ErrNotFound), err == nil && momentOf(now) != momentOf(upload):
		return fmt.Errorf("upload %d has changed: %w (%w)", upload.ID, sqlrepo.ErrSpaceChanged, failure)
	}
	return fmt.Errorf("the needs of upload %d are unknown, so no shard was removed (run guppy check): %w",
		upload.ID, errors.Join(failure, err))
}

// addDAG adds all blocks of a linked upload.
func (n *neededBlocks) addDAG(ctx context.Context, upload sqlrepo.Upload) error {
	if n.walked[upload.ID] {
		return nil
	}

	walker := reach.Walker{Repo: n.collector.Repo, TempDir: n.collector.TempDir}
	root, err := walker.Walk(ctx, upload, func(batch []reach.Block) error {
		content := int64(0)
		for _, block := range batch {
			if err := n.add(ctx, block.Digest); err != nil {
				return err
			}
			if block.Owner != 0 {
				content += block.Length
			}
		}
		n.collector.Progress.Add(int64(len(batch)), content)
		return nil
	})

	// If the rows make another DAG than the recorded one, blocks of the recorded one may be missing from the needs.
	if err == nil && !root.Equals(upload.RootCID.Cid) {
		err = fmt.Errorf("%w: its rows make the root %s, not %s", link.ErrInconsistent, root, upload.RootCID)
	}
	n.walked[upload.ID] = err == nil
	return err
}

// addShared adds all blocks of the files that an upload under way shares with earlier ones. Linking does not make
// these blocks again.
func (n *neededBlocks) addShared(ctx context.Context, upload sqlrepo.Upload) error {
	now := momentOf(upload)
	if n.shared[upload.ID] == now {
		return nil
	}

	profile, err := unixfs.ParseProfile(upload.Profile)
	if err != nil {
		return err
	}

	digests := link.NewDigestCache(n.collector.Repo)
	entries := n.collector.Repo.Contents(ctx, upload.ID, sqlrepo.Ready, sqlrepo.Rescanned, sqlrepo.Unreachable)
	// Entries without an origin have their chunks in shards of the upload itself: see addSealed.
	for entry, err := range entries {
		if err == nil && entry.Origin != 0 {
			err = n.addFile(ctx, profile.NewFile(entry.Size, n.node(ctx)), entry.Segments, digests)
		}
		if err != nil {
			return err
		}
	}
	n.shared[upload.ID] = now
	return nil
}

func (n *neededBlocks) addFile(ctx context.Context, file *unixfs.File, segments []sqlrepo.Segment,
	digests *link.DigestCache) error {
	for i := range segments {
		chunks, err := digests.Of(ctx, segments, i)
		if err != nil {
			return err
		}
		if err := n.addChunks(ctx, chunks); err != nil {
			return err
		}

		if err := file.Add(chunks); err != nil {
			return err
		}
	}
	_, err := file.Close()
	return err
}

func (n *neededBlocks) node(ctx context.Context) func(unixfs.Block) error {
	return func(block unixfs.Block) error { return n.add(ctx, sqlrepo.Digest(block.CID.Hash()[2:])) }
}

// addSealed adds all chunks of the settled shards of an upload under way, even if their entries have changed since.
func (n *neededBlocks) addSealed(ctx context.Context, upload sqlrepo.Upload) error {
	kind := sqlrepo.DataShard
	settled := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked, sqlrepo.ShardEmpty}, Kind: &kind}
	for shard, err := range n.collector.Repo.Shards(ctx, upload.ID, settled) {
		if err != nil {
			return err
		}
		if n.sealed[shard.ID] {
			continue
		}

		digests, err := n.collector.Repo.ShardDigests(ctx, shard.ID)
		if err != nil {
			return err
		}
		if err := n.addChunks(ctx, digests); err != nil {
			return err
		}
		n.sealed[shard.ID] = true
	}
	return nil
}

// addChunks adds blocks from a sequence of digests.
func (n *neededBlocks) addChunks(ctx context.Context, digests []byte) error {
	if len(digests)%len(sqlrepo.Digest{}) != 0 {
		return fmt.Errorf("%w: digests of %d bytes", link.ErrInconsistent, len(digests))
	}
	for digest := range slices.Chunk(digests, len(sqlrepo.Digest{})) {
		if err := n.add(ctx, sqlrepo.Digest(digest)); err != nil {
			return err
		}
	}
	return nil
}

// digestsAtOnce is the number of blocks that one query looks up.
const digestsAtOnce = 10_000

func (n *neededBlocks) add(ctx context.Context, digest sqlrepo.Digest) error {
	if n.digests = append(n.digests, digest); len(n.digests) < digestsAtOnce {
		return nil
	}
	return n.flush(ctx)
}

// flush looks the blocks up in the store of the uploads that need them. Blocks that are not there are looked up in
// all stores, as older versions left out blocks that any store had.
func (n *neededBlocks) flush(ctx context.Context) error {
	if len(n.digests) == 0 {
		return nil
	}
	repo, scope := n.collector.Repo, sqlrepo.Scope{Space: n.space, Store: n.store}
	elsewhere, err := repo.HoldersAmong(ctx, scope, n.digests, n.shards)
	if err == nil && len(elsewhere) > 0 && n.store != "" {
		err = repo.Holders(ctx, sqlrepo.Scope{Space: n.space}, elsewhere, n.shards)
	}
	n.digests = n.digests[:0]
	return err
}
