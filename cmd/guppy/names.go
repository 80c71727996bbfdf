package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// FindSpace returns the space with this name or DID. If there is none, it returns sqlrepo.ErrNotFound and suggests the
// names of others.
func (r *repository) FindSpace(ctx context.Context, nameOrDID string) (sqlrepo.Space, error) {
	space, err := r.Repository.FindSpace(ctx, nameOrDID)
	if !errors.Is(err, sqlrepo.ErrNotFound) {
		return space, err
	}

	spaces, listErr := r.Spaces(ctx)
	if listErr != nil {
		return space, errors.Join(err, listErr)
	}
	known := namesOf(spaces, spaceName)
	return space, fmt.Errorf("%w%s", err, suggested(nameOrDID, known, "guppy space ls lists all spaces"))
}

// suggested returns what an error about an unknown name ends with: names that resemble it, or else the advice.
func suggested(unknown string, known []string, advice string) string {
	if suggestion := config.DidYouMean("", unknown, known); suggestion != "" {
		return suggestion
	}
	return ": " + advice
}

// namesOf returns the names of rows, fit to be printed.
func namesOf[T any](rows []T, name func(T) string) []string {
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = printable(name(row))
	}
	return names
}

func spaceName(space sqlrepo.Space) string     { return space.Name }
func sourceNamed(source sqlrepo.Source) string { return source.Name }
func storeName(store sqlrepo.Store) string     { return store.Name }
