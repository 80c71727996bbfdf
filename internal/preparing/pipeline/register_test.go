package pipeline_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// rows returns the rows of all stores by name, with the time of the last upload set to zero.
func (f *fixture) rows() []sqlrepo.Store {
	f.tb.Helper()
	rows, err := f.repo.Stores(f.tb.Context())
	must(f.tb, err)
	for i := range rows {
		if rows[i].SeenAt.IsZero() {
			f.tb.Errorf("no upload was opened in %+v", rows[i])
		}
		rows[i].SeenAt = sqlrepo.Time{}
	}
	return rows
}

// TestAJobMakesItsStoreKnown prepares a source twice in one store and once in another one of the same name.
func TestAJobMakesItsStoreKnown(t *testing.T) {
	root := tree(t, map[string]string{"a": "a"})
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), root)
		f.moveTo(filepath.Join(t.TempDir(), "shards"))
		upload := f.complete()
		first := f.rows()
		if len(first) != 1 || first[0].Identity != upload.Store || first[0].Name != "shards" ||
			first[0].URL != f.job.Store.URL() {
			t.Errorf("stores %+v", first)
		}

		f.complete()
		if again := f.rows(); !slices.Equal(again, first) {
			t.Errorf("stores %+v, then %+v", first, again)
		}

		f.moveTo(filepath.Join(t.TempDir(), "shards"))
		elsewhere := f.complete()
		both := f.rows()
		if len(both) != 2 || both[0] != first[0] || both[1].Identity != elsewhere.Store || both[1].Name != "shards-2" {
			t.Errorf("stores %+v", both)
		}

		// The space keeps its first store.
		spaces, err := f.repo.Spaces(t.Context())
		must(t, err)
		equal(t, "store of the space", spaces[0].Store, upload.Store)
	})
}

// TestAJobRefusesAStoreThatLostItsMarker has the directory without its marker, with shards and without. It neither
// gets another identity nor an upload.
func TestAJobRefusesAStoreThatLostItsMarker(t *testing.T) {
	root := tree(t, map[string]string{"a": "a"})
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, source.Local(), root)
		f.complete()
		stores := f.rows()

		for _, tt := range []struct {
			harm func() error
			want error
		}{
			{func() error { return os.Remove(filepath.Join(f.dir, ".guppy-store")) }, known.ErrUnmarked},
			{func() error { return errors.Join(os.Rename(f.dir, f.dir+".away"), os.Mkdir(f.dir, 0o700)) }, store.ErrAbsent},
		} {
			must(t, tt.harm())
			if _, err := f.run(); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if marker, err := f.job.Store.Marker(t.Context()); marker != "" || err != nil {
				t.Errorf("it got the marker %q: %v", marker, err)
			}
		}

		if rows := f.rows(); !slices.Equal(rows, stores) {
			t.Errorf("stores %+v, were %+v", rows, stores)
		}
		uploads, err := f.repo.Uploads(t.Context(), sqlrepo.UploadFilter{})
		must(t, err)
		equal(t, "uploads", len(uploads), 1)
	})
}
