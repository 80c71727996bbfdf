package enginetest

import (
	"maps"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// Recorder records the statements that reach an engine. The zero value is ready to use and safe for concurrent use.
type Recorder struct {
	mu         sync.Mutex
	statements map[string]int
	rerun      int
	// life, if not nil, is the life of the process that sends the statements.
	life *Life
}

// Statements returns the texts of all statements, with how often each was sent. A COPY is "COPY" and its table. A
// statement that was prepared to be run many times counts once.
func (r *Recorder) Statements() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.statements)
}

// Rerun returns how often prepared statements were run. These are the bulk inserts of engines without COPY.
func (r *Recorder) Rerun() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rerun
}

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements, r.rerun = nil, 0
}

func (r *Recorder) add(statement string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statements == nil {
		r.statements = map[string]int{}
	}
	r.statements[statement]++
}

func (r *Recorder) ran() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rerun++
}

// Record is like Open, and records each statement of the database.
func (e Engine) Record(tb testing.TB, to *Recorder) *dialect.DB {
	tb.Helper()
	db := *e.Open(tb)
	e.record(tb, &db, to)
	return &db
}

func closeWithTest(tb testing.TB, db *sqlx.DB) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
}
