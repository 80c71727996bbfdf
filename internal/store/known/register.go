package known

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// ErrUnmarked is returned for a place that has shards or indexes but no marker.
var ErrUnmarked = errors.New("shards are there, but no marker file .guppy-store: is the store mounted? If it is, " +
	"guppy check --repair --yes restores its marker")

// RefuseUnmarked returns an error for a store without an identity that had one before. A new identity would make it a
// store that no upload knows. It returns ErrUnmarked if the store has shards or indexes, and store.ErrAbsent if the
// repository has a store in its place: most likely its file system is not mounted.
func RefuseUnmarked(ctx context.Context, repo Repository, files store.Store) error {
	identity, err := files.Marker(ctx)
	if err != nil || identity != "" {
		return err
	}
	known, err := repo.Stores(ctx)
	if err != nil {
		return err
	}

	// Perhaps only an older guppy has filled it. Then it may get its first identity.
	err = refuseFilled(ctx, files)
	if errors.Is(err, ErrUnmarked) && len(known) == 0 {
		return nil
	}
	refused := cmp.Or(err, RefuseUnmounted(known, files.URL()))

	// Another process may have made the store since its marker was looked for.
	if refused != nil {
		if identity, err := files.Marker(ctx); err == nil && identity != "" {
			return nil
		}
	}
	return refused
}

// refuseFilled returns ErrUnmarked, with the place, for a store that has shards or indexes.
func refuseFilled(ctx context.Context, files store.Store) error {
	name, err := FirstBlob(ctx, files)
	if err == nil && name != "" {
		err = fmt.Errorf("%s: %w", files.URL(), ErrUnmarked)
	}
	return err
}

// FirstBlob returns the name of a shard or an index in a store, or "" if there is none.
func FirstBlob(ctx context.Context, files store.Store) (name string, err error) {
	for file, err := range files.Committed(ctx) {
		if err != nil {
			return "", err
		}
		if _, ok := trash.ParseName(file.Name); ok {
			return file.Name, nil
		}
	}
	return "", nil
}

// RefuseUnmounted returns store.ErrAbsent if one of the known stores is at a URL where nothing is.
func RefuseUnmounted(known []sqlrepo.Store, url string) error {
	for _, row := range known {
		if store.SamePlace(row.URL, url) || store.SameDirectoryAt(row.URL, url) {
			return fmt.Errorf("%w: store %q (%s) is at %s, and nothing of it is there now: mount it, or name another store "+
				"with --store", store.ErrAbsent, row.Name, row.Identity, url)
		}
	}
	return nil
}

// Register makes a store known to the repository, unless it is, and gives it an identity if it has none. It returns the
// row of the store, and whether the row is new.
func Register(ctx context.Context, repo Repository, files store.Store, name string) (row sqlrepo.Store, added bool,
	err error) {
	if name != "" {
		if err := ValidName(name); err != nil {
			return row, false, err
		}
	}
	identity, err := files.Identify(ctx)
	if err != nil {
		return row, false, err
	}

	for {
		rows, err := repo.Stores(ctx)
		if err != nil {
			return row, false, err
		}

		taken := map[string]bool{}
		for _, row := range rows {
			if row.Identity == identity {
				return row, false, complete(ctx, repo, &row, files.URL())
			}
			taken[row.Name] = true
		}

		row = sqlrepo.Store{Identity: identity, Name: name, URL: files.URL()}
		if name == "" {
			row.Name = freeName(files.URL(), taken)
		}

		row, err := repo.AddStore(ctx, row)
		// Another process may have added the store, or taken the name.
		if !errors.Is(err, sqlrepo.ErrExists) || name != "" && taken[name] {
			return row, err == nil, err
		}
	}
}

// complete records where a store is if the repository does not know that, or does not know the server: locations that
// older versions recorded do not name it.
func complete(ctx context.Context, repo Repository, row *sqlrepo.Store, url string) error {
	if row.URL == url || row.URL != "" && (strings.Contains(row.URL, "?") || !store.SamePlace(row.URL, url)) {
		return nil
	}
	row.URL = url
	return repo.SetStoreURL(ctx, row.Identity, url)
}

// freeName returns a name for a store at a URL that no other store has.
func freeName(url string, taken map[string]bool) string {
	base := "store"
	if place, err := store.ParseURL(url); err == nil {
		base = CleanName(place.ShortName())
	}

	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// CleanName returns the name with dashes for what a store's name can't have, or "store" if nothing is left.
func CleanName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if isNameRune(r) {
			return r
		}
		return '-'
	}, name)
	if clean = strings.Trim(clean, "-."); clean == "" || ValidName(clean) != nil {
		return "store"
	}
	return clean
}

// ValidName returns an error unless a store can have a name. Names can't be taken for numbers, paths or URLs.
func ValidName(name string) error {
	foreign := func(r rune) bool { return !isNameRune(r) }
	if name == "" || strings.ContainsFunc(name, foreign) || strings.Trim(name, "0123456789") == "" ||
		strings.Trim(name[:1], "-.") == "" {
		return fmt.Errorf("%q can't be the name of a store: use letters, digits, \"-\", \"_\" and \".\", not digits alone, "+
			"and neither \"-\" nor \".\" first", name)
	}
	return nil
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r)
}
