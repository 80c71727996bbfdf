package chaos_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const shardSize = 64 << 10

// many has many small shards, and some files that span them. Copies of a file share blocks.
var many = sourcetest.Tree{Dirs: 4, Files: 25, Seed: 5, Latency: time.Millisecond, SizeOf: func(dir, file int) int64 {
	return map[int]int64{3: 60_000, 9: 0}[file] + int64(file*1300+dir*7)
}}

// fixture is a space with one source and its first upload, in its own repository and store.
type fixture struct {
	t      *testing.T
	repo   *sqlrepo.Repository
	dir    string
	store  store.Store
	space  sqlrepo.Space
	source sqlrepo.Source
	fresh  sqlrepo.Upload
	files  *sourcetest.Counting
	log    countingLog
	limits pipeline.Limits
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	ctx := t.Context()
	f := &fixture{t: t, repo: sqlrepo.New(db), dir: filepath.Join(t.TempDir(), "shards"),
		files: sourcetest.NewCounting(sourcetest.NewSynthetic(many)), limits: limits}

	var err error
	f.space, err = f.repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: shardSize})
	must(t, err)
	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	f.source, err = f.repo.AddSource(ctx, sqlrepo.Source{
		Space: f.space.ID, Name: "source", Path: []byte(sourcetest.Root), SourceOptions: options,
	})
	must(t, err)

	f.store, err = store.OpenDirectory(f.dir)
	must(t, err)
	row, _, err := known.Register(ctx, f.repo, f.store, "")
	must(t, err)
	f.fresh = sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: shardSize, SourceOptions: options,
		Store: row.Identity}

	_, err = f.repo.OpenUpload(ctx, f.source.ID, f.fresh)
	must(t, err)
	return f
}

// limits make leases end soon and keep workers from giving up.
var limits = pipeline.Limits{Lease: time.Second, MaxAttempts: 1000, RunAhead: 2, Pause: time.Millisecond}

// job prepares the source over its own connection.
func (f *fixture) job(db *dialect.DB) pipeline.Job {
	return pipeline.Job{
		Repo: sqlrepo.New(db), Store: f.store, FS: f.files, Space: f.space, Source: f.source,
		Fresh: f.fresh, Workers: 2, ReadAhead: 4, Limits: f.limits, TempDir: f.t.TempDir(),
		Progress: &progress.Counters{}, Log: slog.New(&f.log),
	}
}

// worker works beside a job.
func (f *fixture) worker(db *dialect.DB) pipeline.Worker {
	job := f.job(db)
	site := &pipeline.Access{Space: f.space, Store: f.store, FS: source.FS(f.files), Root: sourcetest.Root}
	return pipeline.Worker{
		Repo:    job.Repo,
		Locate:  func(context.Context, sqlrepo.OpenUpload) (*pipeline.Access, error) { return site, nil },
		Workers: 1, ReadAhead: 4, Limits: f.limits, TempDir: job.TempDir, Progress: job.Progress, Log: job.Log,
	}
}

// together lets a job and workers, each over its own connection, complete the upload.
func (f *fixture) together(dbs ...*dialect.DB) {
	f.t.Helper()
	var working sync.WaitGroup
	began := make(chan struct{})

	for i, db := range dbs {
		working.Go(func() {
			var err error
			// Workers wait for the job to begin. Otherwise they could complete the upload before a job that a fault
			// holds up, and the job would begin another one.
			if i > 0 {
				<-began
			} else {
				f.log.begins(began)
			}

			if job := f.job(db); i == 0 {
				_, err = job.Run(f.t.Context())
			} else {
				worker := f.worker(db)
				err = worker.Run(f.t.Context())
			}

			if err != nil {
				f.t.Errorf("worker %d: %v", i, err)
			}

			if i == 0 {
				f.log.end()
			}
		})
	}

	working.Wait()
}

// outcome is what an upload leaves behind.
type outcome struct {
	root, dump string
	shards     []string
}

var unlike = regexp.MustCompile(`"(created_at|started_at|finished_at)":("[^"]*"|\d+)`)

func (f *fixture) outcome() outcome {
	f.t.Helper()
	upload, err := f.repo.Upload(f.t.Context(), 1)
	must(f.t, err)

	var dump bytes.Buffer
	must(f.t, copying.New(f.repo).Dump(f.t.Context(), &dump))

	shards, err := filepath.Glob(filepath.Join(f.dir, "*.car"))
	must(f.t, err)
	for i := range shards {
		shards[i] = filepath.Base(shards[i])
	}
	return outcome{upload.RootCID.String(), unlike.ReplaceAllString(dump.String(), ""), shards}
}

// undisturbed returns the outcome of one worker on SQLite.
func undisturbed(t *testing.T) outcome {
	t.Helper()
	db := enginetest.Engines()[0].Open(t)
	f := newFixture(t, db)
	f.together(db)
	want := f.outcome()
	if want.root == "" || len(want.shards) < 25 {
		t.Fatalf("root %q, %d shards", want.root, len(want.shards))
	}
	return want
}

func (f *fixture) requireOutcome(want outcome) {
	f.t.Helper()
	got := f.outcome()
	if got.root != want.root {
		f.t.Errorf("root %s, want %s", got.root, want.root)
	}
	if !slices.Equal(got.shards, want.shards) {
		f.t.Errorf("%d shards, want these %d:\n%q\n%q", len(got.shards), len(want.shards), got.shards, want.shards)
	}
	if got.dump != want.dump {
		f.t.Errorf("the dump differs: %s", firstDifference(got.dump, want.dump))
	}
}

func firstDifference(got, want string) string {
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			return "got\n" + gotLines[i] + "\nwant\n" + wantLines[i]
		}
	}
	return "it is cut off"
}

// requireTidy runs the source once more, unchanged. Nothing may be left of the disturbed work.
func (f *fixture) requireTidy(db *dialect.DB) {
	f.t.Helper()
	job := f.job(db)
	result, err := job.Run(f.t.Context())
	must(f.t, err)
	if result.Upload.ID != 1 || !result.Unchanged {
		f.t.Errorf("upload %d is unchanged: %t", result.Upload.ID, result.Unchanged)
	}

	entries, err := os.ReadDir(f.dir)
	must(f.t, err)
	for _, entry := range entries {
		ours := slices.Contains([]string{".car", ".idx"}, filepath.Ext(entry.Name()))
		if name := entry.Name(); name != ".guppy-store" && !ours {
			f.t.Errorf("%s is left over", name)
		}
	}

	var leased int
	must(f.t, db.Writer.GetContext(f.t.Context(), &leased,
		"SELECT (SELECT COUNT(*) FROM shards WHERE token <> 0) + (SELECT COUNT(*) FROM uploads WHERE token <> 0)"))
	if leased != 0 {
		f.t.Errorf("%d leases are left over", leased)
	}

	checktest.Sound(f.t, sqlrepo.New(db), f.dir)
}

// requireReads allows one reading of each byte, and one more for each lost lease.
func (f *fixture) requireReads() {
	f.t.Helper()
	upload, err := f.repo.Upload(f.t.Context(), 1)
	must(f.t, err)
	read, lost := f.files.Total().BytesRead, f.log.lost()
	f.t.Logf("%d bytes read of %d; %d leases were lost", read, upload.Bytes, lost)
	if limit := upload.Bytes + int64(lost)*shardSize; read > limit {
		f.t.Errorf("%d bytes read of %d, with %d leases lost: %v", read, upload.Bytes, lost, f.log.messages)
	}
}

// countingLog counts work that was given up.
type countingLog struct {
	mu       sync.Mutex
	count    int
	messages map[string]int
	// began, if not nil, is closed when the next job begins.
	began chan struct{}
}

// lostWork are the messages about work that must be done again.
var lostWork = map[string]bool{
	"lost the lease: another worker has taken over": true, "work failed": true, "could not give work back": true,
}

func (l *countingLog) lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// begins closes a channel when a job has begun.
func (l *countingLog) begins(began chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = began
}

// end releases those that wait for a job which failed before it began.
func (l *countingLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began != nil {
		close(l.began)
		l.began = nil
	}
}

// Handle implements slog.Handler.
func (l *countingLog) Handle(_ context.Context, record slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if record.Message == "preparing a source" && l.began != nil {
		close(l.began)
		l.began = nil
	}

	if l.messages == nil {
		l.messages = map[string]int{}
	}

	l.messages[record.Message]++
	if lostWork[record.Message] {
		l.count++
	}
	return nil
}

// Enabled implements slog.Handler.
func (*countingLog) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (l *countingLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *countingLog) WithGroup(string) slog.Handler { return l }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
