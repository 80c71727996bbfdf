package trash_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

const content = "the content of a shard"

var (
	digest = sqlrepo.Digest(sha256.Sum256([]byte(content)))
	name   = shard.Name(digest)
)

// fixture is a repository with stores in directories, called by one letter. It removes the file from the store "a".
type fixture struct {
	*testing.T
	dir    string
	stores map[string]store.Store
	// identities are those of the stores, by letter.
	identities map[string]string
	// needs are the letters of the stores that need the file. asked is called before each answer.
	needs string
	asked func()
	// opened counts how often other stores were opened, and fails is what some of them return.
	opened int
	fails  map[string]error
	bin    *trash.Bin
}

func newFixture(t *testing.T, needs string) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir(), stores: map[string]store.Store{}, identities: map[string]string{}, needs: needs,
		asked: func() {}, fails: map[string]error{}}
	for _, letter := range []string{"a", "b", "c"} {
		files, err := store.OpenDirectory(filepath.Join(f.dir, letter))
		must(t, err)
		identity, err := files.Identify(t.Context())
		must(t, err)
		f.stores[letter], f.identities[letter] = files, identity
		f.write(letter, content)
	}
	f.identities["n"] = store.NoneIdentity
	f.bin = &trash.Bin{Repo: f, Store: f.stores["a"], Owner: "me", Others: &trash.Others{Open: f.open}}
	return f
}

func (f *fixture) path(letter string) string { return filepath.Join(f.dir, letter, name) }

func (f *fixture) write(letter, content string) {
	f.Helper()
	must(f, os.WriteFile(f.path(letter), []byte(content), 0o600))
}

func (f *fixture) lose(letter, name string) {
	f.Helper()
	must(f, os.Remove(filepath.Join(f.dir, letter, name)))
}

func (f *fixture) open(_ context.Context, identity string) (store.Store, error) {
	f.opened++
	for letter, known := range f.identities {
		if known == identity {
			return f.stores[letter], f.fails[letter]
		}
	}
	return nil, fmt.Errorf("%w: %s", store.ErrAbsent, identity)
}

// Spaces implements trash.Repository.
func (f *fixture) Spaces(context.Context) ([]sqlrepo.Space, error) { return nil, nil }

// StillNamed implements trash.Repository.
func (f *fixture) StillNamed(_ context.Context, identity string,
	digests []sqlrepo.Digest) (map[sqlrepo.Digest]sqlrepo.Need, error) {
	f.asked()
	var need sqlrepo.Need
	for _, letter := range strings.Split(f.needs, "") {
		if f.identities[letter] == identity || identity == "" {
			need.Here = true
		} else {
			need.Elsewhere = append(need.Elsewhere, f.identities[letter])
		}
	}

	if f.needs == "" || !slices.Contains(digests, digest) {
		return nil, nil
	}
	return map[sqlrepo.Digest]sqlrepo.Need{digest: need}, nil
}

// remains fails the test unless the file is in the store, or isn't, with nothing left in the trash.
func (f *fixture) remains(want bool) {
	f.Helper()
	_, err := os.Stat(f.path("a"))
	if there := err == nil; there != want {
		f.Errorf("the file is there: %t, want %t", there, want)
	}
	left, err := f.bin.Left(f.Context())
	must(f, err)
	if len(left) > 0 {
		f.Errorf("left in the trash: %v", left)
	}
}

var errLost = errors.New("lost connection")

// TestWhatOtherStoresNeedIsProved removes a file in every relation to the other stores, at once and as what an
// interrupted removal left in the trash.
func TestWhatOtherStoresNeedIsProved(t *testing.T) {
	for what, tt := range map[string]struct {
		needs string
		// harm is done to the other stores.
		harm func(*fixture)
		// reason is a part of why the file stays, or "" if nothing is said.
		reason string
		stays  bool
	}{
		"nobody needs it":             {},
		"its own store needs it":      {needs: "ab", stays: true},
		"another has it":              {needs: "b"},
		"another has lost it":         {"b", func(f *fixture) { f.lose("b", name) }, "is gone", true},
		"another has it damaged":      {"b", func(f *fixture) { f.write("b", "damaged") }, "is damaged", true},
		"another can't be read":       {"b", func(f *fixture) { f.fails["b"] = errLost }, errLost.Error(), true},
		"another is away":             {"b", func(f *fixture) { f.fails["b"] = store.ErrAbsent }, "store not found", true},
		"one of two has it":           {needs: "bc", harm: func(f *fixture) { f.write("b", "damaged") }},
		"none of two has it":          {"bc", func(f *fixture) { f.lose("b", name); f.lose("c", name) }, "is gone", true},
		"only an idle one has it":     {"b", func(f *fixture) { f.lose("b", name) }, "is gone", true},
		"no bytes are kept there":     {needs: "n"},
		"only one of two keeps bytes": {"nb", func(f *fixture) { f.lose("b", name) }, "is gone", true},
		"others can't be asked":       {needs: "b", harm: func(f *fixture) { f.bin.Others = nil }, stays: true},
		"its store has no marker": {
			needs: "b", harm: func(f *fixture) { f.lose("a", ".guppy-store") }, stays: true,
		},
	} {
		for _, interrupted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", what, interrupted), func(t *testing.T) {
				f := newFixture(t, tt.needs)
				if tt.harm != nil {
					tt.harm(f)
				}

				if interrupted {
					_, err := f.stores["a"].Trash(t.Context(), "me", name)
					must(t, err)
					_, err = f.bin.Tidy(t.Context())
					must(t, err)
				} else {
					removed, err := f.bin.Remove(t.Context(), []string{name})
					if err != nil || (len(removed) == 0) != tt.stays {
						t.Errorf("removed %q: %v", removed, err)
					}
				}
				f.remains(tt.stays)

				kept := f.bin.Others.Kept()
				if (len(kept) > 0) != (tt.reason != "") || len(kept) > 0 &&
					(kept[0].File != name || kept[0].Files != 1 || !strings.Contains(kept[0].Reason.Error(), tt.reason)) {
					t.Errorf("kept: %+v", kept)
				}
			})
		}
	}
}

// TestNeedsThatChange has another store come to need the file, instead of the one that was proved to have it, while the
// file is in the trash.
func TestNeedsThatChange(t *testing.T) {
	for later, stays := range map[string]bool{"": false, "a": true, "b": false, "bc": false, "c": true, "ab": true} {
		f, times := newFixture(t, "b"), 0
		f.asked = func() {
			if times++; times == 2 {
				f.needs = later
			}
		}
		_, err := f.bin.Remove(t.Context(), []string{name})
		must(t, err)
		f.remains(stays)
	}
}

// TestAStoreThatFailsIsTriedOnce has many files that another store needs.
func TestAStoreThatFailsIsTriedOnce(t *testing.T) {
	f := newFixture(t, "b")
	f.fails["b"] = fmt.Errorf("%w: no answer", store.ErrUnusable)
	for range 3 {
		_, err := f.bin.Remove(t.Context(), []string{name})
		must(t, err)
	}
	f.remains(true)
	if kept := f.bin.Others.Kept(); f.opened != 1 || len(kept) != 1 || kept[0].Files != 1 {
		t.Errorf("opened %d times: %+v", f.opened, kept)
	}
}

// TestWhatIsNotThereIsNotProved has no file to remove, which another store needs or nobody.
func TestWhatIsNotThereIsNotProved(t *testing.T) {
	for _, needs := range []string{"", "b"} {
		f := newFixture(t, needs)
		f.lose("a", name)
		f.lose("b", name)
		removed, err := f.bin.Remove(t.Context(), []string{name})
		if err != nil || len(removed) > 0 || f.opened > 0 || len(f.bin.Others.Kept()) > 0 {
			t.Errorf("%q need it: removed %q, opened %d times: %v", needs, removed, f.opened, err)
		}
	}
}

// TestAnEndedProofRemovesNothing ends the context while the other copy is read.
func TestAnEndedProofRemovesNothing(t *testing.T) {
	f := newFixture(t, "b")
	ctx, cancel := context.WithCancelCause(t.Context())
	f.bin.Others.Open = func(context.Context, string) (store.Store, error) {
		cancel(errLost)
		return f.stores["b"], nil
	}
	if _, err := f.bin.Remove(ctx, []string{name}); !errors.Is(err, errLost) {
		t.Error(err)
	}
	f.remains(true)
	if kept := f.bin.Others.Kept(); len(kept) > 0 {
		t.Errorf("kept: %+v", kept)
	}
}

// TestWhatIsDamagedIsSetAside sets a file aside that only another store needs.
func TestWhatIsDamagedIsSetAside(t *testing.T) {
	for needs, want := range map[string]string{"": store.Aside(name), "b": store.Aside(name), "ab": ""} {
		f := newFixture(t, needs)
		f.write("b", "damaged")
		aside, err := f.bin.SetAside(t.Context(), name)
		if err != nil || aside != want {
			t.Errorf("%q need it: %q, %v", needs, aside, err)
		}
		f.remains(want == "")
	}
}
