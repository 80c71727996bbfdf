package remake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/remake"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// fixture is a source whose shards are in a directory, for comparison with those that are made again.
type fixture struct {
	*testing.T
	repo      *sqlrepo.Repository
	root, dir string
	store     *store.Directory
	job       pipeline.Job
	remaker   *remake.Remaker
	// contents is called before a pass through the entries of an upload.
	contents func()
}

// watched reports passes through entries.
type watched struct {
	*sqlrepo.Repository
	fixture *fixture
}

func (w watched) Contents(ctx context.Context, upload int64,
	states ...sqlrepo.EntryState) iter.Seq2[sqlrepo.Linkable, error] {
	w.fixture.contents()
	return w.Repository.Contents(ctx, upload, states...)
}

func newFixture(t *testing.T, db *dialect.DB) *fixture {
	t.Helper()
	f := &fixture{T: t, repo: sqlrepo.New(db), root: t.TempDir(), dir: filepath.Join(t.TempDir(), "shards")}
	space, err := f.repo.AddSpace(t.Context(), sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 2 << 20})
	must(t, err)

	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	src, err := f.repo.AddSource(t.Context(), sqlrepo.Source{
		Space: space.ID, Name: "source", Path: []byte(f.root), SourceOptions: options,
	})
	must(t, err)

	f.store, err = store.OpenDirectory(f.dir)
	must(t, err)

	f.job = pipeline.Job{
		Repo: f.repo, Store: f.store, FS: source.Local(), Space: space, Source: src,
		Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
		Workers: 2, ReadAhead: 4, TempDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	}

	temporary := t.TempDir()
	f.contents = func() {}

	f.remaker = remake.New(watched{f.repo, f}, temporary, func(_ context.Context, key int64) (remake.SourceRoot, error) {
		if key != src.ID {
			return remake.SourceRoot{}, fmt.Errorf("source %d", key)
		}
		return remake.SourceRoot{FS: source.Local(), Root: f.root}, nil
	})

	t.Cleanup(func() {
		must(t, f.remaker.Close())
		left, err := os.ReadDir(temporary)
		must(t, err)
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})

	return f
}

func (f *fixture) write(path string, seed byte, size int) {
	f.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(content) // it never fails
	path = filepath.Join(f.root, path)
	must(f, os.MkdirAll(filepath.Dir(path), 0o755))
	must(f, os.WriteFile(path, content, 0o644))
}

func (f *fixture) prepare() sqlrepo.Upload {
	f.Helper()
	f.job.Progress = &progress.Counters{}
	result, err := f.job.Run(f.Context())
	must(f, err)
	if result.Upload.State != sqlrepo.Complete {
		f.Fatalf("the upload is %s", result.Upload.State)
	}
	return result.Upload
}

// prepareTwice prepares files that span shards, the same content in several files, files that both uploads share,
// large and empty directories, and symlinks.
func (f *fixture) prepareTwice() (first, second sqlrepo.Upload) {
	f.write("large", 1, 5<<20+7)
	f.write("again/large", 1, 5<<20+7)
	f.write("empty", 0, 0)
	must(f, os.Mkdir(filepath.Join(f.root, "nothing"), 0o755))
	must(f, os.Symlink("large", filepath.Join(f.root, "link")))
	for i := range 300 {
		f.write(fmt.Sprintf("many/%d", i), byte(i), 10*i)
	}
	first = f.prepare()
	f.write("new/large", 2, 3<<20)
	f.write("many/more", 99, 12345)
	return first, f.prepare()
}

// packed returns the shards in the store.
func (f *fixture) packed() (shards []sqlrepo.Shard) {
	f.Helper()
	uploads, err := f.repo.Uploads(f.Context(), sqlrepo.UploadFilter{})
	must(f, err)
	for _, upload := range uploads {
		filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
		for shard, err := range f.repo.Shards(f.Context(), upload.ID, filter) {
			must(f, err)
			shards = append(shards, shard)
		}
	}
	return shards
}

func (f *fixture) stored(row sqlrepo.Shard) []byte {
	f.Helper()
	content, err := os.ReadFile(filepath.Join(f.dir, shard.Name([32]byte(row.Digest))))
	must(f, err)
	return content
}

// remake makes a shard again and reads it from its beginning.
func (f *fixture) remake(row sqlrepo.Shard) ([]byte, error) {
	reading, err := f.remaker.OpenShard(f.Context(), row)
	if err != nil {
		return nil, err
	}
	content := make([]byte, row.Size+1)
	n, err := reading.ReadAt(f.Context(), content, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return content[:n], errors.Join(err, reading.Close())
}

func (f *fixture) demandSame(shards []sqlrepo.Shard) {
	f.Helper()
	for _, row := range shards {
		content, err := f.remake(row)
		if err != nil || !bytes.Equal(content, f.stored(row)) {
			f.Errorf("%s shard %d of upload %d: %d bytes differ from the store's %d: %v",
				row.Kind, row.Ordinal, row.Upload, len(content), row.Size, err)
		}
	}
}

func TestShardsAreMadeAsTheyWere(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.prepareTwice()
		shards := f.packed()

		kinds := map[sqlrepo.ShardKind]int{}
		for _, row := range shards {
			kinds[row.Kind]++
		}

		if kinds[sqlrepo.DataShard] < 4 || kinds[sqlrepo.DAGShard] < 2 {
			t.Fatalf("the source makes too few shards: %v", kinds)
		}

		f.demandSame(shards)
	})
}

// TestRangesOfShards lets many readers read ranges at once.
func TestRangesOfShards(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	f.prepareTwice()
	var group errgroup.Group
	for _, row := range f.packed() {
		want := f.stored(row)
		reading, err := f.remaker.OpenShard(t.Context(), row)
		must(t, err)
		for reader := range uint64(4) {
			group.Go(func() error { return readRanges(t.Context(), reading, want, rand.New(rand.NewPCG(reader, 0))) })
		}
	}
	must(t, group.Wait())
}

func readRanges(ctx context.Context, reading store.Reading, want []byte, random *rand.Rand) error {
	for range 100 {
		off := random.IntN(len(want) + 10)
		p := make([]byte, random.IntN(5000))
		n, err := reading.ReadAt(ctx, p, int64(off))
		rest := want[min(off, len(want)):]
		if !bytes.Equal(p[:n], rest[:min(len(p), len(rest))]) || (n < len(p)) != errors.Is(err, io.EOF) {
			return fmt.Errorf("%d bytes from %d of %d: got %d, %w", len(p), off, len(want), n, err)
		}
	}
	return nil
}

// TestAChangedSourceIsTold requires an error for changed content. Content that is also elsewhere in the shard is
// still found.
func TestAChangedSourceIsTold(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	f.write("a", 1, 5000)
	f.write("b", 1, 5000)
	f.write("c", 3, 5000)
	f.prepare()
	shards := f.packed()

	f.write("a", 7, 5000)
	f.demandSame(shards)

	f.write("b", 8, 4000)
	for _, row := range shards {
		_, err := f.remake(row)
		if lost := errors.Is(err, remake.ErrLost); lost != (row.Kind == sqlrepo.DataShard) {
			t.Errorf("%s shard: %v", row.Kind, err)
		}
	}

	must(t, os.RemoveAll(filepath.Join(f.root, "a")))
	must(t, os.RemoveAll(filepath.Join(f.root, "b")))
	if _, err := f.remake(shards[0]); !errors.Is(err, remake.ErrLost) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of files that are gone: %v", err)
	}
}

// TestWhatARemovedUploadLeaves requires that the blocks a removed upload leaves are made from the entries of
// uploads that need them.
func TestWhatARemovedUploadLeaves(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		first, _ := f.prepareTwice()
		must(t, removal.New(f.repo).RemoveUpload(t.Context(), first.ID))

		collector := gc.Collector{
			Repo: f.repo, TempDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
			Locate: func(context.Context, sqlrepo.Upload) (store.Store, error) { return f.store, nil },
		}
		_, err := collector.Collect(t.Context(), f.job.Space.ID)
		must(t, err)

		lost := 0
		for _, row := range f.packed() {
			content, err := f.remake(row)
			switch {
			case errors.Is(err, remake.ErrLost):
				lost++ // it holds blocks of the removed upload that nobody needs
			case err != nil || !bytes.Equal(content, f.stored(row)):
				t.Errorf("%s shard %d of upload %d: %v", row.Kind, row.Ordinal, row.Upload, err)
			}
		}

		if shards := len(f.packed()); lost > 2 || shards < 4 {
			t.Errorf("%d of %d shards can't be made", lost, shards)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	f.prepareTwice()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	for _, row := range f.packed() {
		if _, err := f.remaker.OpenShard(ctx, row); err == nil {
			t.Errorf("a %s shard was made", row.Kind)
		}
	}
}

// dags returns the DAG shards in the store.
func (f *fixture) dags() []sqlrepo.Shard {
	f.Helper()
	return slices.DeleteFunc(f.packed(), func(row sqlrepo.Shard) bool { return row.Kind != sqlrepo.DAGShard })
}

// TestWhoAsksAgainFindsItUnderWay lets one caller give up on a DAG shard that takes long, while others wait for
// the same shard.
func TestWhoAsksAgainFindsItUnderWay(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.write("file", 1, 3<<20)
		f.prepare()
		row := f.dags()[0]

		begun, release := make(chan struct{}, 100), make(chan struct{})
		f.contents = func() {
			begun <- struct{}{}
			<-release
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		var first errgroup.Group
		first.Go(func() error {
			_, err := f.remaker.OpenShard(ctx, row)
			return err
		})

		<-begun
		cancel(gone)
		if err := first.Wait(); !errors.Is(err, gone) {
			t.Errorf("it waited, and then: %v", err)
		}

		// Other callers wait for the same pass through the entries.
		var others errgroup.Group
		for range 3 {
			others.Go(func() error {
				content, err := f.remake(row)
				if err == nil && !bytes.Equal(content, f.stored(row)) {
					err = errors.New("other bytes")
				}
				return err
			})
		}

		close(release)
		must(t, others.Wait())
		if again := len(begun); again > 0 {
			t.Errorf("the entries were gone through %d times more", again)
		}
	})
}

// TestCloseEndsWhatIsMade requires that Close waits for nobody.
func TestCloseEndsWhatIsMade(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	f.write("file", 1, 3<<20)
	f.prepare()
	row := f.dags()[0]

	closed := make(chan error, 1)
	f.contents = func() {
		f.contents = func() {}
		go func() { closed <- f.remaker.Close() }()
		<-f.remaker.Ended()
	}

	if _, err := f.remaker.OpenShard(t.Context(), row); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	must(t, <-closed)
}

// TestFewSpoolsAreKept requires that few spools are kept besides those that are being read.
func TestFewSpoolsAreKept(t *testing.T) {
	f := newFixture(t, enginetest.Engines()[0].Open(t))
	f.write("file", 1, 3<<20)
	f.prepare()
	f.write("more", 2, 3<<20)
	f.prepare()

	dags := f.dags()
	f.remaker.Hold(1)

	var readings []store.Reading
	for _, row := range dags {
		reading, err := f.remaker.OpenShard(t.Context(), row)
		must(t, err)
		readings = append(readings, reading)
	}

	for i, reading := range readings {
		got := make([]byte, dags[i].Size)
		if _, err := reading.ReadAt(t.Context(), got, 0); err != nil || !bytes.Equal(got, f.stored(dags[i])) {
			t.Errorf("shard %d: %v", i, err)
		}
	}

	if held := f.remaker.Held(); held < len(dags) || held < 2 {
		t.Errorf("%d of %d are held while they are read", held, len(dags))
	}

	for _, reading := range readings {
		must(t, reading.Close())
		must(t, reading.Close())
	}

	if held := f.remaker.Held(); held != 1 {
		t.Errorf("%d are held", held)
	}
	f.demandSame(dags)
}
