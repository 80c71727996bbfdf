package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// starter is an engine that does not run yet.
type starter struct {
	name  string
	start func(ctx context.Context, dir string) (engine, error)
}

// engine creates databases.
type engine interface {
	// create makes an empty database in place of the last one, in dir if it is a file, and returns its URL.
	create(ctx context.Context, dir string) (dialect.Secret, error)
	// url returns the URL of the database that create has made, or an earlier process with the same directories.
	url(dir string) (dialect.Secret, error)
	// drop removes the database unless it goes with its directory.
	drop(ctx context.Context) error
	// cool makes the engine forget what it holds in memory of a database that nobody uses. It calls between
	// before it begins again.
	cool(ctx context.Context, between func() error) error
	close() error
}

// server is an engine that is reached over TCP.
type server interface {
	engine
	address() (string, error)
}

func starters() []starter {
	return []starter{
		{"sqlite", func(context.Context, string) (engine, error) { return sqlite{}, nil }},
		{"postgres", startPostgres},
	}
}

type sqlite struct{}

func (s sqlite) create(_ context.Context, dir string) (dialect.Secret, error) { return s.url(dir) }

func (sqlite) url(dir string) (dialect.Secret, error) {
	return dialect.Secret(filepath.Join(dir, "guppy.db")), nil
}

func (sqlite) drop(context.Context) error { return nil }
func (sqlite) close() error               { return nil }

func (sqlite) cool(_ context.Context, between func() error) error { return between() }

// postgres is a server that has at most one of our databases at a time.
type postgres struct {
	cluster *cluster.Cluster
	admin   *pgx.Conn
}

const (
	postgresDatabase = "guppy_bench"
	dropTimeout      = 30 * time.Second
)

func startPostgres(ctx context.Context, dir string) (engine, error) {
	server, err := cluster.New(ctx, cluster.Options{Dir: filepath.Join(dir, "postgres"), Durable: true})
	if errors.Is(err, cluster.ErrNoPrograms) {
		return nil, fmt.Errorf("%w: install them (apt-get install postgresql), or leave them out with -engine sqlite", err)
	}
	if err != nil {
		return nil, err
	}
	admin, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &postgres{server, admin}, nil
}

func (p *postgres) create(ctx context.Context, dir string) (dialect.Secret, error) {
	if err := p.drop(ctx); err != nil {
		return "", err
	}
	if _, err := p.admin.Exec(ctx, "CREATE DATABASE "+postgresDatabase); err != nil {
		return "", fmt.Errorf("create a database: %w", err)
	}
	return p.url(dir)
}

func (p *postgres) url(string) (dialect.Secret, error) {
	return withDatabase(p.cluster.URL(), postgresDatabase)
}

// drop also runs after the context has ended, because what used the database was stopped.
func (p *postgres) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if _, err := p.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+postgresDatabase+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop the database: %w", err)
	}
	return nil
}

// cool restarts the server.
func (p *postgres) cool(ctx context.Context, between func() error) error {
	if err := errors.Join(p.admin.Close(ctx), p.cluster.Stop(ctx, cluster.Fast)); err != nil {
		return err
	}
	if err := between(); err != nil {
		return err
	}
	if err := p.cluster.Start(ctx); err != nil {
		return err
	}
	admin, err := pgx.Connect(ctx, p.cluster.URL())
	if err == nil {
		p.admin = admin
	}
	return err
}

func (p *postgres) address() (string, error) {
	u, err := url.Parse(p.cluster.URL())
	if err != nil {
		return "", errors.New("the server's URL is not valid")
	}
	return u.Host, nil
}

func (p *postgres) close() error {
	return errors.Join(p.admin.Close(context.Background()), p.cluster.Close())
}
