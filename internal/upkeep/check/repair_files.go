package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
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
	case restoreMarker:
		return m.once(change{markerRestored, nil}, func() error {
			return m.mark(ctx, &run{Checker: &m.Checker, flawed: map[int64]bool{}})
		})
	case removeFile:
		return m.temporary(ctx, p.File)
	case computePiece:
		return m.piece(ctx, p.Shard)
	case forgetIndex:
		return m.forgetIndex(ctx, p.Index)
	case setLocation:
		return m.once(change{locationSet, p.Shard}, func() error { return m.locate(ctx, p) })
	case remakeShard, salvageShard:
		return m.shard(ctx, p.Shard)
	}
	return false, nil
}

// locate sets the location of a shard: its place in the store, or nowhere if no store keeps it.
func (m *mending) locate(ctx context.Context, p Problem) error {
	upload, err := m.Repo.Upload(ctx, p.Upload)
	if err != nil {
		return err
	}
	location := m.Store.Location(p.File)
	if upload.Store == store.NoneIdentity {
		location = store.NoneLocation
	}
	return m.auditor().SetLocation(ctx, p.Shard, location)
}

// temporary removes a temporary file unless a worker has begun to need it.
func (m *mending) temporary(ctx context.Context, name string) (bool, error) {
	unfinished, err := leftovers.Files(ctx, m.Repo, m.Store)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(unfinished, func(file store.Unfinished) bool { return file.Name == name })
	if i < 0 {
		return false, nil
	}
	return m.once(change{fileRemoved, name}, func() error { return m.Store.Discard(ctx, unfinished[i]) })
}

// identify gives the store a lost identity back. That comes before other repairs, since nothing is made again from
// the files of an unidentified store. If the identity can't be found out, the steps that need it fail on their own.
func (m *mending) identify(ctx context.Context, r *run) (changed bool, err error) {
	if m.Store == nil {
		return false, nil
	}
	problems, err := m.collect(r, func(ctx context.Context) error {
		_, err := r.marker(ctx)
		return err
	})(ctx)
	if err != nil || len(problems) == 0 {
		return false, err
	}
	if err := m.mark(ctx, r); errors.Is(err, ErrStoreUnknown) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, m.Did(change{markerRestored, nil}.String())
}

// mark gives the store the identity that the uploads know. It first makes sure that the store is theirs: one of
// their files must be there.
func (m *mending) mark(ctx context.Context, r *run) error {
	known, _, err := r.storeOf(ctx)
	if err != nil {
		return err
	}

	// An identity in the wrong store would make all of its missing files count as lost.
	found, err := m.owners(ctx, r)
	if err != nil {
		return err
	}

	switch {
	case len(found) == 0:
		return fmt.Errorf("%w: none of their files is there: mount the store there, or name its place with --store; "+
			"if its files are lost, prepare the sources again into another store", ErrStoreUnknown)
	case known == "" && len(found) == 1: // there are several stores, and only one has files here
		known = found[0]
	}

	if known == "" {
		return fmt.Errorf("%w: the uploads name no store, or several stores whose files are here: restore the "+
			"content of the marker file, the identity that guppy dump shows for the upload", ErrStoreUnknown)
	}
	return m.Store.Mark(ctx, known)
}

// owners returns the store identities of the uploads that have a file in the store. The identity is "" for an upload
// that names no store.
func (m *mending) owners(ctx context.Context, r *run) (found []string, err error) {
	for upload, err := range r.uploads(ctx) {
		if err != nil {
			return nil, err
		}
		if upload.Store == store.NoneIdentity || slices.Contains(found, upload.Store) {
			continue
		}

		holds, err := m.hasFile(ctx, upload.ID)
		if err != nil {
			return nil, err
		}
		if holds {
			found = append(found, upload.Store)
		}
	}
	return found, nil
}

// hasFile reports whether the store has a file of an upload. One file is enough, because names are digests of the
// content.
func (m *mending) hasFile(ctx context.Context, upload int64) (bool, error) {
	filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	for row, err := range m.Repo.Shards(ctx, upload, filter) {
		if err != nil {
			return false, err
		}

		for _, name := range filesOf(row) {
			if _, isShard := shard.ParseName(name); !isShard {
				continue
			}
			if found, err := m.has(ctx, name); found || err != nil {
				return found, err
			}
		}
	}

	// An upload may have indexes in the store even if its shards are lost.
	for row, err := range m.Repo.Indexes(ctx, sqlrepo.IndexFilter{Upload: &upload}) {
		if err != nil {
			return false, err
		}

		if len(row.Digest) != len(sqlrepo.Digest{}) {
			continue
		}
		if found, err := m.has(ctx, blobindex.Name([32]byte(row.Digest))); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func (m *mending) has(ctx context.Context, name string) (bool, error) {
	_, err := m.Store.Size(ctx, name)
	if isGone(err) {
		return false, nil
	}
	return err == nil, err
}

// requireStore returns ErrStoreUnknown unless the store is the one of the upload.
func (m *mending) requireStore(ctx context.Context, upload int64) error {
	if m.Store == nil {
		return fmt.Errorf("%w: there is no store", ErrStoreUnknown)
	}
	row, err := m.Repo.Upload(ctx, upload)
	if err != nil {
		return err
	}

	marker, err := m.Store.Marker(ctx)
	if errors.Is(err, store.ErrDamagedMarker) {
		return fmt.Errorf("%w: %w", ErrStoreUnknown, err)
	}
	if err != nil {
		return err
	}
	if row.Store == "" || marker == row.Store {
		return nil
	}
	return fmt.Errorf("%w: its identity is %q, but upload %d is in %s: name that one with --store",
		ErrStoreUnknown, marker, upload, row.Store)
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
	if err := m.requireStore(ctx, row.Upload); err != nil {
		return false, fmt.Errorf("shard %d: %w", id, err)
	}

	// A good file decides, even if the row says that the shard is not packed.
	for _, name := range filesOf(row) {
		found, good, err := m.good(ctx, row, name)
		if err != nil {
			return false, err
		}
		if good {
			return true, m.replace(ctx, row, name, found)
		}
	}

	if row.State == sqlrepo.ShardPlanned || row.State == sqlrepo.ShardEmpty {
		return m.once(change{shardReset, id}, func() error { return m.auditor().ResetShard(ctx, id) })
	}
	return true, m.lose(ctx, row)
}

// isGone reports whether an error means that the file does not exist, or never did.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNotKept)
}

// filesOf returns the names that the file of a shard may have: the name from its digest, and the name from its
// location if the two differ.
func filesOf(row sqlrepo.Shard) (names []string) {
	if len(row.Digest) == len(sqlrepo.Digest{}) {
		names = append(names, shard.Name([32]byte(row.Digest)))
	}
	if name := path.Base(row.Location); row.Location != "" && !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names
}

// good reports whether a file matches its name and belongs to the row of a shard. It belongs to the row if the
// digest, the size or the number of blocks is the same.
func (m *mending) good(ctx context.Context, row sqlrepo.Shard, name string) (found contents, good bool, err error) {
	digest, named := shard.ParseName(name)
	if !named {
		return found, false, nil
	}
	found, err = readShard(ctx, m.Store, name, row.Piece != nil)
	if isGone(err) {
		return found, false, nil
	}
	whole := found.broken == nil && found.digest == digest && len(found.nodes) > 0
	same := bytes.Equal(row.Digest, digest[:]) || found.size == row.Size || int64(len(found.nodes)) == row.Nodes
	return found, whole && same, err
}

// replace makes the rows of a shard again.
func (m *mending) replace(ctx context.Context, row sqlrepo.Shard, name string, found contents) error {
	row.Kind = sqlrepo.DataShard
	if found.nodes[0].Codec == cid.DagProtobuf {
		row.Kind = sqlrepo.DAGShard
	}

	row.Size, row.Digest, row.Location = found.size, found.digest[:], m.Store.Location(name)
	row.Piece = found.piece
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
// its name.
func (m *mending) lose(ctx context.Context, row sqlrepo.Shard) error {
	saved, err := m.salvage(ctx, row)
	if err != nil {
		return fmt.Errorf("shard %d: %w", row.ID, err)
	}

	done := fmt.Sprintf("%d of its %d blocks were intact, and are in a new file", saved, row.Nodes)
	if saved == 0 {
		done = "it was given up"
		if err := m.auditor().LoseShard(ctx, row.ID); err != nil {
			return err
		}
	}

	// The damaged file must not stay under a name that promises good content.
	aside, err := m.setAside(ctx, row)
	if err != nil {
		return err
	}
	if aside != "" {
		return m.did("shard %d: %s; its file is now %s", row.ID, done, aside)
	}
	return m.did("shard %d: %s", row.ID, done)
}

func (m *mending) setAside(ctx context.Context, row sqlrepo.Shard) (aside string, err error) {
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return "", nil
	}

	name := shard.Name([32]byte(row.Digest))
	_, err = m.Store.Size(ctx, name)
	if isGone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}

	bin, err := m.bin(ctx, row.Upload)
	if err != nil {
		return "", err
	}
	return bin.SetAside(ctx, name)
}

// bin returns the trash of an upload's space.
func (m *mending) bin(ctx context.Context, upload int64) (*trash.Bin, error) {
	space, err := m.Repo.SpaceOf(ctx, upload)
	if err != nil {
		return nil, err
	}
	return trash.Find(ctx, m.Repo, m.Store, space)
}
