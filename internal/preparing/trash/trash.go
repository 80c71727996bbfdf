// Package trash removes files of a store that no row names. A file is moved to the store's trash first; then the
// repository is asked again, and the file is deleted or restored. So a removal takes nothing that a row names, however
// late it is, and wherever it is interrupted: what is left in the trash is dealt with by Tidy.
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

// Repository is what removing files needs of the repository.
type Repository interface {
	Spaces(ctx context.Context) ([]sqlrepo.Space, error)
	StillNamed(ctx context.Context, digests []sqlrepo.Digest) (map[sqlrepo.Digest]bool, error)
}

// Owner marks what the removals of a space have in the trash, among all that use the store.
func Owner(space sqlrepo.Space) string {
	key := string(space.DID)
	return key[max(0, strings.LastIndexByte(key, ':')+1):]
}

// Bin is the trash of a space in a store.
type Bin struct {
	Repo  Repository
	Store store.Store
	// Owner is that of the space.
	Owner string
}

// Find returns the trash of the space with this key, or sqlrepo.ErrNotFound.
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
	// mostTries bounds how often a removal begins again that has taken too long.
	mostTries = 3
	// namesAtOnce is how many files are in the trash before the repository is asked again.
	namesAtOnce = 20
)

// Remove removes files, unless a row names them, and returns the names of those that are gone. The names are those of
// shards and indexes.
func (b *Bin) Remove(ctx context.Context, names []string) (removed []string, err error) {
	for some := range slices.Chunk(names, namesAtOnce) {
		gone, err := b.removeSome(ctx, some)
		removed = append(removed, gone...)
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (b *Bin) removeSome(ctx context.Context, names []string) (removed []string, err error) {
	for try := 1; len(names) > 0; try++ {
		var late []string
		err := b.dispose(ctx, names, func(name string, blob store.Trashed) error {
			err := b.delete(ctx, blob)
			if errors.Is(err, store.ErrTooLate) && try < mostTries {
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

// SetAside renames a file whose bytes are damaged, unless a row names it, and returns its new name, or "" if a row does
// or there is no such file.
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

// dispose moves files to the trash that no row names, and calls end with those that no row names after that, which is
// the zero value where there was none. The others are restored, also when something fails.
func (b *Bin) dispose(ctx context.Context, names []string, end func(name string, blob store.Trashed) error) error {
	named, err := b.named(ctx, names)
	if err != nil {
		return err
	}
	var gone []string
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
		gone, trashed = append(gone, name), append(trashed, blob)
	}

	// What is in the trash by now does not stay there.
	if settleErr := b.settle(ctx, gone, trashed, end); settleErr != nil {
		return errors.Join(err, settleErr)
	}
	return err
}

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

// named returns which of some files rows name.
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

// Left lists what interrupted removals of the space have left in the trash. What removals under way have there is among
// it.
func (b *Bin) Left(ctx context.Context) (left []store.Trashed, err error) {
	all, err := b.Store.Trashed(ctx, b.Owner)
	for _, blob := range all {
		if _, ok := ParseName(blob.Name); ok {
			left = append(left, blob)
		}
	}
	return left, err
}

// Tidy restores or deletes what interrupted removals of the space have left, and returns how much that was. It does no
// harm to removals under way.
func (b *Bin) Tidy(ctx context.Context) (n int64, err error) {
	left, err := b.Left(ctx)
	if err != nil {
		return 0, err
	}
	for some := range slices.Chunk(left, namesAtOnce) {
		names := make([]string, len(some))
		for i, blob := range some {
			names[i] = blob.Name
		}
		err := b.settle(ctx, names, some, func(_ string, blob store.Trashed) error {
			if err := b.Store.Delete(ctx, blob); !errors.Is(err, store.ErrTooLate) {
				return err
			}
			return nil // only a note was left
		})
		if err != nil {
			return n, err
		}
		n += int64(len(some))
	}
	return n, nil
}
