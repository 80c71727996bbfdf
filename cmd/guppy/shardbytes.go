package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/remake"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// shardBytes opens shards for reading: from the configured store, or made again where no store keeps their bytes.
type shardBytes struct {
	repo *repository
	find func(ctx context.Context) (store.Store, error)
	// turn is held by who uses stored, which is nil until the store could be opened.
	turn   chan struct{}
	stored store.Store
	remade *remake.Remaker
}

// addShardFlags says where the bytes of shards are.
func addShardFlags(flags *pflag.FlagSet) {
	flags.String("store", "", storeUsage)
	flags.StringArray("source-path", nil,
		"`SOURCE=PATH`: where a source is on this host, for shards whose bytes are not kept; may be repeated")
}

// openShards is for reading. The store is opened by whoever needs it, and looked for again after a failure: it may be
// mounted, made or reached later. The caller closes it.
func (a *app) openShards(ctx context.Context, cfg *config.Config, repo *repository) (*shardBytes, error) {
	remade, err := newRemaker(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	find := func(ctx context.Context) (store.Store, error) { return a.findStore(ctx, cfg) }
	return &shardBytes{repo: repo, find: find, turn: make(chan struct{}, 1), remade: remade}, nil
}

// newRemaker makes the bytes of shards again that no store keeps. The caller closes it.
func newRemaker(ctx context.Context, cfg *config.Config, repo *repository) (*remake.Remaker, error) {
	paths, err := mapSources(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	return remake.New(repo, cfg.Repo.DataDir, func(ctx context.Context, id int64) (remake.Site, error) {
		registered, err := repo.Source(ctx, id)
		if err != nil {
			return remake.Site{}, err
		}
		files, err := visibleFiles(cfg, repo, source.Local())
		return remake.Site{FS: files, Root: paths.of(registered)}, err
	}), nil
}

// OpenShard implements blocks.Shards.
func (s *shardBytes) OpenShard(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	if strings.HasPrefix(row.Location, store.NoneLocation) {
		return s.remade.OpenShard(ctx, row)
	}
	stored, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return nil, fmt.Errorf("shard %d has a digest of %d bytes: guppy check tells more", row.ID, len(row.Digest))
	}
	reading, err := stored.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.missing(ctx, stored, row, err)
	}
	return reading, err
}

// missing tells whether a shard that is not in the store should be: its upload may be in another one.
func (s *shardBytes) missing(ctx context.Context, stored store.Store, row sqlrepo.Shard, cause error) error {
	upload, err := s.repo.Upload(ctx, row.Upload)
	if err != nil {
		return err
	}
	marker, err := stored.Marker(ctx)
	if err != nil {
		return err
	}
	if upload.Store == "" || upload.Store == marker {
		return cause
	}
	return fmt.Errorf("%w (%s): say where that is with --store", blocks.ErrElsewhere, row.Location)
}

// store opens the store, once it can be.
func (s *shardBytes) store(ctx context.Context) (store.Store, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.stored != nil {
		return s.stored, nil
	}
	stored, err := s.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: mount it there, or say where it is with --store", blocks.ErrUnreachable, err)
	}
	s.stored = stored
	return stored, nil
}

// Close ends what is made again.
func (s *shardBytes) Close() error { return s.remade.Close() }
