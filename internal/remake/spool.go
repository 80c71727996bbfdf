package remake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/guppy-prep/guppy/internal/link"
	"github.com/guppy-prep/guppy/internal/unixfs"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// spool has the blocks of a DAG shard in a file, each where it lies in the shard.
type spool struct{ file *os.File }

func (s *spool) block(_ context.Context, node sqlrepo.Node) ([]byte, error) {
	block := make([]byte, node.Length)
	if n, err := s.file.ReadAt(block, int64(node.Position)); err != nil || !isOf(block[:n], node) {
		return nil, fmt.Errorf("%w: no upload has it any more", ErrLost)
	}
	return block, nil
}

// spooledAtOnce is how many shards are made in one go, since each takes going through all entries of an upload. What is
// held for one meanwhile is its nodes, up to 3 MB.
const spooledAtOnce = 8

// spooled returns the blocks of a DAG shard, and makes them first, with those of the shards behind it, if need be.
func (r *Remaker) spooled(ctx context.Context, shard sqlrepo.Shard, nodes []sqlrepo.Node) (*spool, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if made := r.spools[shard.ID]; made != nil {
		return made, nil
	}
	w := &wanted{places: map[sqlrepo.Digest][]nodePlace{}}
	made := map[int64]*spool{}
	err := r.want(ctx, shard, nodes, w, made)
	if err == nil {
		err = r.makeDAGs(ctx, shard.Upload, w)
	}
	if err != nil {
		for _, s := range made {
			err = errors.Join(err, s.file.Close())
		}
		return nil, err
	}
	for id, s := range made {
		r.spools[id] = s
	}
	return made[shard.ID], nil
}

// want says which blocks are to be made: those of the shard, and of some that follow.
func (r *Remaker) want(ctx context.Context, first sqlrepo.Shard, nodes []sqlrepo.Node, w *wanted, made map[int64]*spool) error {
	if err := r.wantShard(first, nodes, w, made); err != nil {
		return err
	}
	kind := sqlrepo.DAGShard
	packed := sqlrepo.ShardFilter{Kind: &kind, States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	for shard, err := range r.repo.Shards(ctx, first.Upload, packed) {
		if err != nil {
			return err
		}
		if shard.Ordinal <= first.Ordinal || r.spools[shard.ID] != nil {
			continue
		}
		if len(made) == spooledAtOnce {
			break
		}
		nodes, err := r.nodes(ctx, shard)
		if err != nil {
			return err
		}
		if err := r.wantShard(shard, nodes, w, made); err != nil {
			return err
		}
	}
	return nil
}

func (r *Remaker) wantShard(shard sqlrepo.Shard, nodes []sqlrepo.Node, w *wanted, made map[int64]*spool) error {
	file, err := os.CreateTemp(r.tempDir, "guppy-dag-*.tmp")
	if err != nil {
		return err
	}
	made[shard.ID] = &spool{file}
	for _, node := range nodes {
		w.places[node.Digest] = append(w.places[node.Digest], nodePlace{file, node.Position})
	}
	return os.Remove(file.Name()) // it stays for as long as it is open
}

// makeDAGs makes what is wanted: by the upload's own entries, and what they don't give, by those of other uploads of the
// space, since removing an upload leaves blocks that others need.
func (r *Remaker) makeDAGs(ctx context.Context, upload int64, w *wanted) error {
	own, err := r.repo.Upload(ctx, upload)
	if err != nil {
		return err
	}
	if err := r.makeDAG(ctx, own, w); err != nil || len(w.places) == 0 {
		return err
	}
	space, err := r.repo.SpaceOf(ctx, upload)
	if err != nil {
		return err
	}
	others, err := r.repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space})
	for _, other := range others {
		if err != nil || len(w.places) == 0 {
			break
		}
		if other.ID != upload && other.State == sqlrepo.Complete {
			err = r.makeDAG(ctx, other, w)
		}
	}
	return err
}

// makeDAG goes through the entries of an upload. One whose rows make no DAG gives what it can.
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

// wanted are blocks that are to be made, and where they belong.
type wanted struct {
	places map[sqlrepo.Digest][]nodePlace
}

type nodePlace struct {
	file     *os.File
	position int32
}

// Leaves has nothing to do: chunks are in no DAG shard.
func (w *wanted) Leaves(sqlrepo.Linkable, sqlrepo.Segment, []byte) error { return nil }

// Node keeps a block that is wanted.
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

// Root has nothing to do.
func (w *wanted) Root(sqlrepo.Linkable, unixfs.Link) error { return nil }
