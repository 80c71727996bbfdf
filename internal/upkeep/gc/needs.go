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

// needs are the shards of a space that remaining uploads need.
type needs struct {
	collector *Collector
	space     int64
	shards    map[int64]struct{}
	// digests are still to be looked up, for uploads in a store.
	digests []sqlrepo.Digest
	store   string
	// segments are those of the shards that hold segments of shared entries.
	segments map[int64]struct{}
	// seen are the uploads that were looked at: walked the complete ones that were gone through, sealed the shards of
	// others, shared where those others were when what they share was looked at.
	seen, walked, sealed map[int64]bool
	shared               map[int64]progress
}

// progress tells whether an upload may have taken over content since that no complete upload had when it was viewed.
// What a scan takes over after that, a complete upload had, which was gone through.
type progress struct {
	state sqlrepo.UploadState
	began sqlrepo.Time
}

func progressOf(upload sqlrepo.Upload) progress { return progress{upload.State, upload.StageBegan} }

func newNeeds(c *Collector, space int64) *needs {
	n := &needs{collector: c, space: space, segments: map[int64]struct{}{}}
	n.forget()
	return n
}

// takeNeeds returns what was found out for a plan, or nothing. Uploads under way are looked at again: since then they
// may have taken over content of those that are removed now.
func (c *Collector) takeNeeds(space int64) *needs {
	n := c.planned[space]
	if n == nil {
		return newNeeds(c, space)
	}
	delete(c.planned, space)
	clear(n.shared)
	return n
}

// NeededBy returns the keys of the shards of a space that hold a block which an upload needs, and those that tell what
// it shares. It is right as long as nobody is at work.
func (c *Collector) NeededBy(ctx context.Context, space int64, upload sqlrepo.Upload) (map[int64]struct{}, error) {
	n := newNeeds(c, space)
	if err := n.addUpload(ctx, upload); err != nil {
		return nil, n.explain(ctx, upload, err)
	}
	return n.shards, n.flush(ctx)
}

// forget has all uploads be looked at again.
func (n *needs) forget() {
	n.shards, n.digests = maps.Clone(n.segments), n.digests[:0]
	n.seen, n.walked, n.sealed, n.shared = map[int64]bool{}, map[int64]bool{}, map[int64]bool{}, map[int64]progress{}
}

// addSegments adds the shards that tell the digests of entries which later uploads share.
func (n *needs) addSegments(ctx context.Context, entries []int64) error {
	if len(entries) == 0 {
		return nil
	}
	shards, err := n.collector.Repo.SegmentShards(ctx, entries)
	for _, shard := range shards {
		n.shards[shard] = struct{}{}
		n.segments[shard] = struct{}{}
	}
	return err
}

// update adds the shards that hold a block which the remaining uploads need. What it has seen before it does not look
// at again, unless one of the uploads remains no more. It returns sqlrepo.ErrSpaceChanged when one was removed or went
// on while it was looked at.
func (n *needs) update(ctx context.Context, remaining []sqlrepo.Upload) error {
	if n.hasLost(remaining) {
		n.forget()
	}
	for _, upload := range remaining {
		n.seen[upload.ID] = true
		if err := n.addUpload(ctx, upload); err != nil {
			return n.explain(ctx, upload, err)
		}
	}
	return n.flush(ctx)
}

// hasLost tells whether an upload was looked at that remains no more: what only that one needs is no need.
func (n *needs) hasLost(remaining []sqlrepo.Upload) bool {
	left := 0
	for _, upload := range remaining {
		if n.seen[upload.ID] {
			left++
		}
	}
	return left < len(n.seen)
}

func (n *needs) addUpload(ctx context.Context, upload sqlrepo.Upload) error {
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

// explain tells damage from an upload whose rows have changed while they were read.
func (n *needs) explain(ctx context.Context, upload sqlrepo.Upload, failure error) error {
	now, err := n.collector.Repo.Upload(ctx, upload.ID)
	switch {
	case ctx.Err() != nil:
		return failure
	case errors.Is(err, sqlrepo.ErrNotFound), err == nil && progressOf(now) != progressOf(upload):
		return fmt.Errorf("upload %d is not what it was: %w (%w)", upload.ID, sqlrepo.ErrSpaceChanged, failure)
	}
	return fmt.Errorf("what upload %d needs can't be told, so no shard was removed (guppy check says what is wrong): %w",
		upload.ID, errors.Join(failure, err))
}

// addDAG adds all blocks of an upload that is linked.
func (n *needs) addDAG(ctx context.Context, upload sqlrepo.Upload) error {
	if n.walked[upload.ID] {
		return nil
	}
	walker := reach.Walker{Repo: n.collector.Repo, TempDir: n.collector.TempDir}
	root, err := walker.Walk(ctx, upload, func(batch []reach.Block) error {
		for _, block := range batch {
			if err := n.add(ctx, block.Digest); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !root.Equals(upload.RootCID.Cid) {
		err = fmt.Errorf("%w: its rows make the root %s, not %s", link.ErrInconsistent, root, upload.RootCID)
	}
	n.walked[upload.ID] = err == nil
	return err
}

// addShared adds all blocks of the files that an upload under way shares with earlier ones: linking does not make them
// again.
func (n *needs) addShared(ctx context.Context, upload sqlrepo.Upload) error {
	now := progressOf(upload)
	if n.shared[upload.ID] == now {
		return nil
	}
	profile, err := unixfs.ParseProfile(upload.Profile)
	if err != nil {
		return err
	}
	digests := link.NewDigestCache(n.collector.Repo)
	entries := n.collector.Repo.Contents(ctx, upload.ID, sqlrepo.Ready, sqlrepo.Rescanned, sqlrepo.Unreachable)
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

func (n *needs) addFile(ctx context.Context, file *unixfs.File, segments []sqlrepo.Segment,
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

func (n *needs) node(ctx context.Context) func(unixfs.Block) error {
	return func(block unixfs.Block) error { return n.add(ctx, sqlrepo.Digest(block.CID.Hash()[2:])) }
}

// addSealed adds all chunks of the shards that an upload under way has settled, whatever became of their entries.
func (n *needs) addSealed(ctx context.Context, upload sqlrepo.Upload) error {
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

// addChunks adds blocks whose digests follow each other.
func (n *needs) addChunks(ctx context.Context, digests []byte) error {
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

// digestsAtOnce is how many blocks one query looks for.
const digestsAtOnce = 10_000

func (n *needs) add(ctx context.Context, digest sqlrepo.Digest) error {
	if n.digests = append(n.digests, digest); len(n.digests) < digestsAtOnce {
		return nil
	}
	return n.flush(ctx)
}

// flush looks for blocks in the store of the uploads that need them, and everywhere for those that are not there, as
// older versions left out what any store had.
func (n *needs) flush(ctx context.Context) error {
	if len(n.digests) == 0 {
		return nil
	}
	repo, own := n.collector.Repo, sqlrepo.Scope{Space: n.space, Store: n.store}
	elsewhere, err := repo.HoldersAmong(ctx, own, n.digests, n.shards)
	if err == nil && len(elsewhere) > 0 && n.store != "" {
		err = repo.Holders(ctx, sqlrepo.Scope{Space: n.space}, elsewhere, n.shards)
	}
	n.digests = n.digests[:0]
	return err
}
