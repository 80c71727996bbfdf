package check

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/internal/reading/reach"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// errNotLinked is returned when the upload is not complete after linking.
var errNotLinked = errors.New("it could not be linked")

// relink links an upload again. If its rows make no DAG, the upload is scanned again instead.
func (m *mending) relink(ctx context.Context, upload int64) (bool, error) {
	row, err := m.Repo.Upload(ctx, upload)
	if err != nil {
		return false, err
	}
	can, err := m.canLink(ctx, row)
	if err != nil {
		return false, err
	}
	if !can {
		return m.reopen(ctx, upload)
	}

	// Linking would store blocks again that a file has and no row names.
	if changed, err := m.compareNodes(ctx, upload); changed || err != nil {
		return changed, err
	}

	m.changed(upload)
	return m.once(change{uploadLinked, upload}, func() error {
		if err := m.auditor().Relink(ctx, upload); err != nil {
			return err
		}
		return m.link(ctx, upload)
	})
}

// canLink reports whether the rows of an upload make a DAG.
func (m *mending) canLink(ctx context.Context, upload sqlrepo.Upload) (bool, error) {
	known := true
	upload.State = sqlrepo.Complete
	walker := reach.Walker{Repo: m.Repo, TempDir: m.TempDir, Rooted: func(entry sqlrepo.Linkable, _ unixfs.Link) error {
		known = known && (entry.Origin == 0 || entry.Known != nil)
		return nil
	}}
	_, err := walker.Walk(ctx, upload, func([]reach.Block) error { return nil })
	if errors.Is(err, link.ErrInconsistent) || errors.Is(err, link.ErrNoRoot) {
		return false, nil
	}
	return known, err
}

// link links an upload that is in the state for it. It needs the store, but not the source. It returns errNotLinked,
// with the reason, unless the upload is complete afterwards.
func (m *mending) link(ctx context.Context, upload int64) error {
	files, err := m.requireStore(ctx, upload)
	if err != nil {
		return err
	}

	space, err := m.spaceOf(ctx, upload)
	if err != nil {
		return err
	}
	if err := m.Link(ctx, space, upload, files); err != nil {
		return err
	}

	now, err := m.Repo.Upload(ctx, upload)
	if err != nil {
		return err
	}
	if now.State != sqlrepo.Complete {
		return fmt.Errorf("%w: upload %d is %s: %s", errNotLinked, upload, now.State, now.Error)
	}
	return nil
}

// spaceOf returns the space of an upload.
func (m *mending) spaceOf(ctx context.Context, upload int64) (space sqlrepo.Space, err error) {
	key, err := m.Repo.SpaceOf(ctx, upload)
	if err != nil {
		return space, err
	}
	spaces, err := m.Repo.Spaces(ctx)
	if err != nil {
		return space, err
	}

	i := slices.IndexFunc(spaces, func(s sqlrepo.Space) bool { return s.ID == key })
	if i < 0 {
		return space, fmt.Errorf("space %d: %w", key, sqlrepo.ErrNotFound)
	}
	return spaces[i], nil
}
