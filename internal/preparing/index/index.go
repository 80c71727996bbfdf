// Package index records where the blocks of shards lie. It makes sharded DAG indexes over packed shards, from rows
// alone, and stores them beside the shards.
package index

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrInconsistent is returned when the nodes of a shard do not match its row.
var ErrInconsistent = errors.New("the repository is inconsistent")

// Nodes reads the nodes of shards.
type Nodes interface {
	NodesOf(ctx context.Context, shards []int64, begin func(), visit func(sqlrepo.ShardNode) error) error
}

// Repository is the part of the repository that indexing needs.
type Repository interface {
	Nodes
	Uncovered(ctx context.Context, space, upload int64) iter.Seq2[sqlrepo.Indexable, error]
	SaveIndexes(ctx context.Context, stage sqlrepo.Stage, indexes []sqlrepo.NewIndex) error
	CompleteUpload(ctx context.Context, stage sqlrepo.Stage, indexes []sqlrepo.NewIndex) (sqlrepo.Upload, error)
	trash.Repository
}

// Indexer indexes one upload.
type Indexer struct {
	Repo  Repository
	Store store.Store
	// Owner marks the indexer's temporary blobs in the store.
	Owner string
	Space int64
	// Alive, if not nil, is called with the number of blocks of each index.
	Alive func(n int64)
	// batch is the number of bytes of indexes that are held before they are stored and recorded. 0 means batchBytes.
	batch int64
}

// Run makes indexes over the shards of a linked upload, and over shards of the space that are still without an
// index. Then it completes the upload. Indexes recorded by an interrupted attempt stay.
func (x *Indexer) Run(ctx context.Context, stage sqlrepo.Stage) (completed sqlrepo.Upload, err error) {
	err = untilUnchanged(func() error {
		save := func(indexes []sqlrepo.NewIndex) error { return x.Repo.SaveIndexes(ctx, stage, indexes) }
		last, err := x.cover(ctx, x.Repo, stage.Upload, save)
		if err != nil {
			return err
		}

		return x.save(ctx, x.Repo, last, func(indexes []sqlrepo.NewIndex) (err error) {
			completed, err = x.Repo.CompleteUpload(ctx, stage, indexes)
			return err
		})
	})
	return completed, err
}

// mostAttempts bounds how often the shards are read again because others changed them.
const mostAttempts = 20

// untilUnchanged repeats an attempt if others covered or removed shards meanwhile, or discarded a temporary blob.
func untilUnchanged(attempt func() error) (err error) {
	for range mostAttempts {
		if err = attempt(); !errors.Is(err, sqlrepo.ErrSpaceChanged) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// batchBytes is small because the bytes are stored during a transaction and held in memory.
const batchBytes = 4 << 20

type uncovered interface {
	Nodes
	trash.Repository
	Uncovered(ctx context.Context, space, upload int64) iter.Seq2[sqlrepo.Indexable, error]
}

// cover makes indexes in the name of an upload. It saves all batches but the last, which it returns.
func (x *Indexer) cover(ctx context.Context, repo uncovered, upload sqlrepo.Upload,
	save func([]sqlrepo.NewIndex) error) (last []sqlrepo.NewIndex, err error) {
	held := int64(0)
	upload.IndexLayout = cmp.Or(upload.IndexLayout, sqlrepo.DefaultIndexLayout)

	for shards, err := range groups(repo.Uncovered(ctx, x.Space, upload.ID), upload.IndexSlices) {
		if err != nil {
			return nil, err
		}

		// Only full batches are saved here: Run saves the last one as it completes the upload.
		if held >= cmp.Or(x.batch, batchBytes) {
			if err := x.save(ctx, repo, last, save); err != nil {
				return nil, err
			}
			last, held = nil, 0
		}

		built, err := x.build(ctx, repo, upload, shards)
		if err != nil {
			return nil, err
		}

		last, held = append(last, built), held+built.Size
	}
	return last, nil
}

// save records indexes. If others were quicker, it removes the files that were stored in vain, unless a row names
// them.
func (x *Indexer) save(ctx context.Context, repo trash.Repository, indexes []sqlrepo.NewIndex,
	record func([]sqlrepo.NewIndex) error) error {
	err := record(indexes)
	if errors.Is(err, sqlrepo.ErrSpaceChanged) || errors.Is(err, sqlrepo.ErrLeaseLost) {
		return errors.Join(err, x.discard(ctx, repo, indexes))
	}
	return err
}

// discard removes the stored files of indexes, unless a row names them.
func (x *Indexer) discard(ctx context.Context, repo trash.Repository, indexes []sqlrepo.NewIndex) error {
	var stored []string
	for _, index := range indexes {
		name := blobindex.Name([sha256.Size]byte(index.Digest))

		_, err := x.Store.Size(ctx, name)
		switch {
		case err == nil:
			stored = append(stored, name)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrNotKept):
			return err
		}
	}

	if len(stored) == 0 {
		return nil
	}

	bin, err := trash.Find(ctx, repo, x.Store, x.Space)
	if err != nil {
		return err
	}

	_, err = bin.Remove(ctx, stored)
	return err
}

// groups puts consecutive shards into the same index as long as there is room for their slices: one for each block,
// and one for the whole shard. Shards are not split, so a shard with too many slices has an index of its own.
func groups(shards iter.Seq2[sqlrepo.Indexable, error], most int64) iter.Seq2[[]sqlrepo.Indexable, error] {
	return func(yield func([]sqlrepo.Indexable, error) bool) {
		var group []sqlrepo.Indexable
		used := int64(0)

		for shard, err := range shards {
			if err != nil {
				yield(nil, err)
				return
			}

			// A block takes one slice, and the shard as a whole takes another.
			slices := shard.Nodes + 1
			if used+slices > most && len(group) > 0 {
				if !yield(group, nil) {
					return
				}
				group, used = nil, 0
			}
			group, used = append(group, shard), used+slices
		}

		if len(group) > 0 {
			yield(group, nil)
		}
	}
}

// layoutOf returns the layout of the upload in whose name an index is made. But a single shard may have too many
// blocks for that layout. Then layoutOf returns the layout of the shard's own upload or, if even that one is too
// small, the default layout, so that readers accept the index.
func layoutOf(upload sqlrepo.Upload, shards []sqlrepo.Indexable) string {
	slices := shards[0].Nodes + 1
	if len(shards) > 1 || slices <= upload.IndexSlices {
		return upload.IndexLayout
	}

	if layout, err := blobindex.ParseLayout(shards[0].Layout); err == nil && slices <= layout.MaxSlices() {
		return shards[0].Layout
	}

	return sqlrepo.DefaultIndexLayout
}

// build builds an index over some shards.
func (x *Indexer) build(ctx context.Context, repo Nodes, upload sqlrepo.Upload,
	shards []sqlrepo.Indexable) (built sqlrepo.NewIndex, err error) {
	row := sqlrepo.Index{Layout: layoutOf(upload, shards), Root: upload.RootCID}
	encoded, slices, err := Bytes(ctx, repo, row, shards)
	if err != nil {
		return built, err
	}

	digest := sha256.Sum256(encoded)
	row.Shards, row.Slices, row.Size, row.Digest = int64(len(shards)), slices, int64(len(encoded)), digest[:]
	built.Index = row

	for _, shard := range shards {
		built.Covers = append(built.Covers, shard.ID)
	}

	name := blobindex.Name(digest)
	built.Publish = func(ctx context.Context) error { return x.Put(ctx, name, encoded) }

	// Such a store may be slow, so the index is put there before the transaction begins. The transaction then only
	// confirms that the index is there.
	if store.CommitsAhead(x.Store) {
		if err := x.Put(ctx, name, encoded); err != nil {
			return built, err
		}
		built.Publish = func(ctx context.Context) error { return x.Store.Confirm(store.WithoutPatience(ctx), name) }
	}

	if x.Alive != nil {
		x.Alive(slices - row.Shards)
	}
	return built, nil
}

// Put stores the content of an index under its name, in the place of a file that is there.
func (x *Indexer) Put(ctx context.Context, name string, content []byte) (err error) {
	blob, err := x.Store.Create(ctx, x.Owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Abort()) }()

	if _, err := blob.Write(content); err != nil {
		return err
	}
	return blob.Commit(ctx, name)
}

// Bytes returns an index over some shards, in the layout and with the root of a row, and the number of its slices.
// The bytes depend only on the layout, the root and the content of the shards.
func Bytes(ctx context.Context, repo Nodes, row sqlrepo.Index, shards []sqlrepo.Indexable) ([]byte, int64, error) {
	layout, err := blobindex.ParseLayout(row.Layout)
	if err != nil {
		return nil, 0, err
	}

	content, err := Content(ctx, repo, row, shards)
	if err != nil {
		return nil, 0, err
	}

	var encoded bytes.Buffer
	if err := blobindex.Encode(ctx, &encoded, layout, content); err != nil {
		return nil, 0, err
	}

	return encoded.Bytes(), content.Slices(), nil
}

// Verified makes the bytes of a recorded index again and compares them with its digest. It returns ErrInconsistent
// if they differ.
func Verified(ctx context.Context, repo Nodes, row sqlrepo.Index, shards []sqlrepo.Indexable) ([]byte, error) {
	again, _, err := Bytes(ctx, repo, row, shards)
	if digest := sha256.Sum256(again); err == nil && !bytes.Equal(digest[:], row.Digest) {
		err = fmt.Errorf("%w: index %d does not match its shards (run guppy check)", ErrInconsistent, row.ID)
	}
	return again, err
}

// Content returns the content of an index over some shards, with the root of a row.
func Content(ctx context.Context, repo Nodes, row sqlrepo.Index, shards []sqlrepo.Indexable) (blobindex.Index, error) {
	content := blobindex.Index{Content: row.Root.Cid, Shards: make([]blobindex.Shard, len(shards))}
	places, keys := make(map[int64]int, len(shards)), make([]int64, len(shards))
	for i, shard := range shards {
		if len(shard.Digest) != sha256.Size {
			return content, fmt.Errorf("%w: shard %d has a digest of %d bytes", ErrInconsistent, shard.ID, len(shard.Digest))
		}
		places[shard.ID], keys[i] = i, shard.ID
	}

	// NodesOf calls begin each time it starts to read, so a retried read does not add nodes twice.
	begin := func() {
		for i, shard := range shards {
			whole := blobindex.Slice{Digest: [sha256.Size]byte(shard.Digest), Length: shard.Size}
			slices := append(make([]blobindex.Slice, 0, shard.Nodes+1), whole)
			content.Shards[i] = blobindex.Shard{Digest: whole.Digest, Slices: slices}
		}
	}

	err := repo.NodesOf(ctx, keys, begin, func(node sqlrepo.ShardNode) error {
		to := &content.Shards[places[node.Shard]]
		to.Slices = append(to.Slices, blobindex.Slice{
			Digest: node.Digest, Offset: int64(node.Position), Length: int64(node.Length),
		})
		return nil
	})
	if err != nil {
		return content, err
	}

	for i, shard := range shards {
		if nodes := int64(len(content.Shards[i].Slices)) - 1; nodes != shard.Nodes {
			return content, fmt.Errorf("%w: shard %d has %d nodes, but its row says %d", ErrInconsistent, shard.ID, nodes,
				shard.Nodes)
		}
	}
	return content, nil
}
