// Package known finds the stores that a repository knows, and makes new ones known.
package known

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrNoMarker is returned where a store should be and no marker is. It is a store.ErrAbsent.
var ErrNoMarker = fmt.Errorf("%w here", store.ErrAbsent)

// Repository is the part of the repository that has the stores.
type Repository interface {
	Stores(ctx context.Context) ([]sqlrepo.Store, error)
	AddStore(ctx context.Context, row sqlrepo.Store) (sqlrepo.Store, error)
	SetStoreURL(ctx context.Context, identity, url string) error
}

// Stores opens stores by their identity, each once. It is safe for concurrent use. No field may change after the first
// call.
type Stores struct {
	Repo    Repository
	Options store.Options
	// Places says where this host sees stores, by identity, if that is not where the repository says.
	Places map[string]string
	// Patience limits, by identity, how long the server of a store is waited for.
	Patience map[string]time.Duration
	// Given, if not "", is the place of a store for this run, whichever has its marker.
	Given string
	// Unnamed opens the store of uploads that an older guppy began without recording a store.
	Unnamed func(ctx context.Context) (store.Store, error)

	mu     sync.Mutex
	opened map[string]*opening
}

// opening is a store that is open, or about to be opened by the caller that has the turn.
type opening struct {
	turn  chan struct{}
	files store.Store
}

// Open returns the store with an identity, which its marker proves. It creates nothing. Open returns store.ErrAbsent,
// with advice, if the store is not where it should be, and tries again in the next call.
func (s *Stores) Open(ctx context.Context, identity string) (store.Store, error) {
	switch identity {
	case store.NoneIdentity:
		return store.NewNone(s.Options.TempDir), nil
	case "":
		return s.Unnamed(ctx)
	}

	// One caller opens the store. The others wait for that, or for the end of their contexts.
	opening := s.opening(identity)
	select {
	case opening.turn <- struct{}{}:
		defer func() { <-opening.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}

	if opening.files != nil {
		return opening.files, nil
	}

	files, row, err := s.Find(ctx, identity)
	if err == nil {
		err = Prove(ctx, files, row)
	}
	if errors.Is(err, ErrNoMarker) {
		err = cmp.Or(refuseFilled(ctx, files), err)
	}
	if err != nil {
		return nil, err
	}

	opening.files = files
	return files, nil
}

func (s *Stores) opening(identity string) *opening {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened == nil {
		s.opened = map[string]*opening{}
	}
	if s.opened[identity] == nil {
		s.opened[identity] = &opening{turn: make(chan struct{}, 1)}
	}
	return s.opened[identity]
}

// Find opens what is where a store should be, without a look at its marker. It returns store.ErrAbsent if nothing is
// there.
func (s *Stores) Find(ctx context.Context, identity string) (store.Store, sqlrepo.Store, error) {
	if identity == store.NoneIdentity {
		return store.NewNone(s.Options.TempDir), sqlrepo.Store{Identity: identity, Name: identity, URL: store.NoneURL}, nil
	}

	row, err := s.Row(ctx, identity)
	if err != nil {
		return nil, row, err
	}

	if files, err := s.given(ctx, row); files != nil || err != nil {
		return files, row, err
	}

	place := row.URL
	if here, mapped := s.Places[identity]; mapped {
		place = here
	}
	if place == "" {
		return nil, row, fmt.Errorf("%w: nobody knows where store %q (%s) is: guppy store set %s URL records it",
			store.ErrAbsent, row.Name, identity, row.Name)
	}

	options := s.Options
	options.Existing = true
	if limit, limited := s.Patience[identity]; limited {
		options.RetryFor = min(options.RetryFor, limit)
	}
	files, err := store.OpenURL(ctx, place, options)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", store.ErrAbsent, err)
	}
	if err != nil {
		return nil, row, fmt.Errorf("store %q: %w: %s", row.Name, err, advice(row))
	}
	return files, row, nil
}

// given returns what is at the given place if that is the store of a row, or may be: it has no readable marker, and
// the row is the only one of a store that keeps bytes. It returns nil if it is another store of the repository, and
// store.ErrAbsent if the repository does not know it.
func (s *Stores) given(ctx context.Context, row sqlrepo.Store) (store.Store, error) {
	if s.Given == "" || s.Given == store.NoneURL {
		return nil, nil
	}
	options := s.Options
	options.Existing = true
	files, err := store.OpenURL(ctx, s.Given, options)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w: mount the store there, or name its place with --store", store.ErrAbsent, err)
	}
	if err != nil {
		return nil, err
	}

	marker, err := files.Marker(ctx)
	if marker == row.Identity {
		return files, err
	}
	if err != nil && !errors.Is(err, store.ErrDamagedMarker) {
		return nil, err
	}

	rows, err := s.Repo.Stores(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row sqlrepo.Store) bool { return row.Identity == store.NoneIdentity })

	switch {
	case marker == "" && len(rows) == 1:
		return files, nil
	case marker == "":
		return nil, fmt.Errorf("%w: %s has no marker file .guppy-store: name one of the stores with --store-path NAME=PATH",
			ErrNoMarker, files.URL())
	case !slices.ContainsFunc(rows, func(row sqlrepo.Store) bool { return row.Identity == marker }):
		return nil, fmt.Errorf("%w: %s is the store %s, which the repository does not know: name one of its own with --store",
			store.ErrAbsent, files.URL(), marker)
	}
	return nil, nil
}

// Row returns the row of a store, or store.ErrAbsent if the repository does not know it.
func (s *Stores) Row(ctx context.Context, identity string) (sqlrepo.Store, error) {
	rows, err := s.Repo.Stores(ctx)
	if err != nil {
		return sqlrepo.Store{}, err
	}
	for _, row := range rows {
		if row.Identity == identity {
			return row, nil
		}
	}
	return sqlrepo.Store{}, fmt.Errorf("%w: the repository does not know store %s", store.ErrAbsent, identity)
}

// Prove returns store.ErrAbsent unless a store has the marker of a row. It passes store.ErrDamagedMarker on.
func Prove(ctx context.Context, files store.Store, row sqlrepo.Store) error {
	marker, err := files.Marker(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("store %q: %w", row.Name, err)
	case marker == "":
		return fmt.Errorf("%w: %s has no marker file .guppy-store of store %q (%s): is it mounted? %s", ErrNoMarker,
			files.URL(), row.Name, row.Identity, advice(row))
	case marker != row.Identity:
		return fmt.Errorf("%w: %s is the store %s, not store %q (%s): %s", store.ErrAbsent, files.URL(), marker, row.Name,
			row.Identity, advice(row))
	}
	return nil
}

// advice says how a store that was not found can be found.
func advice(row sqlrepo.Store) string {
	if strings.HasPrefix(row.URL, "s3:") {
		return fmt.Sprintf("see that its server runs and that this host can reach its endpoint with the right keys, or, if "+
			"it has moved, run guppy store set %s URL", row.Name)
	}
	return fmt.Sprintf("mount it there, name its place on this host with --store-path %s=PATH, or, if it has moved, run "+
		"guppy store set %s URL", row.Name, row.Name)
}
