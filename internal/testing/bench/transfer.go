package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// transfers measures how long it takes to copy a repository from one engine to another, including all checks,
// against inserting as many nodes into the same engine.
type transfers struct{ nodes, shardNodes int }

const (
	// transferTarget is in rows per second.
	transferTarget = 100_000
	// insertTarget limits the time of a transfer, as a multiple of the time of the inserts.
	insertTarget = 2
)

func newTransfers() transfers { return transfers{nodes: 1_000_000, shardNodes: 25_999} }

// room returns the space for the source, its copy and their logs.
func (x transfers) room() int64 { return 2 * int64(x.nodes) * nodeRoom }

// measure copies from each engine to every other one.
func (x transfers) measure(ctx context.Context, b *bench, r *report) error {
	for _, from := range b.running {
		for _, to := range b.running {
			if from.name == to.name {
				continue
			}
			lines, err := x.compare(ctx, b, from, to)
			if err != nil {
				return fmt.Errorf("%s to %s: %w", from.name, to.name, err)
			}
			r.Further = append(r.Further, lines...)
		}
	}
	return nil
}

func (x transfers) compare(ctx context.Context, b *bench, from, to running) (lines []line, err error) {
	err = b.workspace.withDatabase(ctx, from, func(_ string, url dialect.Secret) error {
		source := dialect.Settings{URL: url}
		if _, err := migrate.New(source).Ensure(ctx, true); err != nil {
			return err
		}

		return withRepository(ctx, source, func(repo *sqlrepo.Repository) error {
			filled, err := lookups{nodes: x.nodes, shardNodes: x.shardNodes, digests: 1}.fill(ctx, repo, b.seed)
			if err != nil {
				return err
			}

			// Inserts and copies take turns on the same engine.
			var inserted, copied []time.Duration
			name := fmt.Sprintf("%s to %s", from.name, to.name)
			err = b.warmed(name, func() error {
				return errors.Join(
					x.timed(ctx, b, to, &inserted, func(db *dialect.DB) error { return x.insert(ctx, db, b.seed) }),
					x.timed(ctx, b, to, &copied, func(db *dialect.DB) error { return copyAll(ctx, repo, db) }))
			}, func() { inserted, copied = nil, nil })
			lines = x.lines(from.name, to.name, filled.nodes, newTimes(inserted), newTimes(copied))
			return err
		})
	})
	return lines, err
}

// timed measures what fn does to a fresh database with tables.
func (x transfers) timed(ctx context.Context, b *bench, on running, walls *[]time.Duration,
	fn func(*dialect.DB) error) error {
	return b.workspace.withDatabaseNamed(ctx, "copied-", on, func(_ string, url dialect.Secret) (err error) {
		db, _, err := migrate.New(dialect.Settings{URL: url}).Open(ctx, true)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()

		began := time.Now()
		err = fn(db)
		*walls = append(*walls, time.Since(began))
		return err
	})
}

func copyAll(ctx context.Context, repo *sqlrepo.Repository, db *dialect.DB) error {
	_, err := copying.New(repo).TransferTo(ctx, sqlrepo.New(db), copying.Transfer{})
	return err
}

var nodeColumns = []string{"prefix", "shard", "position", "length", "codec", "suffix"}

// insert adds nodes as the repository does, shard by shard, in one transaction.
func (x transfers) insert(ctx context.Context, db *dialect.DB, seed uint64) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Release()) }()

	random := newDigests(seed)
	for first := 0; first < x.nodes; first += x.shardNodes {
		err := db.BulkInsert(ctx, tx, "nodes", nodeColumns, min(x.shardNodes, x.nodes-first), func(i int) []any {
			digest := random.next()
			return []any{prefixOf(digest), int64(first), int64(i), int64(1), int64(0x55), digest[8:]}
		})
		if err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
	}

	return tx.Commit(ctx)
}

func prefixOf(digest sqlrepo.Digest) (prefix int64) {
	for _, b := range digest[:8] {
		prefix = prefix<<8 | int64(b)
	}
	return prefix
}

func (x transfers) lines(from, to string, nodes int, inserted, copied times) []line {
	corpus := fmt.Sprintf("%d nodes", x.nodes)
	what := "transfer from " + from
	return []line{
		{Corpus: corpus, Engine: to, Program: "insert", Times: inserted},
		{Corpus: corpus, Engine: to, Program: what, Times: copied, Checks: []check{
			atLeast(what, "rows/s", float64(nodes)/copied.Median, transferTarget),
			within(what+" / insert's", "", copied.Median/inserted.Median, insertTarget),
		}},
	}
}
