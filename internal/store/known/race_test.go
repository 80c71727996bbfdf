package known_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// meanwhile is a repository to which another process adds the store while it is asked for its stores.
type meanwhile struct {
	known.Repository
	files *store.Directory
}

func (m meanwhile) Stores(ctx context.Context) ([]sqlrepo.Store, error) {
	identity, err := m.files.Identify(ctx)
	return []sqlrepo.Store{{Identity: identity, Name: "shards", URL: m.files.URL()}}, err
}

// TestAStoreThatIsMadeMeanwhileIsNotAbsent is about two processes that use a new store at the same time.
func TestAStoreThatIsMadeMeanwhileIsNotAbsent(t *testing.T) {
	files, err := store.OpenDirectory(filepath.Join(t.TempDir(), "shards"))
	if err != nil {
		t.Fatal(err)
	}
	if err := known.RefuseUnmarked(t.Context(), meanwhile{files: files}, files); err != nil {
		t.Error(err)
	}
}
