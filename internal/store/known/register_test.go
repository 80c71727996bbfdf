package known_test

import (
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestANewStoreGetsANameFromItsPath registers stores one after the other.
func TestANewStoreGetsANameFromItsPath(t *testing.T) {
	f := onSQLite(t)
	for _, tt := range []struct{ path, name, want string }{
		{"photos", "", "photos"},
		{"My photos (2026)", "", "My-photos--2026"},
		{"more/photos", "", "photos-2"},
		{"even more/photos", "", "photos-3"},
		{"more/2026", "", "store"},
		{"日本", "", "store-2"},
		{"x", "named", "named"},
		{"named", "", "named-2"},
	} {
		files := f.directory(tt.path)
		row, added, err := known.Register(t.Context(), f, files, tt.name)
		must(t, err)
		marker, err := files.Marker(t.Context())
		must(t, err)
		if !added || row.Name != tt.want || row.URL != files.URL() || row.Identity != marker || marker == "" {
			t.Errorf("%s: %+v, %t; want the name %s", tt.path, row, added, tt.want)
		}
		if !slices.Contains(f.rows(), row) {
			t.Errorf("%+v is not known", row)
		}
	}

	row, added, err := known.Register(t.Context(), f, store.NewNone(t.TempDir()), "")
	must(t, err)
	if !added || row.Name != "none" || row.URL != store.NoneURL || row.Identity != store.NoneIdentity {
		t.Errorf("none: %+v, %t", row, added)
	}
}

func TestANameThatIsTakenIsRefused(t *testing.T) {
	f := onSQLite(t)
	f.register(f.directory("photos"), "")
	_, added, err := known.Register(t.Context(), f, f.directory("other"), "photos")
	fails(t, err, sqlrepo.ErrExists)
	if rows := f.rows(); added || len(rows) != 1 {
		t.Errorf("added %t: %+v", added, rows)
	}
}

// TestAKnownStoreKeepsItsRow sees a store where it is not expected.
func TestAKnownStoreKeepsItsRow(t *testing.T) {
	const server, other = "?endpoint=http%3A%2F%2Fh", "?endpoint=http%3A%2F%2Fother"
	for _, tt := range []struct{ was, url, want string }{
		{"file:///a/", "file:///a/", "file:///a/"},
		{"file:///a/", "file:///copy/", "file:///a/"},
		{"file:///a/", "s3://bucket/" + server, "file:///a/"},
		{"", "file:///a/", "file:///a/"},
		{"", "s3://bucket/p/" + server, "s3://bucket/p/" + server},

		// A location does not name the server.
		{"s3://bucket/p/", "s3://bucket/p/" + server, "s3://bucket/p/" + server},
		{"s3://bucket/p/", "s3://bucket/", "s3://bucket/p/"},
		{"s3://bucket/p/", "s3://bucket/q/" + server, "s3://bucket/p/"},
		{"s3://bucket/p/" + server, "s3://bucket/p/" + other, "s3://bucket/p/" + server},
		{"s3://bucket/p/" + server, "s3://bucket/p/", "s3://bucket/p/" + server},
	} {
		f := onSQLite(t)
		files := f.directory("a")
		want := f.register(files, "named")
		must(t, f.SetStoreURL(t.Context(), want.Identity, tt.was))
		want.URL = tt.want

		for _, name := range []string{"", "another-name"} {
			row, added, err := known.Register(t.Context(), f, elsewhere{files, tt.url}, name)
			if err != nil || added || row != want {
				t.Errorf("%q seen at %s: %+v, %t, %v; want %+v", tt.was, tt.url, row, added, err, want)
			}
		}
		if rows := f.rows(); !slices.Equal(rows, []sqlrepo.Store{want}) {
			t.Errorf("%q seen at %s: %+v, want %+v", tt.was, tt.url, rows, want)
		}
	}
}

// TestManyRegisterStoresAtOnce registers one store, and different stores of the same name.
func TestManyRegisterStoresAtOnce(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		one, two := f.directory("one/photos"), f.directory("two/photos")

		var group sync.WaitGroup
		rows, added := make([]sqlrepo.Store, 12), make([]bool, 12)
		for i := range rows {
			group.Go(func() {
				row, isNew, err := known.Register(t.Context(), f, []store.Store{one, two}[i%2], "")
				if err != nil {
					t.Error(err)
				}
				rows[i], added[i] = row, isNew
			})
		}
		group.Wait()

		isNew := 0
		for i := range rows {
			if rows[i] != rows[i%2] {
				t.Errorf("%+v, and %+v", rows[i], rows[i%2])
			}
			if added[i] {
				isNew++
			}
		}

		var names []string
		for _, row := range f.rows() {
			names = append(names, row.Name)
		}
		if isNew != 2 || !slices.Equal(names, []string{"photos", "photos-2"}) {
			t.Errorf("%d are new: %q", isNew, names)
		}
	})
}

// TestAStoreWithoutItsMarkerIsRefused has a repository that knows a store at a/, and looks at a directory without a
// marker.
func TestAStoreWithoutItsMarkerIsRefused(t *testing.T) {
	shardName := shard.Name([32]byte{7})
	for name, tt := range map[string]struct {
		knows bool
		path  string
		files []string
		want  error
	}{
		"a new one":                             {false, "a", nil, nil},
		"another new one":                       {true, "b", nil, nil},
		"not mounted":                           {true, "a", nil, store.ErrAbsent},
		"not mounted, and somebody wrote there": {true, "a", []string{"notes.txt"}, store.ErrAbsent},
		"filled by an older guppy":              {false, "a", []string{shardName}, nil},
		"its marker is gone":                    {true, "a", []string{shardName}, known.ErrUnmarked},
		"its marker is gone, and it moved":      {true, "b", []string{"notes.txt", shardName}, known.ErrUnmarked},
	} {
		t.Run(name, func(t *testing.T) {
			f := onSQLite(t)
			if tt.knows {
				f.register(f.directory("a"), "")
				must(t, os.Remove(f.path("a/.guppy-store")))
			}

			files := f.directory(tt.path)
			for _, file := range tt.files {
				f.write(tt.path+"/"+file, "content")
			}
			fails(t, known.RefuseUnmarked(t.Context(), f, files), tt.want)
			if marker, err := files.Marker(t.Context()); marker != "" || err != nil {
				t.Errorf("it got the marker %s: %v", marker, err)
			}

			// With a marker it is a store, whatever else it has.
			_, err := files.Identify(t.Context())
			must(t, err)
			must(t, known.RefuseUnmarked(t.Context(), f, files))
			f.write(tt.path+"/.guppy-store", "?")
			fails(t, known.RefuseUnmarked(t.Context(), f, files), store.ErrDamagedMarker)
		})
	}
}

func TestAPlaceOfAKnownStoreIsRefused(t *testing.T) {
	f := onSQLite(t)
	row := f.register(f.directory("a"), "")
	f.register(elsewhere{f.directory("b"), "s3://bucket/p/?endpoint=http%3A%2F%2Fh"}, "")
	for url, want := range map[string]error{
		row.URL:                                  store.ErrAbsent,
		row.URL + "sub/":                         nil,
		"s3://bucket/p/":                         store.ErrAbsent,
		"s3://bucket/p/?endpoint=http%3A%2F%2Fh": store.ErrAbsent,
		"s3://bucket/p/?endpoint=http%3A%2F%2Fother": nil,
		"s3://bucket/": nil,
		"none:":        nil,
	} {
		if err := known.RefuseUnmounted(f.rows(), url); (err != nil) != (want != nil) {
			t.Errorf("%s: %v, want %v", url, err, want)
		} else {
			fails(t, err, want)
		}
	}
}

func TestNamesOfStores(t *testing.T) {
	for name, clean := range map[string]string{
		"photos": "photos", "My_photos-2.0": "My_photos-2.0", "2026a": "2026a", "_": "_", "a.": "a", "a--": "a",
		"": "store", "2026": "store", "-a": "a", ".a": "a", "--": "store", "a b": "a-b", "/": "store", "a/b": "a-b",
		"s3://x": "s3---x", "ä": "store", "日本2": "store", "a\xff\nb": "a--b", "a=b": "a-b", "-12": "store",
	} {
		if got := known.CleanName(name); got != clean {
			t.Errorf("%q becomes %q, want %q", name, got, clean)
		}
		if err := known.ValidName(clean); err != nil {
			t.Error(err)
		}

		// Names that end with a dash or a dot are valid, but not made.
		if valid := name == clean || name == "a." || name == "a--"; (known.ValidName(name) == nil) != valid {
			t.Errorf("%q: %v", name, known.ValidName(name))
		}
	}
}
