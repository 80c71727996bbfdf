package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/guppy-prep/guppy/dialect"
)

// withDatabase returns the URL of another database of the same server.
func withDatabase(server, name string) (dialect.Secret, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", errors.New("the server's URL is not valid")
	}
	u.Path = "/" + name
	return dialect.Secret(u.String()), nil
}

// withDatabase makes an empty database and a directory, calls use with them and removes them.
func (w *workspace) withDatabase(ctx context.Context, on running,
	use func(dir string, url dialect.Secret) error) error {
	return w.withDatabaseNamed(ctx, "prepared-", on, use)
}

// withDatabaseNamed is like withDatabase, with a directory of another name.
func (w *workspace) withDatabaseNamed(ctx context.Context, name string, on running,
	use func(dir string, url dialect.Secret) error) (err error) {
	dir, err := w.fresh(name + on.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.done(dir)) }()

	url, err := on.create(ctx, dir)
	if err != nil {
		return err
	}

	if !w.keep {
		defer func() { err = errors.Join(err, on.drop(ctx)) }()
	}

	return use(dir, url)
}

// databaseSize returns the space that all tables and indexes take.
func databaseSize(ctx context.Context, url dialect.Secret) (size int64, err error) {
	db, err := dialect.Open(ctx, dialect.Settings{URL: url})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if size, err = db.Size(ctx); err != nil {
		return 0, fmt.Errorf("size of %s: %w", db.Describe(), err)
	}
	return size, nil
}
