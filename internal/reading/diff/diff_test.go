package diff_test

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/reading/diff"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// listed yields entries. Each is described by its kind ("f", "d" or "l") and its content.
func listed(tree map[string]string) iter.Seq2[sqlrepo.Listed, error] {
	return func(yield func(sqlrepo.Listed, error) bool) {
		for _, path := range slices.Sorted(maps.Keys(tree)) {
			entry := sqlrepo.Listed{Path: sqlrepo.Path(path)}
			switch tree[path][0] {
			case 'f':
				entry.Kind = sqlrepo.File
				hash, _ := multihash.Sum([]byte(tree[path]), multihash.SHA2_256, -1)
				entry.Root = sqlrepo.CID{Cid: cid.NewCidV1(cid.Raw, hash)}
			case 'd':
				entry.Kind = sqlrepo.Directory
			case 'l':
				entry.Kind, entry.Target = sqlrepo.Symlink, []byte(tree[path][1:])
			}

			entry.Mode = int32(len(tree)) // which is no change
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func changes(t rapid.TB, before, after map[string]string) (found []string) {
	t.Helper()
	err := diff.Trees(listed(before), listed(after), func(c diff.Change) error {
		if (c.Before == nil) != (c.What == diff.Added) || (c.After == nil) != (c.What == diff.Removed) {
			t.Errorf("%+v", c)
		}
		found = append(found, c.What+" "+string(c.Path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDifferences(t *testing.T) {
	before := map[string]string{"": "d", "a": "fx", "b": "fx", "c": "lx", "d": "d", "e": "fx", "g": "lx", "z": "fx"}
	after := map[string]string{"": "d", "a": "fx", "b": "fy", "c": "ly", "d": "fx", "f": "d", "g": "lx", "zz": "d"}
	want := []string{"changed b", "changed c", "changed d", "removed e", "added f", "removed z", "added zz"}
	if got := changes(t, before, after); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestDifferencesOfAnyTrees compares the changes with those that maps show.
func TestDifferencesOfAnyTrees(t *testing.T) {
	trees := rapid.MapOf(rapid.StringMatching("[ab\x00]{0,3}"), rapid.StringMatching("[fdl][xy]?"))
	rapid.Check(t, func(t *rapid.T) {
		before, after := trees.Draw(t, "before"), trees.Draw(t, "after")

		var want []string
		both := maps.Clone(before)
		maps.Copy(both, after)

		for _, path := range slices.Sorted(maps.Keys(both)) {
			x, inBefore := before[path]
			y, inAfter := after[path]
			switch {
			case !inAfter:
				want = append(want, "removed "+path)
			case !inBefore:
				want = append(want, "added "+path)
			case x != y && (x[0] != 'd' || y[0] != 'd'):
				want = append(want, "changed "+path)
			}
		}

		if got := changes(t, before, after); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestErrorsEndIt(t *testing.T) {
	broken := errors.New("broken")
	bad := func(yield func(sqlrepo.Listed, error) bool) { yield(sqlrepo.Listed{}, broken) }
	good := listed(map[string]string{"a": "fx"})
	none := func(diff.Change) error { return nil }
	for _, err := range []error{
		diff.Trees(bad, good, none), diff.Trees(good, bad, none),
		diff.Trees(good, listed(nil), func(diff.Change) error { return broken }),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
}
