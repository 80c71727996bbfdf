package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
)

const pathHelp = `A path begins with a root: CID/path, /ipfs/CID/path or ipfs://CID/path
(percent-encoded). Symlinks on the way are followed inside the root. A symlink
at the end is not followed.`

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

// resolve finds the node that a path names.
func resolve(ctx context.Context, from tree.Blocks, text string) (tree.Path, tree.Resolved, error) {
	path, err := tree.ParsePath(text)
	if err != nil {
		return path, tree.Resolved{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	found, err := tree.Resolve(ctx, from, path)
	if errors.Is(err, blocks.ErrNotFound) {
		err = fmt.Errorf("%w: guppy upload ls shows the roots of all uploads", err)
	}
	return path, found, err
}
