package main

import (
	"context"
	"fmt"

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
	stores *known.Stores
	remade *remake.Remaker
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
	remade, err := newRemaker(ctx, cfg, repo)
	return &shardBytes{stores, remade}, err
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

	files, err := s.stores.Open(ctx, row.Store)
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

// Close closes the remaker.
func (s *shardBytes) Close() error { return s.remade.Close() }
