package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/guppy-prep/guppy/dialect"
)

// withDatabase names another database of the same server.
func withDatabase(server, name string) (dialect.Secret, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", errors.New("the server's URL is not valid")
	}
	u.Path = "/" + name
	return dialect.Secret(u.String()), nil
}

// databaseSize is the space that all tables and indexes take.
func databaseSize(ctx context.Context, url dialect.Secret) (size int64, err error) {
	db, err := dialect.Open(ctx, dialect.Settings{URL: url})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if size, err = db.Size(ctx, db); err != nil {
		return 0, fmt.Errorf("size of %s: %w", db.Describe(), err)
	}
	return size, nil
}
