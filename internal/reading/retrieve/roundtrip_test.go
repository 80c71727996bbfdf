package retrieve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocar "github.com/ipld/go-car/v2"
	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/export"
	"github.com/guppy-prep/guppy/internal/reading/retrieve"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/internal/reading/tree/treetest"
	"github.com/guppy-prep/guppy/internal/reading/verify"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// oddities makes a tree of everything that a file system can hold.
func oddities(t *testing.T, sparse int64) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "source")
	random := rand.NewChaCha8([32]byte{7})

	write := func(name string, size int) {
		content := make([]byte, size)
		_, _ = random.Read(content) // it never fails
		path := filepath.Join(root, name)
		ok(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)))
	}

	for name, size := range map[string]int{
		"a": 1, "a-b": 2, "a.d/b": 3, "zero": 0, "chunk": 1 << 20, "chunk and 1": 1<<20 + 1, "large": 9<<20 + 17,
		"odd \xff\xfe\n\"'\\": 5, "\xe2\x82": 6, strings.Repeat("n", 255): 7, ".hidden": 8, "-rf": 9, ".guppy-part-0": 10,
		"deep/" + strings.Repeat("x/", 200) + "f": 11,
	} {
		write(name, size)
	}

	// These are too many for one block.
	for i := range 1200 {
		write(fmt.Sprintf("many/%05d-%s", i, strings.Repeat("m", 200)), i%30)
	}

	ok(t, errors.Join(
		os.MkdirAll(filepath.Join(root, "empty", "empty too"), 0o755),
		os.Symlink("a", filepath.Join(root, "link")),
		os.Symlink("/etc/passwd", filepath.Join(root, "absolute")),
		os.Symlink("../../..", filepath.Join(root, "a.d", "out")),
		os.Symlink("\xff \n", filepath.Join(root, "odd link")),
	))

	write("sparse", 10)
	ok(t, os.Truncate(filepath.Join(root, "sparse"), sparse))
	changeMetadata(t, root)
	return root
}

// changeMetadata gives entries unusual modes and times.
func changeMetadata(t *testing.T, root string) {
	t.Helper()
	n := 0
	var directories []string
	ok(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if n++; err != nil {
			return err
		}

		if entry.IsDir() {
			directories = append(directories, path)
			return nil
		}

		if entry.Type().IsRegular() {
			err = os.Chmod(path, []fs.FileMode{0o644, 0o400, 0o755 | fs.ModeSetuid, 0o000, 0o666}[n%5])
		}
		return errors.Join(err, stamp(path, n))
	}))

	for i := len(directories) - 1; i >= 0; i-- {
		mode := []fs.FileMode{0o755, 0o555, 0o700, 0o777 | fs.ModeSticky}[i%4]
		ok(t, errors.Join(os.Chmod(directories[i], mode), stamp(directories[i], i)))
	}
}

// stamp sets times from 1902 to 2445. The file system supports 1901 to 2446, while nanoseconds since 1970 only
// reach from 1678 to 2262.
func stamp(path string, n int) error {
	year := 1902 + n*37%544
	at := unix.Timespec{Sec: time.Date(year, 1, 1, 0, 0, n%60, 0, time.UTC).Unix(), Nsec: int64(n)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// equalTrees compares everything that is visible of two trees.
func equalTrees(t *testing.T, got, want string, metadata bool) {
	t.Helper()
	seen := map[string]bool{}

	ok(t, filepath.WalkDir(want, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		name := strings.TrimPrefix(path, want)
		seen[name] = true
		if err := equalEntries(got+name, path, metadata); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		return nil
	}))

	ok(t, filepath.WalkDir(got, func(path string, _ fs.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, got); !seen[name] {
			t.Errorf("%q is there", name)
		}
		return err
	}))
}

func equalEntries(got, want string, metadata bool) error {
	a, err := os.Lstat(got)
	if err != nil {
		return err
	}

	b, err := os.Lstat(want)
	if err != nil {
		return err
	}

	switch {
	case a.Mode().Type() != b.Mode().Type():
		return fmt.Errorf("%s, want %s", a.Mode(), b.Mode())
	case metadata && (a.Mode() != restored(b.Mode()) || !a.ModTime().Equal(b.ModTime())):
		return fmt.Errorf("%s %s, want %s %s", a.Mode(), a.ModTime(), b.Mode(), b.ModTime())
	case a.Mode()&fs.ModeSymlink != 0:
		x, errX := os.Readlink(got)
		y, errY := os.Readlink(want)
		if x != y || errX != nil || errY != nil {
			return fmt.Errorf("leads to %q, want %q", x, y)
		}
	case a.Mode().IsRegular():
		return equalFiles(got, want, a.Size(), b.Size())
	}
	return nil
}

// restored returns the mode that retrieve restores. The setuid and setgid bits are not restored.
func restored(mode fs.FileMode) fs.FileMode { return mode &^ (fs.ModeSetuid | fs.ModeSetgid) }

func equalFiles(got, want string, size, wanted int64) error {
	if size != wanted {
		return fmt.Errorf("%d bytes, want %d", size, wanted)
	}

	a, err := os.Open(got)
	if err != nil {
		return err
	}
	defer a.Close() //nolint:errcheck // it is only read

	b, err := os.Open(want)
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it is only read

	length := min(1<<20, size+1)
	x, y := make([]byte, length), make([]byte, length)

	for range 16 { // behind that there are holes
		n, err := io.ReadFull(a, x)
		m, _ := io.ReadFull(b, y)

		if !bytes.Equal(x[:n], y[:m]) {
			return errors.New("another content")
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// prepared is an upload with everything needed to read it.
type prepared struct {
	upload sqlrepo.Upload
	repo   *sqlrepo.Repository
	store  *store.Directory
	source *blocks.Source
}

// OpenShard implements blocks.Shards.
func (p *prepared) OpenShard(ctx context.Context, row sqlrepo.Shard) (store.Reading, error) {
	return p.store.OpenAt(ctx, shard.Name([32]byte(row.Digest)))
}

func prepare(t *testing.T, db *dialect.DB, root string) *prepared {
	t.Helper()
	p := &prepared{repo: sqlrepo.New(db)}
	fresh := sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 4 << 20}
	space := must(p.repo.AddSpace(t.Context(), fresh))(t)

	options := sqlrepo.SourceOptions{SymlinkPolicy: "preserve"}
	src := must(p.repo.AddSource(t.Context(), sqlrepo.Source{
		Space: space.ID, Name: "source", Path: []byte(root), SourceOptions: options,
	}))(t)

	p.store = must(store.OpenDirectory(filepath.Join(t.TempDir(), "shards")))(t)

	job := pipeline.Job{
		Repo: p.repo, Store: p.store, FS: source.Local(), Space: space, Source: src,
		Fresh:   sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize, SourceOptions: options},
		Workers: 2, ReadAhead: 8, TempDir: t.TempDir(), Progress: &progress.Counters{}, Log: slog.New(slog.DiscardHandler),
	}

	result := must(job.Run(t.Context()))(t)
	p.upload = result.Upload
	if p.upload.State != sqlrepo.Complete || result.Failed != 0 {
		t.Fatalf("the upload is %s with %d failures", p.upload.State, result.Failed)
	}

	p.source = blocks.New(p.repo, p)
	t.Cleanup(func() { ok(t, p.source.Close()) })
	return p
}

// retriever returns a Retriever that knows modes and times.
func (p *prepared) retriever(t *testing.T, base sqlrepo.Path) *retrieve.Retriever {
	return &retrieve.Retriever{
		Blocks: p.source, Workers: 2, Base: base, Known: p.repo.EntriesBelow(t.Context(), p.upload.ID, base),
	}
}

func TestRoundTrip(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) { roundTrip(t, db, oddities(t, 20<<20)) })
}

func roundTrip(t *testing.T, db *dialect.DB, root string) {
	t.Helper()
	p := prepare(t, db, root)
	out := filepath.Join(t.TempDir(), "out")
	found := must(tree.Resolve(t.Context(), p.source, tree.Path{Root: p.upload.RootCID.Cid}))(t)

	for range 2 {
		sum := must(p.retriever(t, "").To(t.Context(), found, out))(t)
		if sum.Files != p.upload.Files || sum.Bytes != p.upload.Bytes || sum.Failed != 0 {
			t.Errorf("%+v", sum)
		}
		equalTrees(t, out, root, true)
	}

	p.part(t, root)
	p.ranges(t, root)
	p.verified(t)
	p.exported(t, root)
}

// at resolves a path of the upload.
func (p *prepared) at(t *testing.T, names ...string) tree.Resolved {
	t.Helper()
	return must(tree.Resolve(t.Context(), p.source, tree.Path{Root: p.upload.RootCID.Cid, Names: names}))(t)
}

// part retrieves a directory alone, through a symlink.
func (p *prepared) part(t *testing.T, root string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "part")
	found := p.at(t, "a.d", "..", "deep")
	must(p.retriever(t, sqlrepo.Path(strings.Join(found.Names, "\x00"))).To(t.Context(), found, out))(t)
	equalTrees(t, out, filepath.Join(root, "deep"), true)
}

// ranges compares pieces of files with those of the source.
func (p *prepared) ranges(t *testing.T, root string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "zero", "chunk", "chunk and 1", "large", "sparse"}

	for range 1000 {
		name := names[random.IntN(len(names))]
		node := p.at(t, name).Node
		begin := random.Int64N(int64(node.Size) + 1)
		end := min(begin+random.Int64N(1<<uint(random.IntN(22))), int64(node.Size))

		var got bytes.Buffer
		ok(t, node.WriteRange(t.Context(), p.source, uint64(begin), uint64(end), &got))

		file := must(os.Open(filepath.Join(root, name)))(t)
		want := must(io.ReadAll(io.NewSectionReader(file, begin, end-begin)))(t)
		ok(t, file.Close())

		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s from %d to %d: %d bytes, want %d", name, begin, end, got.Len(), len(want))
		}
	}
}

func (p *prepared) verified(t *testing.T) {
	t.Helper()
	var sums []verify.Summary
	for _, deep := range []bool{false, true} {
		v := verify.Verifier{Blocks: p.source, Deep: deep, Workers: 2, Found: func(problem verify.Problem) error {
			t.Errorf("%+v", problem)
			return nil
		}}
		sums = append(sums, must(v.Run(t.Context(), p.upload.RootCID.Cid, "root"))(t))
	}
	if sums[0] != sums[1] || sums[0].Blocks < 200 || sums[0].Nodes < 100 {
		t.Errorf("%+v", sums)
	}
}

// exported imports an export with another reader of CARs, and retrieves the tree from there.
func (p *prepared) exported(t *testing.T, root string) {
	t.Helper()
	var file bytes.Buffer
	sum := must(export.Exporter{Blocks: p.source, Workers: 2}.Run(t.Context(), p.upload.RootCID.Cid, &file))(t)
	if sum.Bytes != int64(file.Len()) {
		t.Errorf("%+v, %d bytes", sum, file.Len())
	}

	reader := must(gocar.NewBlockReader(&file))(t)
	if len(reader.Roots) != 1 || reader.Roots[0] != p.upload.RootCID.Cid || reader.Version != 1 {
		t.Errorf("the CAR has the roots %v", reader.Roots)
	}

	s := treetest.New()
	for block, err := reader.Next(); !errors.Is(err, io.EOF); block, err = reader.Next() {
		ok(t, err)
		s.Put(block.Cid().Type(), block.RawData())
	}

	if int64(len(s.All())) != sum.Blocks {
		t.Errorf("%d distinct blocks of %d", len(s.All()), sum.Blocks)
	}

	out := filepath.Join(t.TempDir(), "exported")
	must(to(t, s, tree.Link{CID: p.upload.RootCID.Cid}, out))(t)
	equalTrees(t, out, root, false)
}
