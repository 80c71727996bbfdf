package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// mendFiles repairs the problems of the store.
func (m *mending) mendFiles(ctx context.Context, problems []Problem) (changed bool, err error) {
	for _, p := range problems {
		did, err := m.mendFile(ctx, p)
		if err != nil {
			return changed, err
		}
		changed = changed || did
	}
	return changed, nil
}

func (m *mending) mendFile(ctx context.Context, p Problem) (bool, error) {
	switch remedies[p.Code].action {
	case removeFile:
		return m.temporary(ctx, p.File)
	case computePiece:
		return m.piece(ctx, p.Shard)
	case forgetIndex:
		return m.forgetIndex(ctx, p.Index)
	case restoreIndex:
		return m.restoreIndex(ctx, p.Index)
	case remakeShard, salvageShard:
		return m.shard(ctx, p.Shard)
	}
	return false, nil
}

// temporary removes a temporary file unless a worker has begun to need it.
func (m *mending) temporary(ctx context.Context, name string) (changed bool, err error) {
	for _, place := range m.Stores {
		if place.Files == nil {
			continue
		}
		unfinished, err := leftovers.Files(ctx, m.Repo, place.Files)
		if err != nil {
			return changed, err
		}

		i := slices.IndexFunc(unfinished, func(file store.Unfinished) bool { return file.Name == name })
		if i < 0 {
			continue
		}
		done, err := m.once(change{fileRemoved, name}, func() error { return place.Files.Discard(ctx, unfinished[i]) })
		if err != nil {
			return changed, err
		}
		changed = changed || done
	}
	return changed, nil
}

// identify gives stores their lost identities back. That comes before other repairs, since nothing is made again from
// the files of an unidentified store. If none of its files is there, the steps that need it fail on their own.
func (m *mending) identify(ctx context.Context, r *run) (changed bool, err error) {
	problems, err := m.collect(r, func(ctx context.Context) error {
		return r.eachStore(func(place Place) error { return r.marker(ctx, place) })
	})(ctx)
	if err != nil {
		return false, err
	}

	for _, p := range problems {
		if err := m.mark(ctx, p.identity); errors.Is(err, ErrStoreUnknown) {
			continue
		} else if err != nil {
			return changed, err
		}
		changed = true
		if err := m.Did(change{markerRestored, p.identity}.String()); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// mark gives a store its identity back. It first makes sure that the store is the one that it should be: most of
// its shards must be there. An identity in the wrong store, or in a bare mount point, would make all of its missing
// files count as lost.
func (m *mending) mark(ctx context.Context, identity string) error {
	place := m.place(identity)
	if identity == "" {
		return fmt.Errorf("%w: the uploads name no store", ErrStoreUnknown)
	}

	expected, found, err := m.countFiles(ctx, place)
	if err != nil {
		return err
	}
	if found == 0 || 2*found < expected {
		return fmt.Errorf("%w: %d of the %d files of store %q are at %s: mount the store there, or run guppy store set %s "+
			"URL if it has moved; if its files are lost, guppy store set %s URL --lost begins again there", ErrStoreUnknown,
			found, expected, place.Store.Name, place.Files.URL(), place.Store.Name, place.Store.Name)
	}
	return place.Files.Mark(ctx, identity)
}

// countFiles counts the shards that uploads have in a store, and how many of them are in its place. For a store without
// uploads, which may be a replica, found counts the shards there that any row names.
func (m *mending) countFiles(ctx context.Context, place Place) (expected, found int64, err error) {
	r := run{Checker: &m.Checker, flawed: map[int64]bool{}}
	for upload, err := range r.uploads(ctx) {
		if err != nil {
			return 0, 0, err
		}
		if upload.Store != place.Store.Identity {
			continue
		}

		filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
		for row, err := range m.Repo.Shards(ctx, upload.ID, filter) {
			if err != nil && !blamesRows(ctx, err) {
				return 0, 0, err
			}
			if err != nil || len(row.Digest) != len(sqlrepo.Digest{}) {
				continue
			}

			expected++
			there, err := has(ctx, place.Files, shard.Name([32]byte(row.Digest)))
			if err != nil {
				return 0, 0, err
			}
			if there {
				found++
			}
		}
	}
	if expected > 0 {
		return expected, found, nil
	}

	named, err := r.named(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	for file, err := range place.Files.Committed(ctx) {
		if err != nil {
			return 0, 0, err
		}
		if isNamed(file.Name, named) {
			found++
		}
	}
	return found, found, nil
}

func has(ctx context.Context, files store.Store, name string) (bool, error) {
	_, err := files.Size(ctx, name)
	if isGone(err) {
		return false, nil
	}
	return err == nil, err
}

// requireStore returns the store of an upload, or ErrStoreUnknown unless its marker proves that it is the one.
func (m *mending) requireStore(ctx context.Context, upload int64) (store.Store, error) {
	row, err := m.Repo.Upload(ctx, upload)
	if err != nil {
		return nil, err
	}
	place := m.place(row.Store)
	if place.Files == nil {
		return nil, fmt.Errorf("%w: upload %d: %w", ErrStoreUnknown, upload, place.Absent)
	}
	if row.Store == "" {
		return place.Files, nil
	}

	err = known.Prove(ctx, place.Files, place.Store)
	if errors.Is(err, store.ErrDamagedMarker) || errors.Is(err, store.ErrAbsent) {
		err = fmt.Errorf("%w: %w", ErrStoreUnknown, err)
	}
	return place.Files, err
}

// shard makes the rows of a shard again from its file. If the file is gone or bad, it gives the shard up.
func (m *mending) shard(ctx context.Context, id int64) (bool, error) {
	if m.read[id] {
		return false, nil
	}
	m.read[id] = true
	row, err := m.Repo.Shard(ctx, id)
	if err != nil {
		return false, err
	}

	m.changed(row.Upload)
	if _, err := m.requireStore(ctx, row.Upload); err != nil {
		return false, fmt.Errorf("shard %d: %w", id, err)
	}

	// A good file decides, even if the row says that the shard is not packed.
	names, err := m.filesOf(ctx, row)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		found, good, err := m.good(ctx, row, name)
		if err != nil {
			return false, err
		}
		if good {
			return true, m.replace(ctx, row, found)
		}
	}

	if healed, err := m.heal(ctx, row); healed || err != nil {
		return healed, err
	}
	if row.State == sqlrepo.ShardPlanned || row.State == sqlrepo.ShardEmpty {
		return m.once(change{shardReset, id}, func() error { return m.auditor().ResetShard(ctx, id) })
	}
	return m.lose(ctx, row)
}

// isGone reports whether an error means that the file does not exist, or never did.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNotKept)
}

// filesOf returns the names that the file of a shard may have: the name from its digest, and those of files of its size
// that no row names, since the digest itself may be wrong.
func (m *mending) filesOf(ctx context.Context, row sqlrepo.Shard) (names []string, err error) {
	if len(row.Digest) == len(sqlrepo.Digest{}) {
		names = append(names, shard.Name([32]byte(row.Digest)))
	}
	unnamed, err := m.unnamedFiles(ctx, row.Store)
	return append(names, unnamed[row.Size]...), err
}

// unnamedFiles returns the names of the shard files of a store that no row of the store named when the repair first
// asked for them, by size.
func (m *mending) unnamedFiles(ctx context.Context, identity string) (map[int64][]string, error) {
	if unnamed := m.unnamed[identity]; unnamed != nil {
		return unnamed, nil
	}

	known, err := (&run{Checker: &m.Checker}).named(ctx, identity)
	if err != nil {
		return nil, err
	}

	unnamed := map[int64][]string{}
	for file, err := range m.place(identity).Files.Committed(ctx) {
		if err != nil {
			return nil, err
		}
		if _, ok := shard.ParseName(file.Name); ok && !isNamed(file.Name, known) {
			unnamed[file.Size] = append(unnamed[file.Size], file.Name)
		}
	}
	m.unnamed[identity] = unnamed
	return unnamed, nil
}

// good reports whether a file matches its name and belongs to the row of a shard. It belongs to the row if it has the
// digest, the size or the number of blocks of the row, and one of the blocks that the repository has for the shard,
// if it has any.
func (m *mending) good(ctx context.Context, row sqlrepo.Shard, name string) (found contents, good bool, err error) {
	digest, named := shard.ParseName(name)
	if !named {
		return found, false, nil
	}
	found, err = readShard(ctx, m.place(row.Store).Files, name, row.Piece != nil, nil)
	if isGone(err) {
		return found, false, nil
	}
	if err != nil || found.broken != nil || found.digest != digest || len(found.nodes) == 0 {
		return found, false, err
	}

	if bytes.Equal(row.Digest, digest[:]) {
		return found, true, nil
	}
	if found.size != row.Size && int64(len(found.nodes)) != row.Nodes {
		return found, false, nil
	}
	good, err = m.hasBlockOf(ctx, row.ID, found.nodes)
	return found, good, err
}

// hasBlockOf reports whether some nodes have a block that the repository has for a shard. It is true if the
// repository has none, or none that can be read.
func (m *mending) hasBlockOf(ctx context.Context, shard int64, nodes []sqlrepo.Node) (bool, error) {
	digests := map[sqlrepo.Digest]bool{}
	for _, node := range nodes {
		digests[node.Digest] = true
	}

	none := true
	for node, err := range m.Repo.Nodes(ctx, shard) {
		if err != nil && blamesRows(ctx, err) {
			return true, nil
		}
		if err != nil || digests[node.Digest] {
			return err == nil, err
		}
		none = false
	}
	return none, nil
}

// replace makes the rows of a shard again.
func (m *mending) replace(ctx context.Context, row sqlrepo.Shard, found contents) error {
	row.Kind = sqlrepo.DataShard
	if found.nodes[0].Codec == cid.DagProtobuf {
		row.Kind = sqlrepo.DAGShard
	}

	row.Size, row.Digest, row.Piece = found.size, found.digest[:], found.piece
	if err := m.auditor().ReplaceNodes(ctx, row, found.nodes); err != nil {
		return err
	}

	// The index describes the old rows.
	if row.Index != 0 {
		if _, err := m.forgetIndex(ctx, row.Index); err != nil {
			return err
		}
	}
	return m.did("shard %d: its rows were built again from its file", row.ID)
}

// lose gives a shard up, except for the good blocks in its file. It sets the file aside if its digest differs from
// its name. Unless blocks may be given up, it changes nothing if any would be lost: they may be in a store that is
// away.
func (m *mending) lose(ctx context.Context, row sqlrepo.Shard) (changed bool, err error) {
	saved, err := m.salvage(ctx, row)
	if err != nil {
		return false, fmt.Errorf("shard %d: %w", row.ID, err)
	}

	done := fmt.Sprintf("%d of its %d blocks were intact, and are in a new file", saved, row.Nodes)
	if saved == 0 {
		if !m.GiveUp {
			return false, nil
		}
		done = "it was given up"
		if err := m.auditor().LoseShard(ctx, row.ID); err != nil {
			return false, err
		}
	}

	// The damaged file must not stay under a name that promises good content.
	aside, err := m.setAside(ctx, row)
	if err != nil {
		return true, err
	}
	if aside != "" {
		return true, m.did("shard %d: %s; its file is now %s", row.ID, done, aside)
	}
	return true, m.did("shard %d: %s", row.ID, done)
}

func (m *mending) setAside(ctx context.Context, row sqlrepo.Shard) (aside string, err error) {
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return "", nil
	}

	name := shard.Name([32]byte(row.Digest))
	_, err = m.place(row.Store).Files.Size(ctx, name)
	if isGone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}

	bin, err := m.bin(ctx, row)
	if err != nil {
		return "", err
	}
	return bin.SetAside(ctx, name)
}

// bin returns the trash of a shard's space, in the store of the shard.
func (m *mending) bin(ctx context.Context, row sqlrepo.Shard) (*trash.Bin, error) {
	space, err := m.Repo.SpaceOf(ctx, row.Upload)
	if err != nil {
		return nil, err
	}
	return trash.Find(ctx, m.Repo, m.place(row.Store).Files, space)
}
