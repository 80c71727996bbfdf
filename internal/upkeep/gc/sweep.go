package gc

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
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

// Strays counts the files of a store that are no shard or index of an upload there.
type Strays struct {
	// Unnamed files have the name of a shard or index that the repository doesn't have in any store that keeps bytes.
	Unnamed Files
	// Elsewhere counts the files that other stores need, and not this one. Each is removed only once a good copy was
	// read there.
	Elsewhere Files
	// Damaged files were set aside by a repair.
	Damaged Files
}

// Temporary counts what interrupted processes have left in a store and nobody will finish: temporary files, and
// files that removals have left in the trash. With remove, it deletes them, and restores files in the trash that
// rows name.
func (c *Collector) Temporary(ctx context.Context, files store.Store, remove bool) (n int64, err error) {
	c.Progress.Begin("looking for temporary files", "")
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
	bin := trash.Bin{Repo: c.Repo, Store: files, Owner: trash.Owner(space), Others: c.Others}
	if remove {
		return bin.Tidy(ctx)
	}
	trashed, err := bin.Left(ctx)
	return int64(len(trashed)), err
}

// straysAtOnce is the number of files that one query looks up.
const straysAtOnce = 500

// Strays counts the files of a store that have the name of a shard or index which no upload has there, and the files
// that a repair has set aside. With remove, it deletes them, and counts what it has deleted. Files of another
// repository that uses the same store count as strays too.
func (c *Collector) Strays(ctx context.Context, files store.Store, remove bool) (strays Strays, err error) {
	return c.strays(ctx, files, remove, nil)
}

// StrayCopies is like Strays for a store that no upload of the repository has used and that is no replica any longer.
// Only what is recorded as copied there counts: all else may be another repository's.
func (c *Collector) StrayCopies(ctx context.Context, files store.Store, remove bool) (strays Strays, err error) {
	identity, err := trash.Identity(ctx, files)
	if err != nil {
		return strays, err
	}

	copied := map[sqlrepo.Digest]bool{}
	for digest, err := range c.Repo.Copies(ctx, identity) {
		if err != nil {
			return strays, err
		}
		copied[digest] = true
	}

	if len(copied) == 0 {
		return strays, nil
	}
	return c.strays(ctx, files, remove, copied)
}

// strays looks at all files, or at those that were copied there if copied is not nil.
func (c *Collector) strays(ctx context.Context, files store.Store, remove bool,
	copied map[sqlrepo.Digest]bool) (strays Strays, err error) {
	sweep := sweep{
		Collector: c, found: &strays, files: map[sqlrepo.Digest]store.Committed{}, copiesOnly: copied != nil,
	}
	if sweep.store, err = trash.Identity(ctx, files); err != nil {
		return strays, err
	}
	if remove {
		spaces, err := c.Repo.Spaces(ctx)
		if err != nil || len(spaces) == 0 {
			return strays, err // without a space there is no upload
		}
		sweep.bin = &trash.Bin{Repo: c.Repo, Store: files, Owner: trash.Owner(spaces[0]), Others: c.Others}
	}

	c.Progress.Begin("looking for strays", "file")
	for file, err := range files.Committed(ctx) {
		if err != nil {
			return strays, err
		}
		c.Progress.Add(1, 0)

		name, damaged := store.CutAside(file.Name)
		digest, ok := trash.ParseName(name)
		if !ok || copied != nil && !copied[digest] {
			continue
		}

		// A damaged file has no row: a repair has set it aside.
		if damaged {
			if remove {
				err = files.Remove(ctx, file.Name)
			}
			if err != nil {
				return strays, err
			}
			strays.Damaged.add(1, file.Size)
			continue
		}

		sweep.files[digest] = file
		if len(sweep.files) == straysAtOnce {
			if err := sweep.flush(ctx); err != nil {
				return strays, err
			}
		}
	}
	return strays, sweep.flush(ctx)
}

// sweep counts the files that a store does not need, and removes them if it has a bin.
type sweep struct {
	*Collector
	// store is the store's identity.
	store string
	bin   *trash.Bin
	found *Strays
	// files have not been looked up yet.
	files map[sqlrepo.Digest]store.Committed
	// copiesOnly is true if only the records of copies tell which files are this repository's.
	copiesOnly bool
}

// flush looks up the files.
func (s *sweep) flush(ctx context.Context) error {
	needs, err := s.Repo.Named(ctx, s.store, slices.Collect(maps.Keys(s.files)))
	if err != nil {
		return err
	}

	sizes, counts := map[string]int64{}, map[string]*Files{}
	var digests []sqlrepo.Digest
	for digest, file := range s.files {
		need := trash.Needing(needs[digest])
		if need.Here {
			continue
		}

		digests = append(digests, digest)
		sizes[file.Name], counts[file.Name] = file.Size, &s.found.Unnamed
		if len(need.Elsewhere) > 0 {
			counts[file.Name] = &s.found.Elsewhere
		}
	}
	clear(s.files)

	names := slices.Sorted(maps.Keys(sizes))
	if s.bin != nil {
		names, err = s.remove(ctx, names, digests)
	}
	for _, name := range names {
		counts[name].add(1, sizes[name])
	}
	return err
}

// remove removes files, and returns the names of those that are gone. The store may have been a replica: what it lost
// is not to count as copied if it becomes one again.
func (s *sweep) remove(ctx context.Context, names []string, digests []sqlrepo.Digest) (gone []string, err error) {
	if !s.copiesOnly {
		if err := s.Repo.ForgetCopies(ctx, s.store, digests); err != nil {
			return nil, err
		}
		return s.bin.Remove(ctx, names)
	}

	// What stays is to be known the next time.
	gone, failed := s.bin.Remove(ctx, names)
	var forgotten []sqlrepo.Digest
	for _, name := range gone {
		if digest, ok := trash.ParseName(name); ok {
			forgotten = append(forgotten, digest)
		}
	}
	return gone, errors.Join(failed, s.Repo.ForgetCopies(ctx, s.store, forgotten))
}
