package pipeline_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// mostLog bounds SQLite's write-ahead log.
const mostLog = 512 << 20

// TestTheLogStaysShortBesideAReader prepares large files while somebody reads one state of the database from
// beginning to end, which keeps everything written in the log.
func TestTheLogStaysShortBesideAReader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guppy.db")
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(file)})
	tree := sourcetest.Tree{Dirs: 1, Files: 4, Size: 64 << 20, Seed: 1}
	f := newFixture(t, db, sourcetest.NewSynthetic(tree), sourcetest.Root)

	// The reader keeps its state of the database until the upload is complete.
	reading, err := db.Reader.Beginx()
	must(t, err)
	var n int
	must(t, reading.Get(&n, "SELECT COUNT(*) FROM nodes"))

	done, watched := make(chan struct{}), make(chan int64)
	go func() { watched <- largestFile(file+"-wal", done) }()

	f.complete()
	close(done)
	largest := <-watched
	must(t, reading.Rollback())

	t.Logf("the log grew to %d KiB", largest>>10)
	if largest > mostLog || largest == 0 {
		t.Errorf("the log grew to %d MiB", largest>>20)
	}
}

// largestFile returns the largest size of a file until done is closed, with one more look after that.
func largestFile(path string, done <-chan struct{}) (largest int64) {
	for last := false; ; {
		if info, err := os.Stat(path); err == nil {
			largest = max(largest, info.Size())
		}

		if last {
			return largest
		}
		select {
		case <-done:
			last = true
		case <-time.After(5 * time.Millisecond):
		}
	}
}
