package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/source"
)

const pathHelp = `A path begins with a root: CID/path, /ipfs/CID/path or ipfs://CID/path (percent-encoded). Symlinks on
the way are followed inside the root; the last name may be one, and is not followed.`

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

// refuseOwnOutput returns an error for an output inside guppy's own directories.
func refuseOwnOutput(cfg *config.Config, out string) error {
	places := []string{filepath.Dir(out)}
	if target, err := filepath.EvalSymlinks(out); err == nil {
		// The output is written where a symlink leads.
		places = append(places, filepath.Dir(target))
	}

	if info, err := os.Stat(out); err == nil && info.IsDir() {
		places = []string{out}
	}

	for _, place := range places {
		if err := source.RefuseWithin(place, cfg.Repo.DataDir, cfg.Prepare.StoreDirectory()); err != nil {
			return err
		}
	}
	return nil
}

// jsonStream prints an object with one array, element by element, because there may be many elements.
type jsonStream struct {
	out  *bufio.Writer
	some bool
}

// streamJSON begins an object with the array of this name.
func (a *app) streamJSON(name string) *jsonStream {
	s := &jsonStream{out: bufio.NewWriter(a.stdout)}
	fmt.Fprintf(s.out, "{%q:[", name)
	return s
}

func (s *jsonStream) element(value any) error {
	if s.some {
		if err := s.out.WriteByte(','); err != nil {
			return err
		}
	}
	s.some = true
	return s.encode(value)
}

func (s *jsonStream) encode(value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = s.out.Write(encoded)
	return err
}

// end ends the array, adds the members that are only known then, and ends the object.
func (s *jsonStream) end(further map[string]any) error {
	fmt.Fprint(s.out, "]")
	for _, name := range sortedKeys(further) {
		fmt.Fprintf(s.out, ",%q:", name)
		if err := s.encode(further[name]); err != nil {
			return err
		}
	}
	_, err := io.WriteString(s.out, "}\n")
	return errors.Join(err, s.out.Flush())
}

// base64Unless returns the base64 form of a name that JSON can't hold, and "" for any other name.
func base64Unless(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(name))
}
