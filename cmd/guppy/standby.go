package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// openToRead opens the database of repo.read_url, and says how far it is behind the one that it follows.
func (a *app) openToRead(ctx context.Context, cfg *config.Config) (repo *repository, err error) {
	if err := requireDataDir(cfg); err != nil {
		return nil, err
	}

	settings := dialect.Direct(a.databaseSettings(cfg), cfg.Repo.ReadURL)
	settings.Reading = true
	db, _, err := migrate.New(settings, migrate.WithLogger(a.log), migrate.WithExisting()).Open(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("repo.read_url: %w", databaseError(err))
	}

	standing, err := db.Standing(ctx)
	if err != nil {
		return nil, errors.Join(databaseError(err), db.Close())
	}
	a.tellStanding(db.Describe(), standing)
	repo = &repository{Repository: sqlrepo.New(db, sqlrepo.WithRetryFor(cfg.Repo.RetryFor)), db: db}
	repo.follows = standing.Follows
	return repo, nil
}

// longBehind is how far a standby may be behind without a warning.
const longBehind = time.Minute

func (a *app) tellStanding(database string, standing dialect.Standing) {
	age := ageText(standing)
	switch {
	case !standing.Follows:
		a.log.Info("repo.read_url names a database that follows no other one", "database", database)
	case !standing.Receives:
		a.log.Warn("reading from a standby that is not connected to its primary", "database", database, "behind", age)
	case standing.Behind > longBehind:
		a.log.Warn("reading from a standby that is far behind its primary", "database", database, "behind", age)
	default:
		a.log.Info("reading from a standby", "database", database, "behind", age)
	}
}

// ageText says how far a copy is behind.
func ageText(standing dialect.Standing) string {
	if standing.Behind < 0 {
		return "unknown"
	}
	return progress.Duration(standing.Behind)
}

// standbyView says how the database that was read follows another one.
type standbyView struct {
	Connected bool     `json:"connected"`                // whether it receives what changes
	Behind    *float64 `json:"behind_seconds,omitempty"` // age of what it has, if that is known

	text string
}

// standby returns nil if the database follows no other one.
func (r *repository) standby(ctx context.Context) (*standbyView, error) {
	if !r.follows {
		return nil, nil
	}
	standing, err := r.db.Standing(ctx)
	if err != nil {
		return nil, err
	}

	view := &standbyView{Connected: standing.Receives, text: "read from a standby, " + ageText(standing) + " behind"}
	if standing.Behind >= 0 {
		seconds := standing.Behind.Seconds()
		view.Behind = &seconds
	}
	if !standing.Receives {
		view.text += ", which is not connected to its primary"
	}
	return view, nil
}
