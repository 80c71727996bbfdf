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

// shardBytes opens shards for reading, from the configured store or made again if no store keeps their bytes.
type shardBytes struct {
	repo *repository
	find func(ctx context.Context) (store.Store, error)
	// turn guards stored, which is nil until the store has been opened.
	turn   chan struct{}
	stored store.Store
	remade *remake.Remaker
}

// addShardFlags adds the flags that say where the bytes of shards are.
func addShardFlags(flags *pflag.FlagSet) {
	flags.String("store", "", storeUsage)
	flags.StringArray("source-path", nil,
		"`SOURCE=PATH`: place of a source on this host, for shards whose bytes are not kept; may be repeated")
}

// openShards returns a reader of shards. The first read that needs the store opens it. After a failure the next
// read tries again, because the store may be mounted, created or reachable by then. The caller closes the reader.
func (a *app) openShards(ctx context.Context, cfg *config.Config, repo *repository) (*shardBytes, error) {
	remade, err := newRemaker(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	find := func(ctx context.Context) (store.Store, error) { return a.findStore(ctx, cfg) }
	return &shardBytes{repo: repo, find: find, turn: make(chan struct{}, 1), remade: remade}, nil
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
		files, err := visibleFiles(cfg, repo, source.Local())
		return remake.SourceRoot{FS: files, Root: paths.pathOf(registered)}, err
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

	// The digest is the name of the file.
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return nil, fmt.Errorf("shard %d has a digest of %d bytes: run guppy check", row.ID, len(row.Digest))
	}

	reading, err := stored.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.missing(ctx, stored, row, err)
	}
	return reading, err
}

// missing returns the error for a shard that is not in the store. That is cause if the shard should be there, and
// blocks.ErrElsewhere if its upload is in another store.
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
	return fmt.Errorf("%w (%s): name that one with --store", blocks.ErrElsewhere, row.Location)
}

// store opens the store unless it is open already.
func (s *shardBytes) store(ctx context.Context) (store.Store, error) {
	// One caller opens the store. The others wait for that, or for the end of their contexts.
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
		return nil, fmt.Errorf("%w: %w: mount it there, or name its place with --store", blocks.ErrUnreachable, err)
	}

	s.stored = stored
	return stored, nil
}

// Close closes the remaker.
func (s *shardBytes) Close() error { return s.remade.Close() }
