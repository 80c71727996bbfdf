package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// contentsFile says what a repository has. It is written when the repository is complete.
const contentsFile = "contents.json"

// scaled is a repository of one size, on an engine of its own.
type scaled struct {
	*generated
	engine  engine
	dir     string
	discard func(dir string) error
	db      *dialect.DB
	// times has those of each query.
	times [][]time.Duration
}

// open opens the repository of a size that was kept, or fills one.
func (x scales) open(ctx context.Context, b *bench, on starter, size int) (s *scaled, err error) {
	s = &scaled{discard: b.workspace.done}
	name, kept := fmt.Sprintf("scale-%s-%d", on.name, size), false
	if x.filled == "" {
		s.dir, err = b.workspace.fresh(name)
	} else {
		s.dir, s.discard = filepath.Join(x.filled, name), func(string) error { return nil }
		kept, err = keptOrFresh(s.dir, size)
	}
	if err != nil {
		return nil, err
	}

	if s.engine, err = on.start(ctx, s.dir); err != nil {
		return nil, errors.Join(err, s.discard(s.dir))
	}
	if kept {
		err = s.load(ctx)
	} else {
		err = s.fill(ctx, b, on.name, size)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// keptOrFresh reports whether a directory has a complete repository. If it has not, the directory is empty.
func keptOrFresh(dir string, size int) (kept bool, err error) {
	_, err = os.Stat(filepath.Join(dir, contentsFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}

	if err := os.RemoveAll(dir); err != nil {
		return false, err
	}
	// The database server runs as another user if this program runs as root.
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as above
		return false, err
	}
	free, _, err := space(dir)
	if err == nil && free < roomOf(size) {
		err = fmt.Errorf("%s has %d MiB free, %d entries need %d", dir, free>>20, size, roomOf(size)>>20)
	}
	return false, err
}

// fill fills an empty database.
func (s *scaled) fill(ctx context.Context, b *bench, engine string, size int) error {
	began := time.Now()
	if _, err := s.engine.create(ctx, s.dir); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}

	var err error
	if s.generated, err = generate(ctx, s.db, size, b.seed); err != nil {
		return err
	}
	if err := s.keep(); err != nil {
		return err
	}

	bytes, err := s.db.Size(ctx)
	b.say("scale: %s holds %d entries and %d nodes, %d MiB, after %.0f s", engine, size, size*nodesPerEntry,
		bytes>>20, time.Since(began).Seconds())
	return err
}

func (s *scaled) connect(ctx context.Context) error {
	url, err := s.engine.url(s.dir)
	if err == nil {
		s.db, _, err = migrate.New(dialect.Settings{URL: url}).Open(ctx, true)
	}
	return err
}

func (s *scaled) keep() error {
	contents, err := json.Marshal(s.generated)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, contentsFile), contents, 0o600)
}

// load opens a repository that an earlier run has filled.
func (s *scaled) load(ctx context.Context) error {
	contents, err := os.ReadFile(filepath.Join(s.dir, contentsFile))
	if err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.generated = &generated{repo: sqlrepo.New(s.db), random: newDigests(uint64(time.Now().UnixNano()))}
	return json.Unmarshal(contents, s.generated)
}

// cool opens the database again while neither the engine nor the system has any of it in memory.
func (s *scaled) cool(ctx context.Context) error {
	if err := s.disconnect(); err != nil {
		return err
	}
	if err := s.engine.cool(ctx, func() error { return uncache(s.dir) }); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.repo = sqlrepo.New(s.db)
	return nil
}

func (s *scaled) disconnect() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return err
}

func (s *scaled) close() error {
	return errors.Join(s.disconnect(), s.engine.close(), s.discard(s.dir))
}
