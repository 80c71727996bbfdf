package remake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/host/durable"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// spool holds the blocks of a DAG shard in a file, each at its offset in the shard.
type spool struct {
	file *os.File
	// users counts those that read it.
	users int
}

func (s *spool) block(_ context.Context, node sqlrepo.Node) ([]byte, error) {
	block := make([]byte, node.Length)
	n, err := s.file.ReadAt(block, int64(node.Position))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !isOf(block[:n], node) {
		return nil, fmt.Errorf("%w: no upload has it any more", ErrLost)
	}
	return block, nil
}

// spooledAtOnce is the number of shards that are made in one pass, because each pass goes through all entries of
// an upload. Meanwhile the nodes of each shard are in memory, up to 3 MB.
const spooledAtOnce = 8

// heldSpools is the number of spools of a few passes.
const heldSpools = 3 * spooledAtOnce

// making is a DAG shard that is being made.
type making struct {
	done chan struct{}
	err  error
}

// spooled returns the blocks of a DAG shard. If necessary it first makes them, with those of the shards that
// follow: once, however many callers ask. The caller releases the spool.
func (r *Remaker) spooled(ctx context.Context, shard sqlrepo.Shard, nodes []sqlrepo.Node) (*spool, error) {
	for {
		cached, underWay := r.claim(shard, nodes)
		if cached != nil {
			return cached, nil
		}

		select {
		case <-underWay.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}

		if underWay.err != nil {
			return nil, underWay.err
		}
	}
}

// claim returns a spool and counts the caller among its users, or returns the making of the spool, which it begins
// unless it is under way.
func (r *Remaker) claim(shard sqlrepo.Shard, nodes []sqlrepo.Node) (*spool, *making) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if cached := r.spools[shard.ID]; cached != nil {
		cached.users++
		r.idle.Remove(shard.ID)
		return cached, nil
	}

	underWay := r.making[shard.ID]
	if underWay == nil {
		underWay = &making{done: make(chan struct{})}
		r.making[shard.ID] = underWay
		r.makers.Go(func() { r.end(shard.ID, underWay, r.makeShards(shard, nodes)) })
	}

	return nil, underWay
}

func (r *Remaker) end(shard int64, underWay *making, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.making, shard)
	underWay.err = err
	close(underWay.done)
}

// release drops the spool that was read longest ago, if there are too many that nobody reads.
func (r *Remaker) release(shard int64, used *spool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used.users--
	if used.users == 0 && r.spools[shard] == used { // Close drops what is still read
		r.idle.Add(shard, used)
	}
}

// leftIdle drops a spool that is no longer among the idle ones, unless that is so because somebody reads it.
func (r *Remaker) leftIdle(shard int64, s *spool) {
	if s.users == 0 {
		r.drop(shard)
	}
}

func (r *Remaker) drop(shard int64) {
	r.closed = errors.Join(r.closed, r.spools[shard].file.Close())
	delete(r.spools, shard)
}

func (r *Remaker) has(shard int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spools[shard] != nil
}

// makeShards makes the spool of a shard and of some shards that follow it.
func (r *Remaker) makeShards(shard sqlrepo.Shard, nodes []sqlrepo.Node) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}

	// The pass for another shard has made this one, too.
	if r.has(shard.ID) {
		return nil
	}

	w := &wanted{places: map[sqlrepo.Digest][]nodePlace{}}
	spools := map[int64]*spool{}

	err := r.want(r.ctx, shard, nodes, w, spools)
	if err == nil {
		err = r.makeDAGs(r.ctx, shard.Upload, w)
	}

	if err != nil {
		for _, s := range spools {
			err = errors.Join(err, s.file.Close())
		}
		return err
	}

	r.keep(spools, shard.ID)
	return nil
}

// keep keeps what was made, the spool that was asked for the longest.
func (r *Remaker) keep(spools map[int64]*spool, asked int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.spools, spools)
	for id, s := range spools {
		if id != asked {
			r.idle.Add(id, s)
		}
	}
	r.idle.Add(asked, spools[asked])
}

// want collects the blocks to be made: those of the shard and of some shards that follow it.
func (r *Remaker) want(ctx context.Context, first sqlrepo.Shard, nodes []sqlrepo.Node, w *wanted,
	spools map[int64]*spool) error {
	if err := r.wantShard(first, nodes, w, spools); err != nil {
		return err
	}

	kind := sqlrepo.DAGShard
	packed := sqlrepo.ShardFilter{Kind: &kind, States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	for shard, err := range r.repo.Shards(ctx, first.Upload, packed) {
		if err != nil {
			return err
		}

		if shard.Ordinal <= first.Ordinal || r.has(shard.ID) {
			continue
		}

		if len(spools) == spooledAtOnce {
			break
		}

		nodes, err := r.nodes(ctx, shard)
		if err != nil {
			return err
		}

		if err := r.wantShard(shard, nodes, w, spools); err != nil {
			return err
		}
	}
	return nil
}

func (r *Remaker) wantShard(shard sqlrepo.Shard, nodes []sqlrepo.Node, w *wanted, spools map[int64]*spool) error {
	file, err := durable.CreateUnnamed(r.tempDir)
	if err != nil {
		return err
	}
	spools[shard.ID] = &spool{file: file}
	for _, node := range nodes {
		w.places[node.Digest] = append(w.places[node.Digest], nodePlace{file, node.Position})
	}
	return nil
}

// makeDAGs makes the wanted blocks from the entries of the upload. For the blocks still missing it uses the other
// uploads of the space, because removing an upload leaves blocks that others need.
func (r *Remaker) makeDAGs(ctx context.Context, upload int64, w *wanted) error {
	row, err := r.repo.Upload(ctx, upload)
	if err != nil {
		return err
	}

	if err := r.makeDAG(ctx, row, w); err != nil || len(w.places) == 0 {
		return err
	}

	space, err := r.repo.SpaceOf(ctx, upload)
	if err != nil {
		return err
	}

	uploads, err := r.repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space})

	for _, other := range uploads {
		if err != nil || len(w.places) == 0 {
			break
		}

		if other.ID != upload && other.State == sqlrepo.Complete {
			err = r.makeDAG(ctx, other, w)
		}
	}
	return err
}

// makeDAG makes blocks from the entries of an upload. An upload whose rows form no DAG provides as many as it
// can.
func (r *Remaker) makeDAG(ctx context.Context, upload sqlrepo.Upload, w *wanted) error {
	profile, err := unixfs.ParseProfile(upload.Profile)
	if err != nil {
		return err
	}

	builder := link.NewBuilder(profile, r.tempDir, r.repo, w)
	defer builder.Discard()

	for entry, err := range r.repo.Contents(ctx, upload.ID, sqlrepo.Ready, sqlrepo.Rescanned) {
		if err == nil {
			err = builder.Add(ctx, entry)
		}

		if err != nil {
			return unlessNone(err)
		}

		// Everything that was wanted has been made.
		if len(w.places) == 0 {
			return nil
		}
	}

	_, _, err = builder.Finish()
	return unlessNone(err)
}

func unlessNone(err error) error {
	if errors.Is(err, link.ErrInconsistent) || errors.Is(err, link.ErrNoRoot) {
		return nil
	}
	return err
}

// wanted holds the blocks to be made, with their places.
type wanted struct {
	places map[sqlrepo.Digest][]nodePlace
}

type nodePlace struct {
	file     *os.File
	position int32
}

// Leaves does nothing, because no DAG shard has chunks.
func (w *wanted) Leaves(sqlrepo.Linkable, sqlrepo.Segment, []byte) error { return nil }

// Node writes a block to its places if it is wanted.
func (w *wanted) Node(_ sqlrepo.Linkable, block unixfs.Block) error {
	digest := [sha256.Size]byte(block.CID.Hash()[2:])

	for _, place := range w.places[digest] {
		if _, err := place.file.WriteAt(block.Data, int64(place.position)); err != nil {
			return err
		}
	}

	delete(w.places, digest)
	return nil
}

// Root does nothing.
func (w *wanted) Root(sqlrepo.Linkable, unixfs.Link) error { return nil }
