package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
)

const guppyPackage = "github.com/guppy-prep/guppy/cmd/guppy"

// errWrong is returned if guppy ran but its result can't be right. Nothing was measured then.
var errWrong = errors.New("wrong result")

// guppy is the built program.
type guppy struct {
	program   string
	environ   []string
	workspace *workspace
}

func buildGuppy(ctx context.Context, w *workspace) (*guppy, error) {
	g := &guppy{program: w.path("guppy"), workspace: w, environ: cleanEnviron(os.Environ(), w.path("config"))}
	_, _, err := execute(ctx, os.Environ(), "go", "build", "-o", g.program, guppyPackage)
	return g, err
}

// cleanEnviron keeps the user's settings of guppy out of the benchmark.
func cleanEnviron(environ []string, configHome string) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		return strings.HasPrefix(variable, "GUPPY_") || strings.HasPrefix(variable, "XDG_CONFIG_HOME=")
	})
	return append(kept, "XDG_CONFIG_HOME="+configHome)
}

// preparation is what guppy prepare reports.
type preparation struct {
	RootCID     string  `json:"root_cid"`
	State       string  `json:"state"`
	Files       int64   `json:"file_count"`
	Directories int64   `json:"directory_count"`
	Symlinks    int64   `json:"symlink_count"`
	Bytes       int64   `json:"bytes"`
	Nodes       int64   `json:"block_count"`
	Shards      []shard `json:"shards"`
}

type shard struct {
	CID string `json:"cid"`
}

func (p preparation) entries() int64 { return p.Files + p.Directories + p.Symlinks }

// check returns errWrong unless the whole corpus is prepared.
func (p preparation) check(want contents) error {
	if p.State != "complete" || p.RootCID == "" || p.Files != want.Files || p.Bytes != want.Bytes {
		return fmt.Errorf("%w: upload %s with root %q, %d files of %d and %d bytes of %d", errWrong, p.State, p.RootCID,
			p.Files, want.Files, p.Bytes, want.Bytes)
	}
	return nil
}

// same returns errWrong unless both have the same root and the same shards in the same order.
func (p preparation) same(other preparation) error {
	if p.RootCID != other.RootCID {
		return fmt.Errorf("%w: root %s here, %s in the first run", errWrong, p.RootCID, other.RootCID)
	}
	if !slices.Equal(p.Shards, other.Shards) {
		return fmt.Errorf("%w: shards %v here, %v in the first run", errWrong, p.Shards, other.Shards)
	}
	return nil
}

// prepared is the result of one measured run.
type prepared struct {
	preparation
	cost
	database int64
}

// prepare measures a run with a new database.
func (g *guppy) prepare(ctx context.Context, on running, source string, flags ...string) (run prepared, err error) {
	run.database, err = g.withDatabase(ctx, on, func(dir string, environ []string) error {
		took, output, err := execute(ctx, environ, g.program,
			append([]string{"prepare", source, "--data-dir", dir, "--json"}, flags...)...)
		if err != nil {
			return err
		}

		run.cost = took
		if err := json.Unmarshal(output, &run.preparation); err != nil {
			return fmt.Errorf("%w: %w", errWrong, err)
		}
		return nil
	})
	return run, err
}

// emptySize returns the size of a database that has all tables and no content.
func (g *guppy) emptySize(ctx context.Context, on running) (int64, error) {
	return g.withDatabase(ctx, on, func(dir string, environ []string) error {
		_, _, err := execute(ctx, environ, g.program, "migrate", "up", "--data-dir", dir)
		return err
	})
}

// withDatabase makes a database, calls use with it and returns its size afterwards.
func (g *guppy) withDatabase(ctx context.Context, on running, use func(dir string, environ []string) error) (size int64,
	err error) {
	err = g.workspace.withDatabase(ctx, on, func(dir string, url dialect.Secret) error {
		if err := use(dir, append(slices.Clone(g.environ), "GUPPY_DATABASE_URL="+url.Reveal())); err != nil {
			return err
		}
		size, err = databaseSize(ctx, url)
		return err
	})
	return size, err
}
