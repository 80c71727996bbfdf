package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// lookups measures how long it takes to look up digests in a large table of nodes.
type lookups struct {
	nodes, shardNodes, digests int
}

const (
	lookupTarget = 2
	// nodeRoom is the most space that a node takes on any engine, including logs.
	nodeRoom = 400
)

func newLookups() lookups { return lookups{nodes: 10_000_000, shardNodes: 25_999, digests: 32_768} }

func (x lookups) room() int64 { return int64(x.nodes) * nodeRoom }

func (x lookups) measure(ctx context.Context, b *bench, r *report) error {
	for _, on := range b.running {
		err := b.workspace.withDatabase(ctx, on, func(_ string, url dialect.Secret) error {
			lines, err := x.measureOn(ctx, b, on, dialect.Settings{URL: url})
			r.Further = append(r.Further, lines...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", on.name, err)
		}
	}
	return nil
}

// question is what is looked up: the first of its digests are held.
type question struct {
	what    string
	digests []sqlrepo.Digest
	held    int
	// cold and warm are the times of the first look-up after the database was opened, and of the next one.
	cold, warm []time.Duration
}

func (x lookups) measureOn(ctx context.Context, b *bench, on running, s dialect.Settings) ([]line, error) {
	if _, err := migrate.New(s).Ensure(ctx, true); err != nil {
		return nil, err
	}

	var filled *filling
	began := time.Now()
	err := withRepository(ctx, s, func(repo *sqlrepo.Repository) (err error) {
		filled, err = x.fill(ctx, repo, b.seed)
		return err
	})
	if err != nil {
		return nil, err
	}

	size, err := databaseSize(ctx, s.URL)
	if err != nil {
		return nil, err
	}
	b.say("lookup: %s holds %d nodes, %d MiB, after %.0f s", on.name, filled.nodes, (size-on.empty)>>20,
		time.Since(began).Seconds())

	questions := filled.questions(b.seed)
	err = b.repeat("lookup", b.rounds, func() error {
		for i := range questions {
			if err := questions[i].ask(ctx, on, s, filled.space); err != nil {
				return err
			}
		}
		return nil
	})

	return lookupLines(fmt.Sprintf("%d nodes", filled.nodes), on.name, questions), err
}

func withRepository(ctx context.Context, s dialect.Settings, use func(*sqlrepo.Repository) error) (err error) {
	db, err := dialect.Open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return use(sqlrepo.New(db))
}

// ask looks up the digests twice in a database that was just opened. It returns errWrong for a wrong answer.
func (q *question) ask(ctx context.Context, on running, s dialect.Settings, space int64) error {
	if err := on.cool(ctx, func() error { return nil }); err != nil {
		return err
	}

	return withRepository(ctx, s, func(repo *sqlrepo.Repository) error {
		// The first look-up is cold, the second one warm.
		for _, walls := range []*[]time.Duration{&q.cold, &q.warm} {
			began := time.Now()
			held, err := repo.Held(ctx, sqlrepo.Scope{Space: space}, q.digests)
			*walls = append(*walls, time.Since(began))
			if err != nil {
				return err
			}

			if err := q.check(held); err != nil {
				return err
			}
		}
		return nil
	})
}

func (q *question) check(answer sqlrepo.Holdings) error {
	if len(answer.Digests) != q.held {
		return fmt.Errorf("%w: %d digests are held of %d, not %d", errWrong, len(answer.Digests), len(q.digests), q.held)
	}
	for _, digest := range q.digests[:q.held] {
		if _, ok := answer.Digests[digest]; !ok {
			return fmt.Errorf("%w: digest %x is held", errWrong, digest)
		}
	}
	return nil
}

func lookupLines(corpus, engine string, questions []question) (lines []line) {
	for _, q := range questions {
		for _, walls := range []struct {
			how string
			all []time.Duration
		}{{"cold", q.cold}, {"warm", q.warm}} {
			what := fmt.Sprintf("%s of %d digests held, %s", q.what, len(q.digests), walls.how)
			took := newTimes(walls.all)
			lines = append(lines, line{Corpus: corpus, Engine: engine, Program: what, Times: took,
				Checks: []check{under(what, "s", took.Median, lookupTarget)}})
		}
	}
	return lines
}
