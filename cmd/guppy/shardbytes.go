package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/blocks"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/remake"
	"github.com/guppy-prep/guppy/internal/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// shardBytes opens shards for reading: from the configured store, or made again where no store keeps their bytes.
type shardBytes struct {
	stored store.Store
	// missing is why there is no store, nil if there is one.
	missing error
	remade  *remake.Remaker
}

// addShardFlags says where the bytes of shards are.
func addShardFlags(flags *pflag.FlagSet) {
	flags.String("store", "", storeUsage)
	flags.StringArray("source-path", nil,
		"`SOURCE=PATH`: where a source is on this host, for shards whose bytes are not kept; may be repeated")
}

// openShards is for reading. A store that can't be opened is told of by whoever needs it. The caller closes it.
func (a *app) openShards(ctx context.Context, cfg *config.Config, repo *repository) (*shardBytes, error) {
	remade, err := newRemaker(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	s := &shardBytes{remade: remade}
	s.stored, s.missing = findStore(ctx, cfg)
	return s, nil
}

// newRemaker makes the bytes of shards again that no store keeps. The caller closes it.
func newRemaker(ctx context.Context, cfg *config.Config, repo *repository) (*remake.Remaker, error) {
	paths, err := mapSources(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	return remake.New(repo, cfg.Repo.DataDir, func(ctx context.Context, source int64) (remake.Site, error) {
		registered, err := repo.Source(ctx, source)
		if err != nil {
			return remake.Site{}, err
		}
		files, err := visibleFiles(cfg, repo)
		return remake.Site{FS: files, Root: paths.of(registered)}, err
	}), nil
}

// OpenShard implements blocks.Shards.
func (s *shardBytes) OpenShard(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	switch {
	case strings.HasPrefix(row.Location, store.NoneLocation):
		return s.remade.OpenShard(ctx, row)
	case s.missing != nil:
		return nil, fmt.Errorf("%w: %w: mount it there, or say where it is with --store", blocks.ErrUnreachable, s.missing)
	case len(row.Digest) != len(sqlrepo.Digest{}):
		return nil, fmt.Errorf("shard %d has a digest of %d bytes: guppy check tells more", row.ID, len(row.Digest))
	}
	return s.stored.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
}

// Close ends what is made again.
func (s *shardBytes) Close() error { return s.remade.Close() }
