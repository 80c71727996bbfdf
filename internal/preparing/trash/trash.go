// Package trash removes files of a store that no row names. It moves a file to the store's trash, asks the
// repository again, and then deletes or restores the file. So a removal never takes a file that a row names,
// however late the removal is and wherever it is interrupted. Tidy ends what interrupted removals left in the
// trash.
package trash

import (
	"context"
	"errors"
	"fmt"
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
	StillNamed(ctx context.Context, digests []sqlrepo.Digest) (map[sqlrepo.Digest]bool, error)
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

// Remove removes the files of shards and indexes, unless a row names them. It returns the names of the removed
// files.
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
	for try := 1; len(names) > 0; try++ {
		var late []string
		err := b.dispose(ctx, names, func(name string, blob store.Trashed) error {
			err := b.delete(ctx, blob)
			if errors.Is(err, store.ErrTooLate) && try < mostTries {
				// A blob that took too long is still there, so its removal begins again.
				late = append(late, name)
				return nil
			}

			if err == nil {
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

// delete deletes a blob of the trash, if there was one.
func (b *Bin) delete(ctx context.Context, blob store.Trashed) error {
	if blob == (store.Trashed{}) {
		return nil
	}
	return b.Store.Delete(ctx, blob)
}

// SetAside renames a damaged file, unless a row names it. It returns the file's new name, or "" if a row
// names the file or there is no such file.
func (b *Bin) SetAside(ctx context.Context, name string) (aside string, err error) {
	err = b.dispose(ctx, []string{name}, func(_ string, blob store.Trashed) error {
		if blob == (store.Trashed{}) {
			return nil
		}
		aside, err = b.Store.SetAside(ctx, blob)
		return err
	})
	return aside, err
}

// dispose moves files that no row names to the trash. It calls end with those that still no row names after that.
// The blob is the zero value if there was no such file. The other files are restored, even if something fails.
func (b *Bin) dispose(ctx context.Context, names []string, end func(name string, blob store.Trashed) error) error {
	named, err := b.named(ctx, names)
	if err != nil {
		return err
	}

	var removed []string
	var trashed []store.Trashed
	for _, name := range names {
		if named[name] {
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
	if settleErr := b.settle(ctx, removed, trashed, end); settleErr != nil {
		return errors.Join(err, settleErr)
	}
	return err
}

// settle calls end with the files that no row names, and restores the others.
func (b *Bin) settle(ctx context.Context, names []string, trashed []store.Trashed,
	end func(name string, blob store.Trashed) error) error {
	named, err := b.named(ctx, names)
	if err != nil {
		return err
	}

	for i, name := range names {
		switch blob := trashed[i]; {
		case !named[name]:
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

// named returns which of the files rows name.
func (b *Bin) named(ctx context.Context, names []string) (named map[string]bool, err error) {
	named = map[string]bool{}
	if len(names) == 0 {
		return named, nil
	}

	digests := make([]sqlrepo.Digest, len(names))
	for i, name := range names {
		digest, ok := ParseName(name)
		if !ok {
			return nil, fmt.Errorf("%q is not the name of a shard or an index", name)
		}
		digests[i] = digest
	}

	found, err := b.Repo.StillNamed(ctx, digests)
	for i, name := range names {
		named[name] = found[digests[i]]
	}
	return named, err
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

// Tidy restores or deletes what interrupted removals of the space left, and returns the number of files. It does no
// harm to removals under way.
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

		err := b.settle(ctx, names, batch, func(_ string, blob store.Trashed) error {
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
