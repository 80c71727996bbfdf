package gc

import (
	"context"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Files counts files of a store.
type Files struct{ Files, Bytes int64 }

func (f *Files) add(files, bytes int64) {
	f.Files += files
	f.Bytes += bytes
}

// Strays counts the files of a store that are no shard or index of the repository.
type Strays struct {
	// Unnamed files have the name of a shard or index that the repository doesn't have. Damaged files were set aside
	// by a repair.
	Unnamed, Damaged Files
}

// Temporary counts what interrupted processes have left in a store and nobody will finish: temporary files, and
// files that removals have left in the trash. With remove, it deletes them, and restores files in the trash that
// rows name.
func (c *Collector) Temporary(ctx context.Context, files store.Store, remove bool) (n int64, err error) {
	spaces, err := c.Repo.Spaces(ctx)
	if err != nil {
		return 0, err
	}

	for _, space := range spaces {
		trashed, err := c.trash(ctx, files, space, remove)
		n += trashed
		if err != nil {
			return n, err
		}
	}

	unfinished, err := leftovers.Files(ctx, c.Repo, files)
	if err != nil || !remove {
		return n + int64(len(unfinished)), err
	}
	discarded, err := leftovers.Discard(ctx, files, unfinished)
	return n + discarded, err
}

func (c *Collector) trash(ctx context.Context, files store.Store, space sqlrepo.Space,
	remove bool) (n int64, err error) {
	bin := trash.Bin{Repo: c.Repo, Store: files, Owner: trash.Owner(space)}
	if remove {
		return bin.Tidy(ctx)
	}
	trashed, err := bin.Left(ctx)
	return int64(len(trashed)), err
}

// straysAtOnce is the number of files that one query looks up among the shards or indexes.
const straysAtOnce = 500

// strayKind is a kind of file that rows name by digest.
type strayKind struct {
	parse   func(name string) (digest [32]byte, ok bool)
	name    func(digest [32]byte) string
	unnamed func(ctx context.Context, digests [][]byte) ([][]byte, error)
}

func (c *Collector) kinds() []strayKind {
	return []strayKind{
		{shard.ParseName, shard.Name, c.Repo.Unnamed},
		{blobindex.ParseName, blobindex.Name, c.Repo.UnnamedIndexes},
	}
}

// Strays counts the files of a store that have the name of a shard or index which the repository doesn't have, and
// the files that a repair has set aside. With remove, it deletes them. Files of another repository that uses the
// same store count as strays too.
func (c *Collector) Strays(ctx context.Context, files store.Store, remove bool) (strays Strays, err error) {
	var bin *trash.Bin
	if remove {
		spaces, err := c.Repo.Spaces(ctx)
		if err != nil || len(spaces) == 0 {
			return strays, err // without a space there is no upload
		}
		bin = &trash.Bin{Repo: c.Repo, Store: files, Owner: trash.Owner(spaces[0])}
	}

	for _, kind := range c.kinds() {
		if err := c.straysOf(ctx, kind, files, bin, &strays); err != nil {
			return strays, err
		}
	}
	return strays, nil
}

func (c *Collector) straysOf(ctx context.Context, kind strayKind, files store.Store, bin *trash.Bin,
	strays *Strays) error {
	sizes, digests := map[string]int64{}, [][]byte{}
	flush := func() error {
		found, err := kind.strays(ctx, bin, digests, sizes)
		strays.Unnamed.add(found.Files, found.Bytes)
		clear(sizes)
		digests = digests[:0]
		return err
	}

	for file, err := range files.Committed(ctx) {
		if err != nil {
			return err
		}

		name, damaged := store.CutAside(file.Name)
		digest, ok := kind.parse(name)
		if !ok {
			continue
		}

		// A damaged file has no row: a repair has set it aside.
		if damaged {
			if bin != nil {
				err = files.Remove(ctx, file.Name)
			}
			if err != nil {
				return err
			}
			strays.Damaged.add(1, file.Size)
			continue
		}

		sizes[name] = file.Size
		if digests = append(digests, digest[:]); len(digests) == straysAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// strays counts the files that no row names. If bin is not nil, it removes them from the store of the trash.
func (k strayKind) strays(ctx context.Context, bin *trash.Bin, digests [][]byte,
	sizes map[string]int64) (found Files, err error) {
	unnamed, err := k.unnamed(ctx, digests)
	if err != nil {
		return found, err
	}
	names := make([]string, len(unnamed))
	for i, digest := range unnamed {
		names[i] = k.name([32]byte(digest))
	}

	if bin != nil {
		names, err = bin.Remove(ctx, names)
	}
	for _, name := range names {
		found.add(1, sizes[name])
	}
	return found, err
}
