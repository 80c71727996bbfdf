package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// writeSample makes the tree whose golden CID is named "tree".
func writeSample(root string) error {
	files := map[string]string{
		"hello.txt": "hello world", "zero": "", "sub/a": "a", "sub/deep/b": "b", "a-b": "dash", "a/b": "slash",
	}

	for path, content := range files {
		if err := writeFile(filepath.Join(root, path), []byte(content)); err != nil {
			return err
		}
	}

	if err := os.Mkdir(filepath.Join(root, "empty"), 0o755); err != nil {
		return err
	}
	if err := os.Symlink("hello.txt", filepath.Join(root, "link")); err != nil {
		return err
	}

	return os.Symlink("../missing", filepath.Join(root, "sub", "dangling"))
}

func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// writeCorpus makes about 30 MB: files of several chunks, of one chunk, and many of a few bytes.
func writeCorpus(root string) error {
	random := rand.NewChaCha8([32]byte{1})
	sizes := map[string]int{}

	for i := range 6 {
		sizes[fmt.Sprintf("large/%d", i)] = 3<<20 + i*300_007
	}
	for i := range 40 {
		sizes[fmt.Sprintf("medium/%d/%02d", i%3, i)] = 100_000 + i*4_001
	}
	for i := range 400 {
		sizes[fmt.Sprintf("small/%02d/%03d", i%20, i)] = i * 11
	}

	for path, size := range sizes {
		content := make([]byte, size)
		_, _ = random.Read(content) // it never fails
		if err := writeFile(filepath.Join(root, path), content); err != nil {
			return err
		}
	}

	return nil
}

// writeSparse makes a file of zeros.
func writeSparse(path string, size int64) error {
	if err := writeFile(path, nil); err != nil {
		return err
	}
	return os.Truncate(path, size)
}

var (
	dumpedTimes = regexp.MustCompile(`"(created_at|removed_at|started_at|finished_at)":\d+`)
	dumpedTexts = regexp.MustCompile(`"(did)":"[^"]*"`)
)

// normalise replaces the parts that differ between two dumps of the same work: times and generated DIDs.
func normalise(dump string) string {
	return dumpedTexts.ReplaceAllString(dumpedTimes.ReplaceAllString(dump, `"$1":"?"`), `"$1":"?"`)
}

// writeChunks writes files of one, several and many chunks.
func writeChunks(t *testing.T, root string) {
	t.Helper()
	for i, size := range []int{0, 1, 1000, 1 << 20, 3<<20 + 5} {
		path := filepath.Join(root, fmt.Sprint(i%2), fmt.Sprint(i))
		noError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		content := make([]byte, size)
		for j := range content {
			content[j] = byte(i + j>>16)
		}
		noError(t, os.WriteFile(path, content, 0o644))
	}
}
