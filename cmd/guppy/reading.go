package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

// withBlocks calls fn with a source of the blocks of all spaces.
func (a *app) withBlocks(ctx context.Context, cfg *config.Config, repo *repository,
	fn func(*blocks.Source) error) (err error) {
	shards, err := a.openShards(ctx, cfg, repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shards.Close()) }()
	found := blocks.New(repo, shards)
	defer func() { err = errors.Join(err, found.Close()) }()
	return fn(found)
}

// resolve finds the node that a path leads to.
func resolve(ctx context.Context, from tree.Blocks, path tree.Path) (tree.Resolved, error) {
	found, err := tree.Resolve(ctx, from, path)
	if errors.Is(err, blocks.ErrNotFound) {
		err = fmt.Errorf("%w: guppy upload ls lists the roots of all uploads", err)
	}
	return found, err
}
