package sizes_test

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/reading/sizes"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func entry(path string, kind sqlrepo.EntryKind, size, origin int64) sqlrepo.Listed {
	listed := sqlrepo.Listed{Path: sqlrepo.Path(strings.ReplaceAll(path, "/", "\x00")), Origin: origin}
	listed.Kind, listed.Size = kind, size
	return listed
}

func each(entries []sqlrepo.Listed, failure error) iter.Seq2[sqlrepo.Listed, error] {
	return func(yield func(sqlrepo.Listed, error) bool) {
		for _, entry := range entries {
			if !yield(entry, nil) {
				return
			}
		}
		if failure != nil {
			yield(sqlrepo.Listed{}, failure)
		}
	}
}

func TestOf(t *testing.T) {
	entries := []sqlrepo.Listed{
		entry("", sqlrepo.Directory, 0, 0), entry(".profile", sqlrepo.File, 1, 0), entry("a", sqlrepo.Directory, 0, 0),
		entry("a/b", sqlrepo.Directory, 0, 0), entry("a/b/c", sqlrepo.Directory, 0, 0),
		entry("a/b/c/x.JPG", sqlrepo.File, 100, 0), entry("a/b/y.jpg", sqlrepo.File, 50, 7),
		entry("a/l.jpg", sqlrepo.Symlink, 9, 0), entry("d/z.tar.gz", sqlrepo.File, 100, 0),
		entry("top.txt", sqlrepo.File, 3, 7),
	}
	got, err := sizes.Of(each(entries, nil), sizes.Limits{Depth: 2, Elements: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := &sizes.Sizes{
		Files: 5, Bytes: 254, TakenFiles: 2, TakenBytes: 53, MoreTypes: 1,
		Types:       []sizes.Size{{".jpg", 2, 150}, {".gz", 1, 100}, {".txt", 1, 3}},
		Directories: []sizes.Size{{"a/b", 2, 150}, {"d", 1, 100}, {"", 2, 4}},
		Largest:     []sizes.File{{"a\x00b\x00c\x00x.JPG", 100}, {"d\x00z.tar.gz", 100}, {"a\x00b\x00y.jpg", 50}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	failure := errors.New("no")
	if _, err := sizes.Of(each(entries, failure), sizes.Limits{}); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// TestNamesAreLimited adds files of more types than are told apart. None is lost.
func TestNamesAreLimited(t *testing.T) {
	var entries []sqlrepo.Listed
	for i := range 100_010 {
		entries = append(entries, entry(fmt.Sprintf("f.x%d", i), sqlrepo.File, 1, 0))
	}
	got, err := sizes.Of(each(entries, nil), sizes.Limits{Depth: 1, Elements: 200_000})
	if err != nil {
		t.Fatal(err)
	}

	var files int64
	for _, size := range got.Types {
		files += size.Files
	}
	if first := got.Types[0]; files != 100_010 || first.Name != sizes.Others || first.Files != 10 {
		t.Errorf("%d files, the largest type is %+v", files, first)
	}
}
