package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/gateway"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// each runs a test on every engine, and looks for goroutines that it leaves.
func each(t *testing.T, test func(f *fixture)) { enginetest.Each(t, leavingNothing(test)) }

// eachLong is each for what hardly depends on the engine, see enginetest.EachLong.
func eachLong(t *testing.T, test func(f *fixture)) { enginetest.EachLong(t, leavingNothing(test)) }

// leavingNothing adds a fixture to a test, and looks for goroutines that it leaves.
func leavingNothing(test func(f *fixture)) func(t *testing.T, db *dialect.DB) {
	return func(t *testing.T, db *dialect.DB) {
		t.Cleanup(enginetest.LeavesNothing(t))
		test(newFixture(t, db))
	}
}

// fixture is a source, a repository and a gateway.
type fixture struct {
	*testing.T
	repo *sqlrepo.Repository
	// root is the source, dir the store.
	root, dir string
	store     *store.Directory
	job       pipeline.Job
	url       string
	client    *http.Client
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	f := &fixture{T: t, repo: sqlrepo.New(db), root: t.TempDir(), dir: filepath.Join(t.TempDir(), "shards")}
	space, err := f.repo.AddSpace(t.Context(), sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 2 << 20})
	must(t, err)

	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	registered, err := f.repo.AddSource(t.Context(), sqlrepo.Source{
		Space: space.ID, Name: "<source>", Path: []byte(f.root), SourceOptions: options,
	})
	must(t, err)

	f.store, err = store.OpenDirectory(f.dir)
	must(t, err)

	f.job = pipeline.Job{
		Repo: f.repo, Store: f.store, FS: source.Local(), Space: space, Source: registered,
		Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
		Workers: 2, ReadAhead: 4, TempDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	}

	f.serve()
	return f
}

// OpenShard implements blocks.Shards.
// shardFile returns the path of a shard's file.
func (f *fixture) shardFile(row sqlrepo.Shard) string {
	return filepath.Join(f.dir, shard.Name([32]byte(row.Digest)))
}

func (f *fixture) OpenShard(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	return f.store.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
}

// Roots implements gateway.Roots.
func (f *fixture) roots(ctx context.Context) (roots []gateway.Root, err error) {
	uploads, err := f.repo.Uploads(ctx, sqlrepo.UploadFilter{})
	for _, upload := range uploads {
		if upload.State == sqlrepo.Complete {
			roots = append(roots, gateway.Root{CID: upload.RootCID.String(), Space: "test", Source: "<source>"})
		}
	}
	return roots, err
}

// serve starts a gateway, which ends with the test.
func (f *fixture) serve() {
	f.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}))

	from := blocks.New(f.repo, f)
	handler, err := gateway.NewHandler(from, f.roots, gateway.Options{
		MaxRequests: 100, Timeout: time.Minute, LocalNames: true, Log: log,
	})
	must(f, err)

	f.url = start(f.T, handler)
	f.Cleanup(func() { must(f, from.Close()) })

	f.client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	f.Cleanup(f.client.CloseIdleConnections)
}

// start serves until the test ends.
func start(t *testing.T, handler http.Handler) (url string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())

	var serving sync.WaitGroup
	serving.Go(func() {
		if err := gateway.Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})

	t.Cleanup(func() {
		stop()
		serving.Wait()
	})

	return "http://" + listener.Addr().String()
}

// write makes a file of random bytes.
func (f *fixture) write(path string, size int) []byte {
	f.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(len(path))}).Read(content) // it never fails
	path = filepath.Join(f.root, path)
	must(f, os.MkdirAll(filepath.Dir(path), 0o755))
	must(f, os.WriteFile(path, content, 0o644))
	return content
}

// prepare prepares the source and returns its root.
func (f *fixture) prepare() string {
	f.Helper()
	f.job.Progress = &progress.Counters{}
	result, err := f.job.Run(f.Context())
	must(f, err)
	equal(f.T, "state", result.Upload.State, sqlrepo.Complete)
	return result.Upload.RootCID.String()
}

// answer is the answer of a gateway.
type answer struct {
	*http.Response
	body []byte
}

// ask sends a request with headers "Name: value". It returns an error if the request fails.
func (f *fixture) ask(method, path string, headers ...string) (a answer, err error) {
	request, err := http.NewRequestWithContext(f.Context(), method, f.url+path, nil)
	if err != nil {
		return a, err
	}

	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
		if name == "Host" {
			request.Host = value
		}
	}

	response, err := f.client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close() //nolint:errcheck // it is only read

	body, err := io.ReadAll(response.Body)
	return answer{response, body}, err
}

// get requires an answer with the given status.
func (f *fixture) get(status int, path string, headers ...string) answer {
	f.Helper()
	a, err := f.ask(http.MethodGet, path, headers...)
	must(f, err)
	if a.StatusCode != status {
		f.Fatalf("%s %q: status %d, want %d: %.300s", path, headers, a.StatusCode, status, a.body)
	}
	return a
}

func (a answer) String() string { return fmt.Sprintf("%s: %.300s", a.Status, a.body) }
