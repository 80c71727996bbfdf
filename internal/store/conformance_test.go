package store_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/s3test"
	"github.com/guppy-prep/guppy/internal/store/storetest"
)

// TestMain sets the keys of the servers for tests that run in parallel.
func TestMain(m *testing.M) {
	for key, value := range s3test.Environ() {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestDirectory(t *testing.T) {
	storetest.Run(t, storetest.Subject{Keeps: true, New: func(t *testing.T) func() store.Store {
		return opener(t, filepath.Join(t.TempDir(), "not there yet", "sh%20ards #1?"))
	}})
}

func TestNone(t *testing.T) {
	storetest.Run(t, storetest.Subject{Identity: store.NoneIdentity, New: func(t *testing.T) func() store.Store {
		return opener(t, "none:")
	}})
}

func TestS3(t *testing.T) {
	server := s3test.Start(t)
	storetest.Run(t, storetest.Subject{Keeps: true, New: func(t *testing.T) func() store.Store {
		return opener(t, server.URL(s3test.BucketName+"/two words/"+rand.Text()))
	}})
}

// opener returns a function that opens the store at a location.
func opener(t *testing.T, location string) func() store.Store {
	t.Helper()
	tempDir := t.TempDir()
	return func() store.Store {
		found, err := store.OpenURL(t.Context(), location, store.Options{TempDir: tempDir})
		if err != nil {
			t.Error(err)
		}
		return found
	}
}
