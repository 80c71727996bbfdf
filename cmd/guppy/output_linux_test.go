package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/host/presence"
)

// TestPartsOfTheDeadAreRemoved requires that the next writer of a file removes the temporary files of dead
// processes. It keeps those of live processes and files that only look like temporary ones.
func TestPartsOfTheDeadAreRemoved(t *testing.T) {
	dead := strings.Split(presence.Tag(), ".")
	dead[1] += "0" // another process had this number at another time

	dir := t.TempDir()
	alive := ".out.car." + presence.Tag() + ".ABC.part"
	kept := []string{alive, ".out.car.part", ".out.car.1.2.part", ".other.car.7.1.2.3.part", "out.car.part"}

	for _, name := range append(slices.Clone(kept), ".out.car."+strings.Join(dead, ".")+".ABC.part") {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "content")
		return err
	}
	if err := replaceFile(filepath.Join(dir, "out.car"), true, write); err != nil {
		t.Fatal(err)
	}

	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}

	want := append(slices.Clone(kept), "out.car")
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}

	failure := errors.New("no")
	err = replaceFile(filepath.Join(dir, "out.car"), true, func(io.Writer) error { return failure })
	if content, _ := os.ReadFile(filepath.Join(dir, "out.car")); !errors.Is(err, failure) || string(content) != "content" {
		t.Errorf("got %v, and %q is there", err, content)
	}
}

// TestFilesAreReplacedOnlyByForce requires that a file which appears while another one is written is kept too.
func TestFilesAreReplacedOnlyByForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.car")
	write := func(w io.Writer) error {
		if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
			return err
		}
		_, err := io.WriteString(w, "ours")
		return err
	}
	content := func() string {
		read, _ := os.ReadFile(path)
		return string(read)
	}

	// The first time the file appears meanwhile, and then it is there.
	for range 2 {
		if err := replaceFile(path, false, write); !errors.Is(err, fs.ErrExist) || content() != "theirs" {
			t.Errorf("got %v, and %q is there", err, content())
		}
	}

	if err := replaceFile(path, true, write); err != nil || content() != "ours" {
		t.Errorf("got %v, and %q is there", err, content())
	}

	if beside, _ := os.ReadDir(filepath.Dir(path)); len(beside) != 1 {
		t.Errorf("got %v", beside)
	}
}
