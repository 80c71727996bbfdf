package check_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/s3test"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestMain(m *testing.M) {
	for key, value := range s3test.Environ() {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// fixture is a source that was prepared twice.
type fixture struct {
	*testing.T
	db   *dialect.DB
	repo *sqlrepo.Repository
	// root is the directory of the source, dir the directory of the store.
	root, dir string
	job       pipeline.Job
	uploads   []sqlrepo.Upload
	// lenient fixtures accept damage to rows that they no longer have.
	lenient bool
}

// harm fails the test if a damage was not possible.
func (f *fixture) harm(err error) {
	f.Helper()
	if !f.lenient {
		must(f, err)
	}
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shards")
	shards, err := store.OpenDirectory(dir)
	must(t, err)
	f := newFixtureIn(t, db, shards)
	f.dir = dir
	return f
}

// newFixtureIn is like newFixture, with any store.
func newFixtureIn(t *testing.T, db *dialect.DB, shards store.Store) *fixture {
	t.Helper()
	f := emptyFixture(t, db, shards)
	f.write("old/large", 1, 1<<20+5)
	f.write("old/twice", 1, 1<<20+5)
	for i := range 20 {
		f.write(fmt.Sprintf("old/%d", i), uint64(100+i), 10*i)
	}
	must(t, os.Symlink("large", filepath.Join(f.root, "old", "link")))

	f.run()
	f.write("new/large", 2, 3<<20+7)
	f.write("new/mixed", 1, 1<<20)
	for i := range 20 {
		f.write(fmt.Sprintf("new/%d", i), uint64(200+i), 10*i+1)
	}
	f.run()
	return f
}

// emptyFixture returns a fixture whose source is empty and was never prepared.
func emptyFixture(t *testing.T, db *dialect.DB, shards store.Store) *fixture {
	t.Helper()
	ctx := t.Context()
	f := &fixture{T: t, db: db, repo: sqlrepo.New(db), root: t.TempDir()}
	space, err := f.repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 2 << 20})
	must(t, err)

	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	src, err := f.repo.AddSource(ctx, sqlrepo.Source{
		Space: space.ID, Name: "source", Path: []byte(f.root), SourceOptions: options,
	})
	must(t, err)

	f.job = pipeline.Job{
		Repo: f.repo, Store: shards, FS: source.Local(), Space: space, Source: src,
		Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
		Workers: 2, ReadAhead: 4, TempDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	}
	return f
}

// write makes a file of random bytes.
func (f *fixture) write(path string, seed uint64, size int) {
	f.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(content) // it never fails
	path = filepath.Join(f.root, path)
	must(f, os.MkdirAll(filepath.Dir(path), 0o755))
	must(f, os.WriteFile(path, content, 0o644))
}

// run prepares the source.
func (f *fixture) run() {
	f.Helper()
	f.job.Progress = &progress.Counters{}
	result, err := f.job.Run(f.Context())
	must(f, err)
	if result.Upload.State != sqlrepo.Complete {
		f.Fatalf("the upload is %s", result.Upload.State)
	}
	f.uploads, err = f.repo.Uploads(f.Context(), sqlrepo.UploadFilter{})
	must(f, err)
}

// finish prepares the source if its latest upload is unfinished.
func (f *fixture) finish() {
	f.Helper()
	if upload, err := f.repo.UnfinishedUpload(f.Context(), f.job.Source.ID); err == nil {
		f.job.Fresh.PieceCID = upload.PieceCID
		f.run()
	}
}

// execute damages rows.
func (f *fixture) execute(statement string, args ...any) {
	f.Helper()
	conn, err := f.db.Writer.Connx(f.Context())
	must(f, err)
	defer conn.Close() //nolint:errcheck // what it did tells
	off, on := "PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"
	if f.db.Name == postgres.Name {
		off, on = "SET session_replication_role = replica", "SET session_replication_role = DEFAULT"
	}

	_, err = conn.ExecContext(f.Context(), off)
	must(f, err)
	result, err := conn.ExecContext(f.Context(), conn.Rebind(statement), args...)
	if err == nil {
		var rows int64
		if rows, err = result.RowsAffected(); err == nil && rows == 0 {
			err = fmt.Errorf("nothing was damaged by %s", statement)
		}
	}

	f.harm(err)
	_, err = conn.ExecContext(f.Context(), on)
	must(f, err)
}

func (f *fixture) problems() []check.Problem {
	f.Helper()
	return checktest.Problems(f, f.repo, f.dir)
}

// sound fails the test if there are problems.
func (f *fixture) sound(when string) {
	f.Helper()
	for _, problem := range f.problems() {
		if !problem.Note {
			f.Errorf("%s: %s", when, problem)
		}
	}
	if f.Failed() {
		f.FailNow()
	}
}

// repairer returns a repairer that calls did with each change.
func (f *fixture) repairer(did func(change string) error) *check.Repairer {
	f.Helper()
	checker, err := checktest.Checker(f, f.repo, f.dir)
	must(f, err)
	return &check.Repairer{Checker: checker, Link: f.link, Did: did, GiveUp: true}
}

// link links an upload again for a repair.
func (f *fixture) link(ctx context.Context, space sqlrepo.Space, upload int64, files store.Store) error {
	job := f.job
	job.Store, job.Space = files, space
	return job.Link(ctx, upload)
}

// repair repairs all problems, and returns the changes that it made.
func (f *fixture) repair() (did []string) {
	f.Helper()
	locked, lock, err := check.Lock(f.Context(), f.repo)
	must(f, err)
	repairer := f.repairer(func(change string) error {
		did = append(did, change)
		return nil
	})
	if err := repairer.Run(locked); err != nil {
		f.Fatalf("repair: %v, after %q", err, did)
	}
	must(f, lock.Release())
	return did
}

func (f *fixture) roots() (roots []string) {
	f.Helper()
	uploads, err := f.repo.Uploads(f.Context(), sqlrepo.UploadFilter{})
	must(f, err)
	for _, upload := range uploads {
		roots = append(roots, upload.RootCID.String())
	}
	return roots
}

func codes(problems []check.Problem) (codes []string) {
	for _, p := range problems {
		if !slices.Contains(codes, p.Code) {
			codes = append(codes, p.Code)
		}
	}
	return codes
}

// file returns the path of a shard's file.
func (f *fixture) file(id int64) string {
	f.Helper()
	row, err := f.repo.Shard(f.Context(), id)
	must(f, err)
	if len(row.Digest) != sha256.Size {
		f.harm(errors.New("the shard has no digest"))
		return filepath.Join(f.dir, "none")
	}
	return filepath.Join(f.dir, shard.Name([sha256.Size]byte(row.Digest)))
}

// shardOf returns the first packed shard of a kind of the i-th upload.
func (f *fixture) shardOf(upload int, kind sqlrepo.ShardKind) int64 {
	f.Helper()
	filter := sqlrepo.ShardFilter{Kind: &kind, States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	for row, err := range f.repo.Shards(f.Context(), f.uploads[upload].ID, filter) {
		must(f, err)
		return row.ID
	}
	f.harm(errors.New("there is no such shard"))
	return 0
}
