package gc

import (
	"context"
	"slices"
	"time"

	"github.com/guppy-prep/guppy/internal/blobindex"
	"github.com/guppy-prep/guppy/internal/index"
	"github.com/guppy-prep/guppy/internal/mirror"
	"github.com/guppy-prep/guppy/internal/pipeline"
	"github.com/guppy-prep/guppy/internal/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Files are some of a store.
type Files struct{ Files, Bytes int64 }

func (f *Files) add(files, bytes int64) {
	f.Files += files
	f.Bytes += bytes
}

// Strays are the files of a store that are no shard or index of the repository.
type Strays struct {
	// Unnamed have the name of a shard or index that the repository doesn't have, Damaged were set aside by a repair.
	Unnamed, Damaged Files
}

// Temporary counts the temporary files of a space that nobody will finish, and removes them if it is told to.
func (c *Collector) Temporary(ctx context.Context, files store.Store, space sqlrepo.Space, remove bool) (n int64, err error) {
	abandoned, err := pipeline.Abandoned(ctx, c.Repo, files, space)
	if err != nil {
		return 0, err
	}
	return discard(ctx, files, abandoned, remove)
}

// Leftovers does what Temporary does for what belongs to no space: see Ownerless.
func (c *Collector) Leftovers(ctx context.Context, files store.Store, remove bool) (n int64, err error) {
	left, err := Ownerless(ctx, files)
	if err != nil {
		return 0, err
	}
	return discard(ctx, files, left, remove)
}

// Ownerless lists what copies of stores, those who index again what uploads had left, and trials of a server have left in a
// store, and nobody will finish. No lease tells of them: what has changed within a day is left alone, unless it is known
// that its process is gone.
func Ownerless(ctx context.Context, files store.Store) ([]store.Unfinished, error) {
	left, err := mirror.Abandoned(ctx, files)
	if err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(file store.Unfinished) bool { return file.Owner == "" }) // Temporary has them
	for _, owners := range []string{index.Owners, store.ProbeOwner} {
		unfinished, err := files.Unfinished(ctx, owners)
		if err != nil {
			return nil, err
		}
		for _, file := range unfinished {
			if file.Owner != "" && file.IsOld() {
				left = append(left, file)
			}
		}
	}
	return left, nil
}

func discard(ctx context.Context, files store.Store, left []store.Unfinished, remove bool) (n int64, err error) {
	for _, file := range left {
		if remove {
			if err := files.Discard(ctx, file); err != nil {
				return n, err
			}
		}
		n++
	}
	return n, nil
}

// straysAtOnce is how many files are looked for among the shards, or indexes, in one query.
const straysAtOnce = 500

// kind is a kind of files that rows name by their digests.
type kind struct {
	parse   func(name string) (digest [32]byte, ok bool)
	name    func(digest [32]byte) string
	unnamed func(ctx context.Context, digests [][]byte) ([][]byte, error)
	remove  func(ctx context.Context, digests [][]byte,
		remove func(ctx context.Context, digest []byte) (more bool, err error)) (done int, err error)
}

func (c *Collector) kinds() []kind {
	return []kind{
		{shard.ParseName, shard.Name, c.Repo.Unnamed, c.Repo.RemoveUnnamed},
		{blobindex.ParseName, blobindex.Name, c.Repo.UnnamedIndexes, c.Repo.RemoveUnnamedIndexes},
	}
}

// Strays counts the files of a store that have the name of a shard or index which the repository doesn't have, and those
// that a repair has set aside, and removes them if it is told to. Those of another repository that uses the same store are
// among them.
func (c *Collector) Strays(ctx context.Context, files store.Store, remove bool) (strays Strays, err error) {
	for _, kind := range c.kinds() {
		if err := c.straysOf(ctx, kind, files, remove, &strays); err != nil {
			return strays, err
		}
	}
	return strays, nil
}

func (c *Collector) straysOf(ctx context.Context, kind kind, files store.Store, remove bool, strays *Strays) error {
	sizes, digests := map[string]int64{}, [][]byte{}
	flush := func() error {
		found, err := kind.strays(ctx, files, digests, sizes, remove)
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
		if damaged {
			if remove {
				err = files.Remove(ctx, file.Name)
			}
			if err != nil {
				return err
			}
			strays.Damaged.add(1, file.Size)
			continue
		}
		sizes[string(digest[:])] = file.Size
		if digests = append(digests, digest[:]); len(digests) == straysAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func (k kind) strays(ctx context.Context, files store.Store, digests [][]byte, sizes map[string]int64,
	remove bool) (found Files, err error) {
	unnamed, err := k.unnamed(ctx, digests)
	if err != nil {
		return found, err
	}
	if !remove {
		for _, digest := range unnamed {
			found.add(1, sizes[string(digest)])
		}
		return found, nil
	}
	for len(unnamed) > 0 {
		began, now := time.Now(), Files{}
		done, err := k.remove(ctx, unnamed, func(ctx context.Context, digest []byte) (bool, error) {
			now.add(1, sizes[string(digest)])
			return time.Since(began) < filesFor, files.Remove(ctx, k.name([32]byte(digest)))
		})
		if err != nil {
			return found, err
		}
		found.add(now.Files, now.Bytes)
		unnamed = unnamed[done:]
		if err := wait(ctx, time.Since(began)); err != nil {
			return found, err
		}
	}
	return found, nil
}
