// Package trash removes files of a store that the store does not need: no row names them, or only rows of other stores
// do, and such a store was proved to have the file. It moves a file to the store's trash, asks the repository again,
// and then deletes or restores the file. So a removal never takes a file that is needed, however late the removal is
// and wherever it is interrupted. Tidy ends what interrupted removals left in the trash.
package trash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Repository is the part of the repository that removing files needs.
type Repository interface {
	Spaces(ctx context.Context) ([]sqlrepo.Space, error)
	StillNamed(ctx context.Context, store string, digests []sqlrepo.Digest) (map[sqlrepo.Digest]sqlrepo.Need, error)
}

// Owner returns the name that marks a space's files in the trash among all files of the store.
func Owner(space sqlrepo.Space) string {
	key := string(space.DID)
	return key[max(0, strings.LastIndexByte(key, ':')+1):]
}

// Bin is the trash of a space in a store.
type Bin struct {
	Repo  Repository
	Store store.Store
	// Owner is the owner of the space's files. See the function Owner.
	Owner string
	// Others, if not nil, reads the copies in other stores. Without it, a file that another store needs stays.
	Others *Others
}

// Find returns the trash of the space with this key. It returns sqlrepo.ErrNotFound if there is no such space.
func Find(ctx context.Context, repo Repository, files store.Store, space int64) (*Bin, error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}

	i := slices.IndexFunc(spaces, func(s sqlrepo.Space) bool { return s.ID == space })
	if i < 0 {
		return nil, fmt.Errorf("space %d: %w", space, sqlrepo.ErrNotFound)
	}

	return &Bin{Repo: repo, Store: files, Owner: Owner(spaces[i])}, nil
}

const (
	// mostTries bounds how often a removal that took too long begins again.
	mostTries = 3
	// namesAtOnce is the number of files that are in the trash before the repository is asked again.
	namesAtOnce = 20
)

// Remove removes the files of shards and indexes that the store does not need. If another store needs such a file, a
// good copy is read there first. Without one, the file stays, and the bin's Others know why. Remove returns the names
// of the files that it has removed, without those that were not there.
func (b *Bin) Remove(ctx context.Context, names []string) (removed []string, err error) {
	for batch := range slices.Chunk(names, namesAtOnce) {
		gone, err := b.removeBatch(ctx, batch)
		removed = append(removed, gone...)
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// removeBatch removes files that are in the trash at the same time. It tries again what took too long.
func (b *Bin) removeBatch(ctx context.Context, names []string) (removed []string, err error) {
	proved := proofs{}
	for try := 1; len(names) > 0; try++ {
		needs, err := b.prove(ctx, names, proved)
		if err != nil {
			return removed, err
		}

		var late []string
		err = b.dispose(ctx, names, needs, proved.allow, func(name string, blob store.Trashed) error {
			err := b.delete(ctx, blob)
			if errors.Is(err, store.ErrTooLate) && try < mostTries {
				// A blob that took too long is still there, so its removal begins again.
				late = append(late, name)
				return nil
			}

			// What was not there was removed by others, or never sent.
			if err == nil && blob != (store.Trashed{}) {
				removed = append(removed, name)
			}
			return err
		})
		if err != nil {
			return removed, err
		}

		names = late
	}
	return removed, nil
}

// proofs holds, by the names of files, the stores that were proved to have them.
type proofs map[string]string

// allow reports whether a file may leave a store: no store needs it, or one that does was proved to have it.
func (p proofs) allow(name string, need sqlrepo.Need) bool {
	if need.Here {
		return false
	}
	return len(need.Elsewhere) == 0 || slices.Contains(need.Elsewhere, p[name])
}

// prove returns which stores need the files. It adds to proved the files that only other stores need, if there is a
// good copy.
func (b *Bin) prove(ctx context.Context, names []string, proved proofs) (map[string]sqlrepo.Need, error) {
	needs, err := b.needs(ctx, names)
	if err != nil || b.Others == nil {
		return needs, err
	}

	for _, name := range names {
		need := needs[name]
		if need.Here || proved.allow(name, need) {
			continue
		}

		// What is not here need not be proved elsewhere.
		_, err := b.Store.Size(ctx, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNotKept) {
			continue
		}
		if err != nil {
			return nil, err
		}

		identity, reason := b.Others.prove(ctx, need.Elsewhere, name)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case reason != nil:
			b.Others.keep(b.Store, name, reason)
		default:
			proved[name] = identity
		}
	}
	return needs, nil
}

// delete deletes a blob of the trash, if there was one.
func (b *Bin) delete(ctx context.Context, blob store.Trashed) error {
	if blob == (store.Trashed{}) {
		return nil
	}
	return b.Store.Delete(ctx, blob)
}

// SetAside renames a damaged file, unless the store needs it. It returns the file's new name, or "" if the store needs
// the file or has no such file. Other stores need no proof: nothing is deleted, and damaged bytes are no copy.
func (b *Bin) SetAside(ctx context.Context, name string) (aside string, err error) {
	names := []string{name}
	needs, err := b.needs(ctx, names)
	if err != nil {
		return "", err
	}

	unneeded := func(_ string, need sqlrepo.Need) bool { return !need.Here }
	err = b.dispose(ctx, names, needs, unneeded, func(_ string, blob store.Trashed) error {
		if blob == (store.Trashed{}) {
			return nil
		}
		aside, err = b.Store.SetAside(ctx, blob)
		return err
	})
	return aside, err
}

// dispose moves the files that may leave the store to the trash. It calls end with those that still may after that. The
// blob is the zero value if there was no such file. The other files are restored, even if something fails.
func (b *Bin) dispose(ctx context.Context, names []string, needs map[string]sqlrepo.Need,
	allow func(name string, need sqlrepo.Need) bool, end func(name string, blob store.Trashed) error) (err error) {
	var removed []string
	var trashed []store.Trashed
	for _, name := range names {
		if !allow(name, needs[name]) {
			continue
		}

		blob, trashErr := b.Store.Trash(ctx, b.Owner, name)
		if trashErr != nil {
			err = trashErr
			break
		}

		removed, trashed = append(removed, name), append(trashed, blob)
	}

	// Files that are in the trash by now are settled even after a failure.
	if settleErr := b.settle(ctx, removed, trashed, allow, end); settleErr != nil {
		return errors.Join(err, settleErr)
	}
	return err
}

// settle calls end with the files that may leave the store, and restores the others.
func (b *Bin) settle(ctx context.Context, names []string, trashed []store.Trashed,
	allow func(name string, need sqlrepo.Need) bool, end func(name string, blob store.Trashed) error) error {
	needs, err := b.needs(ctx, names)
	if err != nil {
		return err
	}

	for i, name := range names {
		switch blob := trashed[i]; {
		case allow(name, needs[name]):
			err = end(name, blob)
		case blob != (store.Trashed{}):
			err = b.Store.Restore(ctx, blob)
		}

		if err != nil {
			return err
		}
	}
	return nil
}

// needs returns which stores need the files, for the files that any store needs.
func (b *Bin) needs(ctx context.Context, names []string) (needs map[string]sqlrepo.Need, err error) {
	needs = map[string]sqlrepo.Need{}
	if len(names) == 0 {
		return needs, nil
	}

	digests := make([]sqlrepo.Digest, len(names))
	for i, name := range names {
		digest, ok := ParseName(name)
		if !ok {
			return nil, fmt.Errorf("%q is not the name of a shard or an index", name)
		}
		digests[i] = digest
	}

	identity, err := Identity(ctx, b.Store)
	if err != nil {
		return nil, err
	}
	found, err := b.Repo.StillNamed(ctx, identity, digests)
	for i, name := range names {
		if need, ok := found[digests[i]]; ok {
			needs[name] = Needing(need)
		}
	}
	return needs, err
}

// Identity returns the identity of a store, or "" if its marker is gone or can't be read: such a store is taken to
// need whatever any store needs.
func Identity(ctx context.Context, files store.Store) (string, error) {
	identity, err := files.Marker(ctx)
	if errors.Is(err, store.ErrDamagedMarker) {
		return "", nil
	}
	return identity, err
}

// Needing returns a need without the stores that keep no bytes. They need no file.
func Needing(need sqlrepo.Need) sqlrepo.Need {
	need.Elsewhere = slices.DeleteFunc(slices.Clone(need.Elsewhere), func(identity string) bool {
		return identity == store.NoneIdentity
	})
	return need
}

// ParseName returns the digest in the name of a shard's or an index's file.
func ParseName(name string) (digest sqlrepo.Digest, ok bool) {
	found, ok := shard.ParseName(name)
	if !ok {
		found, ok = blobindex.ParseName(name)
	}
	return found, ok
}

// Left lists what removals of the space left in the trash. It may include files of removals under way.
func (b *Bin) Left(ctx context.Context) (trashed []store.Trashed, err error) {
	all, err := b.Store.Trashed(ctx, b.Owner)
	for _, blob := range all {
		if _, ok := ParseName(blob.Name); ok {
			trashed = append(trashed, blob)
		}
	}
	return trashed, err
}

// Tidy restores or deletes what interrupted removals of the space left, and returns the number of files. What another
// store needs is deleted as by Remove. Tidy does no harm to removals under way.
func (b *Bin) Tidy(ctx context.Context) (n int64, err error) {
	trashed, err := b.Left(ctx)
	if err != nil {
		return 0, err
	}

	for batch := range slices.Chunk(trashed, namesAtOnce) {
		names := make([]string, len(batch))
		for i, blob := range batch {
			names[i] = blob.Name
		}
		proved := proofs{}
		if _, err := b.prove(ctx, names, proved); err != nil {
			return n, err
		}

		err := b.settle(ctx, names, batch, proved.allow, func(_ string, blob store.Trashed) error {
			if err := b.Store.Delete(ctx, blob); !errors.Is(err, store.ErrTooLate) {
				return err
			}
			return nil // only a note was left
		})
		if err != nil {
			return n, err
		}

		n += int64(len(batch))
	}
	return n, nil
}
