package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// recipe returns the recipe of a new upload. An unfinished upload keeps its profile, its kind of index, its piece
// CIDs and, once shards are planned, its shard size. A source keeps its options and the profile of its latest
// upload. Flags override all of these.
func recipe(cfg *config.Config, uploads []sqlrepo.Upload, space sqlrepo.Space,
	registered sqlrepo.Source) (recipe sqlrepo.Upload, err error) {
	recipe = sqlrepo.Upload{Profile: cfg.Prepare.Profile, ShardSize: space.ShardSize, PieceCID: cfg.Prepare.PieceCID,
		IndexLayout: cfg.Index.Layout, IndexSlices: cfg.Index.MaxSlices, Rereading: rereading(cfg)}

	if len(uploads) > 0 {
		latest := uploads[len(uploads)-1]
		if !cfg.ByFlag("prepare.profile") {
			recipe.Profile = latest.Profile
		}
		if !latest.Closed() {
			keepRecipe(cfg, &recipe, latest)
		}
	}

	if cfg.ByFlag("prepare.piece_cid") {
		recipe.PieceCID = cfg.Prepare.PieceCID
	}
	if cfg.ByFlag("prepare.shard_size") {
		recipe.ShardSize = cfg.Prepare.ShardSize
	}

	recipe.SourceOptions, err = changedOptions(cfg, registered.SourceOptions)
	return recipe, err
}

// keepRecipe keeps the recipe of an unfinished upload, because its plan can't change.
func keepRecipe(cfg *config.Config, recipe *sqlrepo.Upload, latest sqlrepo.Upload) {
	keepRereading(cfg, &recipe.Rereading, latest.Rereading)
	recipe.PieceCID = latest.PieceCID
	if latest.PlannedShards > 0 {
		recipe.ShardSize = latest.ShardSize
	}

	if cfg.ByFlag("index.layout") && cfg.Index.Layout != latest.IndexLayout {
		// The largest number of slices depends on the layout.
		return
	}

	recipe.IndexLayout = latest.IndexLayout
	if !cfg.ByFlag("index.max_slices") {
		recipe.IndexSlices = latest.IndexSlices
	}
}

// rereading returns the configured way of comparing files with those that were scanned before.
func rereading(cfg *config.Config) sqlrepo.Rereading {
	return sqlrepo.Rereading{
		Reread: cfg.Prepare.Reread, IgnoreInode: cfg.Prepare.IgnoreInode, IgnoreCtime: cfg.Prepare.IgnoreCtime,
		MtimeWindow: int64(cfg.Prepare.MtimeWindow),
	}
}

// keepRereading keeps the way in which an unfinished upload compares files, unless flags change it.
func keepRereading(cfg *config.Config, rereading *sqlrepo.Rereading, latest sqlrepo.Rereading) {
	if !cfg.ByFlag("prepare.ignore_inode") {
		rereading.IgnoreInode = latest.IgnoreInode
	}
	if !cfg.ByFlag("prepare.ignore_ctime") {
		rereading.IgnoreCtime = latest.IgnoreCtime
	}
	if !cfg.ByFlag("prepare.mtime_window") {
		rereading.MtimeWindow = latest.MtimeWindow
	}
}

// configuredOptions returns the options of a new source.
func configuredOptions(cfg *config.Config) (sqlrepo.SourceOptions, error) {
	excludes, err := configuredExcludes(cfg)
	return sqlrepo.SourceOptions{Excludes: excludes, SymlinkPolicy: cfg.Prepare.Symlinks}, err
}

// changedOptions returns the options of a registered source, changed as flags say.
func changedOptions(cfg *config.Config, options sqlrepo.SourceOptions) (sqlrepo.SourceOptions, error) {
	if cfg.ByFlag("prepare.symlinks") {
		options.SymlinkPolicy = cfg.Prepare.Symlinks
	}
	if cfg.ByFlag("prepare.exclude") || cfg.ByFlag("prepare.exclude_file") {
		excludes, err := configuredExcludes(cfg)
		options.Excludes = excludes
		return options, err
	}
	return options, nil
}

func configuredExcludes(cfg *config.Config) (excludes sqlrepo.Lines, err error) {
	if cfg.Prepare.ExcludeFile != "" {
		if excludes, err = source.ReadExcludeFile(cfg.Prepare.ExcludeFile); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, cfg.Origin("prepare.exclude_file"), err)
		}
	}
	excludes = append(excludes, cfg.Prepare.Exclude...)

	origin := patternOrigin(cfg)
	for _, pattern := range excludes {
		if _, err := source.ParseExcludes([]string{pattern}); err != nil {
			return nil, fmt.Errorf("%s: %w", origin(pattern), err)
		}
	}
	return excludes, nil
}

// patternOrigin returns a function that says where an exclude pattern comes from.
func patternOrigin(cfg *config.Config) func(pattern string) string {
	lines := sync.OnceValue(func() map[string]int {
		// The file was read before, so an error says that it is gone now.
		lines, _ := source.ExcludeLines(cfg.Prepare.ExcludeFile)
		return lines
	})

	return func(pattern string) string {
		if slices.Contains(cfg.Prepare.Exclude, pattern) {
			return string(cfg.Origin("prepare.exclude"))
		}
		if cfg.Prepare.ExcludeFile == "" || lines()[pattern] == 0 {
			return pipeline.StoredPattern
		}
		return fmt.Sprintf("%s:%d", cfg.Prepare.ExcludeFile, lines()[pattern])
	}
}
