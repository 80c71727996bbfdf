package check

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// salvage writes the good blocks of a damaged shard file to a new file, and makes that the shard's file. No other
// file may have these blocks, and the source may have changed since. It returns the number of good blocks. If there
// are none, or blocks would be lost that may not be given up, the shard stays as it is and the number is 0.
func (m *mending) salvage(ctx context.Context, row sqlrepo.Shard) (saved int, err error) {
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return 0, nil
	}
	space, err := m.spaceOf(ctx, row.Upload)
	if err != nil {
		return 0, err
	}

	files, owner := m.place(row.Store).Files, leftovers.Owner(space, row.Upload, row.Token)
	builder, err := shard.NewBuilder(ctx, files, owner, shard.WithPiece(row.Piece != nil))
	if err != nil {
		return 0, err
	}

	// Other stores may have what this one has lost, even if no file is whole.
	if err := m.gather(ctx, row, files, builder); err != nil {
		return 0, errors.Join(err, builder.Abort())
	}
	for _, place := range m.Stores {
		if place.Files == nil || place.Store.Identity == row.Store {
			continue
		}
		if err := m.gather(ctx, row, place.Files, builder); err != nil {
			return 0, errors.Join(err, builder.Abort())
		}
	}

	// The draft has no name yet. Without any block it is dropped.
	draft, err := builder.Finish(ctx)
	if err != nil || draft.Empty() {
		return 0, err
	}
	defer func() { err = errors.Join(err, draft.Abort()) }()
	if int64(len(draft.Nodes())) < row.Nodes && !m.GiveUp {
		return 0, nil
	}
	return len(draft.Nodes()), m.adopt(ctx, row, draft)
}

// gather adds the good blocks that a store has in the file of a shard.
func (m *mending) gather(ctx context.Context, row sqlrepo.Shard, files store.Store, to *shard.Builder) error {
	name := shard.Name([32]byte(row.Digest))
	for _, name := range []string{name, store.Aside(name)} { // an interrupted repair may have set it aside
		found, err := has(ctx, files, name)
		if err != nil {
			return err
		}
		if !found {
			continue
		}

		err = bySections(ctx, files, name, to) // up to the damage first, to keep the old order
		if err == nil {
			err = m.byNodes(ctx, row, files, name, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// byNodes adds the blocks of a file that lie where the rows say.
func (m *mending) byNodes(ctx context.Context, row sqlrepo.Shard, files store.Store, name string,
	to *shard.Builder) error {
	size, err := files.Size(ctx, name)
	if err != nil {
		return err
	}

	file, err := files.OpenAt(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read

	var block []byte
	for node, err := range m.Repo.Nodes(ctx, row.ID) {
		if err != nil {
			if blamesRows(ctx, err) {
				return nil
			}
			return err
		}

		position, length := int64(node.Position), int64(node.Length)
		// A damaged row may point anywhere.
		if position < 0 || length < 0 || length > car.MaxDataSize || position+length > size {
			continue
		}
		block = slices.Grow(block[:0], int(length))[:length]
		if n, err := file.ReadAt(ctx, block, position); n < len(block) {
			return err
		}
		if sqlrepo.Digest(sha256.Sum256(block)) != node.Digest {
			continue
		}
		if err := to.Add(node.Codec, node.Digest, block); err != nil {
			return err
		}
	}
	return nil
}

// bySections adds the blocks that the file itself lists, up to the first damaged one.
func bySections(ctx context.Context, files store.Store, name string, to *shard.Builder) error {
	file, err := files.Open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read

	var size int64
	source := &counted{ctx: ctx, from: file, n: &size}
	for reader := car.NewReader(source); ; {
		section, err := reader.Next()
		if err != nil {
			return cmp.Or(source.failed, ctx.Err()) // bytes that are no section end the search without an error
		}

		digest := [sha256.Size]byte(section.CID.Hash()[2:])
		if err := to.Add(uint8(section.CID.Type()), digest, section.Data); err != nil { //nolint:gosec // a short codec
			return err
		}
	}
}

// adopt makes a draft the file of a shard. The damaged file is set aside. If the damage lies only between the
// blocks, the draft has the same name as the damaged file: then it takes its place.
func (m *mending) adopt(ctx context.Context, row sqlrepo.Shard, draft *shard.Draft) error {
	damaged := row
	draft.Describe(&row)
	row.Kind = sqlrepo.DataShard
	if draft.Nodes()[0].Codec == cid.DagProtobuf {
		row.Kind = sqlrepo.DAGShard
	}

	// Two files can't have one name.
	if string(row.Digest) == string(damaged.Digest) {
		if err := m.makeWay(ctx, damaged); err != nil {
			return err
		}
	}
	if err := draft.Stage(ctx, nil); err != nil {
		return err
	}

	if err := draft.Publish(ctx); err != nil {
		return err
	}
	if err := m.auditor().ShrinkShard(ctx, row, draft.Nodes()); err != nil {
		return err
	}

	if row.Index != 0 {
		if _, err := m.forgetIndex(ctx, row.Index); err != nil {
			return err
		}
	}
	return nil
}

// makeWay sets the file of a shard aside although a row names it.
func (m *mending) makeWay(ctx context.Context, row sqlrepo.Shard) error {
	name := shard.Name([32]byte(row.Digest))
	bin, err := m.bin(ctx, row)
	if err != nil {
		return err
	}

	blob, err := bin.Store.Trash(ctx, bin.Owner, name)
	if err != nil || blob == (store.Trashed{}) {
		return err
	}
	if _, err := bin.Store.SetAside(ctx, blob); err != nil {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	return nil
}
