package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/store"
)

const shardsDir = "shards"

// resolve fills in values that depend on other settings and checks settings together. It does not check a setting
// again that already has a problem.
func (c *Config) resolve(home string, known []Problem) []Problem {
	r := resolver{c: c, home: home}

	c.trim()
	r.paths()
	r.store()
	r.index()

	if !concernDatabase(known) && !concernDatabase(r.problems) {
		r.database()
	}

	return r.problems
}

// trim removes white space around URLs, such as the newline that an environment variable may get from a file. It
// leaves paths alone, because they may begin or end with white space.
func (c *Config) trim() {
	c.Repo.DatabaseURL = dialect.TrimURL(c.Repo.DatabaseURL)
	c.Repo.MigrateURL, c.Repo.ReadURL = dialect.TrimURL(c.Repo.MigrateURL), dialect.TrimURL(c.Repo.ReadURL)
}

func concernDatabase(problems []Problem) bool {
	for _, p := range problems {
		if slices.Contains(databaseKeys, p.Key) {
			return true
		}
	}
	return false
}

type resolver struct {
	c        *Config
	home     string
	problems []Problem
}

func (r *resolver) check(key string, err error) bool {
	if err != nil {
		p := Problem{Key: key, Origin: r.c.Origin(key), Reason: err.Error(), Cause: err}
		r.problems = append(r.problems, p)
	}
	return err == nil
}

func (r *resolver) paths() {
	c := r.c
	r.path("repo.data_dir", &c.Repo.DataDir)
	r.path(passwordFileKey, &c.Repo.PasswordFile)
	r.path(oldPasswordFileKey, &c.Repo.DatabasePasswordFile)
	r.path(sslrootcertKey, &c.Repo.SSLRootCert)
	r.path(sslcertKey, &c.Repo.SSLCert)
	r.path(sslkeyKey, &c.Repo.SSLKey)
	r.path("prepare.exclude_file", &c.Prepare.ExcludeFile)

	r.pairs(sourcePathsKey, c.Worker.SourcePaths, ExpandPath)
	r.pairs(storePathsKey, c.Store.Paths, ExpandStore)
}

// pairs expands the paths of some NAME=PATH.
func (r *resolver) pairs(key string, pairs []string, expand expansion) {
	for i, pair := range pairs {
		name, path, _ := strings.Cut(pair, "=")
		r.expand(key, &path, expand)
		pairs[i] = name + "=" + path
	}
}

func (r *resolver) path(key string, path *string) { r.expand(key, path, ExpandPath) }

// expansion expands a path, given the home directory.
type expansion func(home, path string) (string, error)

func (r *resolver) expand(key string, path *string, expand expansion) {
	expanded, err := expand(r.home, *path)
	if err != nil {
		err = fmt.Errorf("%s: %w", show(*path), err)
	}
	r.check(key, err)
	*path = expanded
}

func (r *resolver) store() {
	p := &r.c.Prepare
	if p.Store == "" {
		p.Store = below(r.c.Repo.DataDir, shardsDir)
		return
	}

	r.expand("prepare.store", &p.Store, ExpandStore)
	place, err := store.ParseURL(p.Store)
	r.check("prepare.store", err)
	if place.Directory != "" {
		p.Store = place.Directory
	}
}

// index limits the number of slices to what the layout allows, unless the number was set.
func (r *resolver) index() {
	x := &r.c.Index
	layout, err := blobindex.ParseLayout(x.Layout)
	if err != nil {
		// The invalid layout has been reported already.
		return
	}
	if !r.c.IsSet(slicesKey) {
		x.MaxSlices = min(x.MaxSlices, layout.MaxSlices())
	}
	r.check(slicesKey, layout.CheckSlices(x.MaxSlices))
}

func (r *resolver) warn(format string, args ...any) {
	r.c.Warnings = append(r.c.Warnings, fmt.Sprintf(format, args...))
}
