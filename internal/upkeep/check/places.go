package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Place is where a store of the repository should be.
type Place struct {
	// Store is the row of the store. It has no identity for uploads that name no store.
	Store sqlrepo.Store
	// Files is what is there. It has the identity of the row, or has lost its own. It is nil if the store is not
	// there, for the reason Absent.
	Files  store.Store
	Absent error
}

// FindPlaces looks where the stores of a repository are. It creates nothing. Of stores on S3 servers that are away, it
// waits only for those that are needed: needed holds their identities, and is nil for all stores.
func FindPlaces(ctx context.Context, stores *known.Stores, needed map[string]bool) (places []Place, err error) {
	rows, err := stores.Repo.Stores(ctx)
	if err != nil {
		return nil, err
	}

	for _, row := range rows {
		look := ctx
		if needed != nil && !needed[row.Identity] {
			look = store.WithoutPatience(ctx)
		}

		files, _, err := stores.Find(look, row.Identity)
		if err == nil {
			err = known.Prove(look, files, row)
		}

		// What has lost its marker may get it back. In an empty place, most likely nothing is mounted.
		lost := errors.Is(err, store.ErrDamagedMarker)
		if errors.Is(err, known.ErrNoMarker) {
			name, failed := known.FirstBlob(look, files)
			lost, err = name != "", cmp.Or(failed, err)
		}

		switch {
		case err == nil || lost:
			places = append(places, Place{Store: row, Files: files})
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, store.ErrAbsent) || errors.Is(err, store.ErrUnusable):
			places = append(places, Place{Store: row, Absent: err})
		default:
			return nil, err
		}
	}

	if stores.Unnamed == nil {
		return places, nil
	}
	files, err := stores.Open(ctx, "")
	if err != nil {
		return append(places, Place{Absent: fmt.Errorf("%w: %w", store.ErrAbsent, err)}), nil
	}
	return append(places, Place{Files: files}), nil
}

// place returns where the store with an identity should be.
func (c *Checker) place(identity string) Place {
	for _, place := range c.Stores {
		if place.Store.Identity == identity {
			return place
		}
	}
	return Place{Absent: fmt.Errorf("%w: the repository does not know it", store.ErrAbsent)}
}
