package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/remake"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// shardBytes opens shards for reading, from the stores of the repository or made again if no store keeps their bytes.
type shardBytes struct {
	repo   *repository
	stores *known.Stores
	remade *remake.Remaker
	log    *slog.Logger
	// told holds the names of the stores of which was said that others are read in their place.
	told sync.Map
	// away holds the stores that could not be opened, until when they are not tried again. It is nil unless there are
	// others to read.
	away *sync.Map
}

// awayFor is how long a store that could not be opened is not tried again.
const awayFor = 15 * time.Second

// open opens a store, unless it could not be opened a moment ago.
func (s *shardBytes) open(ctx context.Context, identity string) (store.Store, error) {
	if s.away == nil {
		return s.stores.Open(ctx, identity)
	}
	if last, known := s.away.Load(identity); known && time.Since(last.(failedOpening).at) < awayFor {
		return nil, last.(failedOpening).err
	}

	files, err := s.stores.Open(ctx, identity)
	if err != nil && ctx.Err() == nil {
		s.away.Store(identity, failedOpening{time.Now(), err})
	}
	return files, err
}

type failedOpening struct {
	at  time.Time
	err error
}

// addShardFlags adds the flags that say where the bytes of shards are.
func addShardFlags(flags *pflag.FlagSet) {
	addStorePathFlags(flags)
	flags.StringArray("source-path", nil,
		"`SOURCE=PATH`: place of a source on this host, for shards whose bytes are not kept; may be repeated")
}

// openShards returns a reader of shards. The first read that needs a store opens it. After a failure the next
// read tries again, because the store may be mounted, created or reachable by then. The caller closes the reader.
func (a *app) openShards(ctx context.Context, cfg *config.Config, repo *repository) (*shardBytes, error) {
	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	rows, err := repo.Stores(ctx)
	if err != nil {
		return nil, err
	}

	remade, err := newRemaker(ctx, cfg, repo)
	shards := &shardBytes{repo: repo, stores: stores, remade: remade, log: a.log}
	// Where another store may have the same, nobody waits for one.
	keeping := slices.DeleteFunc(rows, func(row sqlrepo.Store) bool { return row.Identity == store.NoneIdentity })
	if len(keeping) > 1 {
		shards.away, stores.Options.RetryFor = &sync.Map{}, 0
	}
	return shards, err
}

// newRemaker returns a remaker of shards whose bytes no store keeps. The caller closes it.
func newRemaker(ctx context.Context, cfg *config.Config, repo *repository) (*remake.Remaker, error) {
	paths, err := mapSources(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}

	return remake.New(repo, cfg.Repo.DataDir, func(ctx context.Context, id int64) (remake.SourceRoot, error) {
		registered, err := repo.Source(ctx, id)
		if err != nil {
			return remake.SourceRoot{}, err
		}
		files, err := visibleFiles(ctx, cfg, repo, source.Local())
		return remake.SourceRoot{FS: files, Root: paths.pathOf(registered)}, err
	}), nil
}

// OpenShard implements blocks.Shards.
func (s *shardBytes) OpenShard(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	if row.Store == store.NoneIdentity {
		return s.remade.OpenShard(ctx, row)
	}

	reading, err := s.openOwn(ctx, row)
	if err == nil || ctx.Err() != nil || isAny(err, databaseErrors) {
		return reading, err
	}
	for reading := range s.Copies(ctx, row) {
		return reading, nil
	}
	return nil, err
}

// openOwn opens a shard in its own store.
func (s *shardBytes) openOwn(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	files, err := s.open(ctx, row.Store)
	if err != nil && ctx.Err() == nil && !isAny(err, databaseErrors) {
		return nil, fmt.Errorf("%w: %w", blocks.ErrUnreachable, err)
	}
	if err != nil {
		return nil, err
	}

	// The digest is the name of the file.
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return nil, fmt.Errorf("shard %d has a digest of %d bytes: run guppy check", row.ID, len(row.Digest))
	}
	return files.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
}

// Copies implements blocks.CopiedShards with the files of the same name in other stores.
func (s *shardBytes) Copies(ctx context.Context, row sqlrepo.Shard) iter.Seq[store.Reading] {
	return func(yield func(store.Reading) bool) {
		for _, reading := range s.copies(ctx, row) {
			if !yield(reading) {
				return
			}
		}
	}
}

// copies is like Copies and also yields the names of the stores.
func (s *shardBytes) copies(ctx context.Context, row sqlrepo.Shard) iter.Seq2[string, store.Reading] {
	return func(yield func(string, store.Reading) bool) {
		for _, other := range s.others(ctx, row) {
			files, err := s.open(ctx, other.Identity)
			if err != nil {
				continue
			}
			reading, err := files.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
			if err != nil {
				continue
			}

			if _, told := s.told.LoadOrStore(other.Name, nil); !told {
				s.tell(row, other)
			}
			if !yield(other.Name, reading) {
				return
			}
		}
	}
}

// tell says, and why, that a shard is read from another store than its own.
func (s *shardBytes) tell(row sqlrepo.Shard, other sqlrepo.Store) {
	if s.away == nil {
		return // there is no other store
	}
	if last, known := s.away.Load(row.Store); known && time.Since(last.(failedOpening).at) < awayFor {
		s.log.Warn("the store of shards is away: reading from another one", "shard", row.ID, "store", other.Name,
			"reason", last.(failedOpening).err)
		return
	}
	s.log.Warn("shards are missing or damaged in their own store: reading from another one", "shard", row.ID,
		"store", other.Name)
}

// others returns the stores beside its own that may have the file of a shard.
func (s *shardBytes) others(ctx context.Context, row sqlrepo.Shard) []sqlrepo.Store {
	rows, err := s.stores.Repo.Stores(ctx)
	if err != nil || len(row.Digest) != len(sqlrepo.Digest{}) {
		return nil
	}
	return slices.DeleteFunc(rows, func(other sqlrepo.Store) bool {
		return other.Identity == row.Store || other.Identity == store.NoneIdentity
	})
}

// Away implements blocks.CopiedShards with the replicas that are recorded to have the file.
func (s *shardBytes) Away(ctx context.Context, row sqlrepo.Shard) (away error) {
	for _, other := range s.others(ctx, row) {
		_, err := s.open(ctx, other.Identity)
		if err == nil || ctx.Err() != nil || isAny(err, databaseErrors) {
			continue
		}
		if has, failed := s.repo.HasCopy(ctx, other.Identity, sqlrepo.Digest(row.Digest)); failed == nil && has {
			away = errors.Join(away, fmt.Errorf("replica %q, which has a copy, can't be reached: %w", other.Name, err))
		}
	}
	return away
}

// Close closes the remaker.
func (s *shardBytes) Close() error { return s.remade.Close() }
