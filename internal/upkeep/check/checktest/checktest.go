// Package checktest checks at the end of a test that the repository and the store are sound.
package checktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

// Sound fails a test, with each problem, unless a repository and the store in a directory are sound. It reads every
// byte of the store. Uploads of the present version must have indexes, too.
func Sound(tb testing.TB, repo *sqlrepo.Repository, directory string) {
	tb.Helper()
	for _, problem := range Problems(tb, repo, directory) {
		if !problem.Note || audit.NoteFlaw(problem.Code) {
			tb.Errorf("not sound: %s", problem)
		}
	}
}

// Problems returns the problems that a check finds which reads everything.
func Problems(tb testing.TB, repo *sqlrepo.Repository, directory string) (problems []check.Problem) {
	tb.Helper()
	checker, err := Checker(tb, repo, directory)
	if err != nil {
		tb.Fatal(err)
	}
	if problems, err = Find(context.Background(), checker); err != nil {
		tb.Fatal(fmt.Errorf("could not check: %w", err))
	}
	return problems
}

// Find returns all problems that a check finds.
func Find(ctx context.Context, checker check.Checker) (problems []check.Problem, err error) {
	_, err = checker.Run(ctx, func(p check.Problem) error {
		problems = append(problems, p)
		return nil
	})
	return problems, err
}

// Checker returns a checker that reads everything.
func Checker(tb testing.TB, repo *sqlrepo.Repository, directory string) (check.Checker, error) {
	tb.Helper()
	places, err := Places(context.Background(), repo, directory)
	return check.Checker{
		Repo: repo, Stores: places, ReadPercent: 100, TempDir: tb.TempDir(), Log: slog.New(slog.DiscardHandler),
	}, err
}

// Places returns the stores of a repository where a directory has one of them, and the others are where the repository
// says. If the directory has another marker or none, it is the place of all that have a URL.
func Places(ctx context.Context, repo *sqlrepo.Repository, directory string) ([]check.Place, error) {
	rows, err := repo.Stores(ctx)
	if err != nil {
		return nil, err
	}
	stores := known.Stores{Repo: repo, Places: map[string]string{},
		Unnamed: func(context.Context) (store.Store, error) { return store.OpenExisting(directory) }}

	files, err := store.OpenExisting(directory)
	if err != nil {
		return nil, err
	}
	marker, err := files.Marker(ctx)
	if err != nil && !errors.Is(err, store.ErrDamagedMarker) {
		return nil, err
	}

	isKnown := slices.ContainsFunc(rows, func(row sqlrepo.Store) bool { return row.Identity == marker })
	for _, row := range rows {
		if row.URL != "" && (!isKnown || row.Identity == marker) {
			stores.Places[row.Identity] = directory
		}
	}
	return check.FindPlaces(ctx, &stores, nil)
}
