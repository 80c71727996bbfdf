package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"testing"
)

// The seed decides the longest small file: it is one byte short of 16 KiB.
func TestCorporaAreWhatTheTargetsAreFor(t *testing.T) {
	tests := map[string]struct {
		files, longest, least, most int64
	}{
		"small": {20_000, 16<<10 - 1, 150 << 20, 170 << 20},
		"big":   {3, 1 << 30, 2<<30 + 300<<20 + 123, 2<<30 + 300<<20 + 123},
	}
	for _, c := range corpora() {
		want := tests[c.name]
		var files, bytes, longest int64
		for _, size := range c.files(rand.New(rand.NewPCG(1, 0))) {
			files, bytes, longest = files+1, bytes+size, max(longest, size)
		}

		if files != want.files || longest != want.longest || bytes < want.least || bytes > want.most || bytes > c.room {
			t.Errorf("%s: %d files, %d bytes, longest %d", c.name, files, bytes, longest)
		}

		for _, s := range starters() {
			if _, ok := c.targets[s.name]; !ok {
				t.Errorf("%s has no targets on %s", c.name, s.name)
			}
		}
	}
}

// writtenBy returns the content of all files that a seed gives.
func writtenBy(t *testing.T, seed uint64) map[string]string {
	t.Helper()
	dir := t.TempDir()
	written, err := tiny().write(t.Context(), dir, seed)
	if err != nil {
		t.Fatal(err)
	}

	files := readTree(t, dir)
	var bytes int64
	for _, content := range files {
		bytes += int64(len(content))
	}

	if written.Files != int64(len(files)) || written.Bytes != bytes {
		t.Errorf("wrote %+v, but %d files of %d bytes are there", written, len(files), bytes)
	}
	return files
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	tree := os.DirFS(dir)

	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCorpusDependsOnTheSeedAlone(t *testing.T) {
	first := writtenBy(t, 1)
	if !maps.Equal(first, writtenBy(t, 1)) {
		t.Error("the same seed gave other files")
	}
	if maps.Equal(first, writtenBy(t, 2)) {
		t.Error("another seed gave the same files")
	}
}

func TestCorpusStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tiny().write(ctx, t.TempDir(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
