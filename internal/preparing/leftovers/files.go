package leftovers

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Files lists, sorted by name, the files that were begun in a store and nobody will finish.
func Files(ctx context.Context, repo *sqlrepo.Repository,
	files store.Store) (unfinished []store.Unfinished, err error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, space := range spaces {
		abandoned, err := FilesOfSpace(ctx, repo, files, space)
		if err != nil {
			return nil, err
		}
		unfinished = append(unfinished, abandoned...)
	}

	ownerless, err := filesOfNoSpace(ctx, files)
	if err != nil {
		return nil, err
	}
	unfinished = append(unfinished, ownerless...)

	// Each space has found the files without an owner.
	slices.SortFunc(unfinished, func(a, b store.Unfinished) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(unfinished, func(a, b store.Unfinished) bool { return a.Name == b.Name }), nil
}

// FilesOfSpace lists the temporary files of a space that nobody will finish: those whose lease is gone, and those
// under a lease of a process that is known to be gone. A lease that has ended may still be renewed until another
// process takes it. The files are listed before the leases, so that the lease of each listed file is older than the
// list.
func FilesOfSpace(ctx context.Context, repo *sqlrepo.Repository, files store.Store,
	space sqlrepo.Space) ([]store.Unfinished, error) {
	unfinished, err := files.Unfinished(ctx, ofSpace(space))
	if err != nil || len(unfinished) == 0 {
		return nil, err
	}
	live, err := liveOwners(ctx, repo, space)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(unfinished, func(file store.Unfinished) bool { return live[file.Owner] }), nil
}

// liveOwners returns the owners of the leases that nobody has taken over.
func liveOwners(ctx context.Context, repo *sqlrepo.Repository, space sqlrepo.Space) (map[string]bool, error) {
	live := map[string]bool{}
	open, err := repo.OpenUploads(ctx, sqlrepo.OpenFilter{Spaces: []int64{space.ID}})
	if err != nil {
		return nil, err
	}

	for _, upload := range open {
		add := func(l sqlrepo.Lease) {
			if l.Token != 0 && !presence.IsGone(l.Worker) {
				live[Owner(space, upload.ID, l.Token)] = true
			}
		}

		add(upload.Lease)
		shards, err := repo.ShardsUnderWay(ctx, upload.ID)
		if err != nil {
			return nil, err
		}

		for _, shard := range shards {
			add(shard.Lease)
		}
	}
	return live, nil
}

// FilesOfCopies lists the files that copies to a store have left: those of processes that are known to be gone, and
// those that have not changed for long. Nothing but their age is known about files of processes that this one can't
// see, such as those of other hosts.
func FilesOfCopies(ctx context.Context, files store.Store) ([]store.Unfinished, error) {
	return filesOfProcesses(ctx, files, ofCopies)
}

func filesOfProcesses(ctx context.Context, files store.Store, owners string) ([]store.Unfinished, error) {
	unfinished, err := files.Unfinished(ctx, owners)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(unfinished, func(file store.Unfinished) bool {
		return file.Owner != "" && !isOfTheDead(file.Owner) && !file.IsOld()
	}), nil
}

// filesOfNoSpace lists the files that copies of stores, makers of indexes and probes of a server have left and
// nobody will finish. They have no lease: a file that has changed within a day is left alone unless its process is
// known to be gone. Files without an owner are among the files of each space.
func filesOfNoSpace(ctx context.Context, files store.Store) (found []store.Unfinished, err error) {
	for _, owners := range []string{ofCopies, ofIndexes, store.ProbeOwner} {
		unfinished, err := filesOfProcesses(ctx, files, owners)
		if err != nil {
			return nil, err
		}
		found = append(found, unfinished...)
	}
	return slices.DeleteFunc(found, func(file store.Unfinished) bool { return file.Owner == "" }), nil
}

// ForgetMissing makes the repository forget the copies that a replica has lost.
func ForgetMissing(ctx context.Context, repo Copies, replica store.Store, identity string) error {
	there := map[sqlrepo.Digest]bool{}
	for blob, err := range replica.Committed(ctx) {
		if err != nil {
			return err
		}
		if digest, ok := trash.ParseName(blob.Name); ok {
			there[digest] = true
		}
	}

	var gone []sqlrepo.Digest
	for digest, err := range repo.Copies(ctx, identity) {
		if err != nil {
			return err
		}
		if !there[digest] {
			gone = append(gone, digest)
		}
	}
	return repo.ForgetCopies(ctx, identity, gone)
}

// Copies is the part of the repository that has the copies in replicas.
type Copies interface {
	Copies(ctx context.Context, store string) iter.Seq2[sqlrepo.Digest, error]
	ForgetCopies(ctx context.Context, store string, digests []sqlrepo.Digest) error
}

// Discard removes files. It returns how many are gone, also when it fails.
func Discard(ctx context.Context, files store.Store, unfinished []store.Unfinished) (n int64, err error) {
	for _, file := range unfinished {
		if err := files.Discard(ctx, file); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Tidy removes the temporary files of a space that nobody will finish. It restores or deletes the files that
// interrupted removals have left in the trash.
func Tidy(ctx context.Context, repo *sqlrepo.Repository, files store.Store, space sqlrepo.Space,
	log *slog.Logger) error {
	bin := trash.Bin{Repo: repo, Store: files, Owner: trash.Owner(space)}
	restored, err := bin.Tidy(ctx)
	if err != nil {
		return err
	}
	if restored > 0 {
		log.Info("finished interrupted removals", "files", restored)
	}

	abandoned, err := FilesOfSpace(ctx, repo, files, space)
	if err != nil {
		return err
	}

	if _, err := Discard(ctx, files, abandoned); err != nil {
		return err
	}
	if len(abandoned) > 0 {
		log.Info("removed files of interrupted workers", "files", len(abandoned))
	}
	return nil
}
