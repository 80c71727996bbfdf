package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// lacking is what a store lacks as a replica of another store, or of a space. What an unfinished upload has stored is
// left out: it is being sent.
type lacking struct {
	// of names what the store is a replica of.
	of    string
	files []sqlrepo.Lack
	bytes int64
}

// whatReplicaLacks returns what a store lacks of one upload, or of all if upload is nil.
func whatReplicaLacks(ctx context.Context, repo *sqlrepo.Repository, identity string,
	upload *int64) (all []lacking, err error) {
	replicas, err := repo.Replicas(ctx)
	if err != nil {
		return nil, err
	}

	for _, replica := range replicas {
		if replica.Store != identity {
			continue
		}

		var lacks lacking
		seen := map[string]bool{}
		for file, err := range repo.Lacks(ctx, replica) {
			if err != nil {
				return nil, err
			}
			if seen[string(file.Digest)] || upload != nil && file.Upload != *upload {
				continue
			}
			seen[string(file.Digest)] = true
			lacks.files = append(lacks.files, file)
			lacks.bytes += file.Size
		}

		if len(lacks.files) == 0 {
			continue
		}
		if lacks.of, err = nameOrigin(ctx, repo, replica); err != nil {
			return nil, err
		}
		all = append(all, lacks)
	}
	return all, nil
}

// nameOrigin names what a store is a replica of.
func nameOrigin(ctx context.Context, repo *sqlrepo.Repository, replica sqlrepo.Replica) (string, error) {
	if replica.Space == 0 {
		stores, err := repo.Stores(ctx)
		for _, row := range stores {
			if row.Identity == replica.Origin {
				return fmt.Sprintf("store %q", row.Name), err
			}
		}
		return "store " + replica.Origin, err
	}

	spaces, err := repo.Spaces(ctx)
	for _, space := range spaces {
		if space.ID == replica.Space {
			return fmt.Sprintf("space %q", space.Name), err
		}
	}
	return fmt.Sprintf("space %d", replica.Space), err
}

func (l lacking) problem() Problem {
	files := "1 file"
	if n := len(l.files); n > 1 {
		files = fmt.Sprintf("%d files", n)
	}
	detail := fmt.Sprintf("as a replica of %s it lacks %s of complete uploads, %s", l.of, files, progress.Bytes(l.bytes))
	return Problem{Code: CodeReplicaLacks, Detail: detail}
}

// fill copies to a replica what it lacks and any store has.
func (m *mending) fill(ctx context.Context, p Problem) error {
	to := m.place(p.identity)

	// Nothing is written where the replica may not be.
	if err := known.Prove(ctx, to.Files, to.Store); err != nil {
		return fmt.Errorf("%w: %w", ErrStoreUnknown, err)
	}
	for _, file := range p.lacking {
		if err := m.send(ctx, to, file); err != nil {
			return err
		}
	}
	return nil
}

// send copies one file to a replica, unless the replica has it already, and records that. What no store has stays a
// problem.
func (m *mending) send(ctx context.Context, to Place, file sqlrepo.Lack) error {
	digest := sqlrepo.Digest(file.Digest)
	row := blobRow{digest: file.Digest, size: file.Size}
	if file.Kind == sqlrepo.ShardBlob {
		row.shard = file.ID
	}

	name := row.name()
	from, err := m.goodFile(ctx, to, name, digest)
	if err != nil {
		return fmt.Errorf("look for a good copy of %s for store %q: %w", name, to.Store.Name, err)
	}
	if from.Files == nil {
		return nil
	}

	copied, err := delivery.Deliver(ctx, delivery.Order{From: from.Files, To: to.Files, Owner: leftovers.CopyOwner(),
		Name: name, Digest: digest, Size: file.Size})
	if err != nil {
		return fmt.Errorf("copy %s from store %q to store %q: %w", name, from.Store.Name, to.Store.Name, err)
	}
	unneeded, err := m.Repo.AddCopies(ctx, to.Store.Identity, []sqlrepo.Digest{digest})
	if err != nil {
		return err
	}

	switch {
	case len(unneeded) > 0:
		return errors.New("the rows have changed while nobody else was at work")
	case !copied:
		return m.did("store %s: %s was there, and is recorded now", to.Store.Name, name)
	}
	return m.did("store %s: %s was copied from store %s", to.Store.Name, name, from.Store.Name)
}
