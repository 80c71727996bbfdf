package chaos_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// commits are the kinds of transactions that a preparation commits, each with the parts that only its statements
// have.
var commits = []struct {
	name string
	// alone is true for a statement that is a transaction by itself.
	alone bool
	// having are parts of the transaction's statements.
	having []string
}{
	{"open the upload", false, []string{"SELECT id FROM sources", "UPDATE uploads SET", "started_at"}},
	{"claim a stage", true, []string{"UPDATE uploads SET worker", "lease_seen"}},
	{"claim a shard", true, []string{"UPDATE shards SET worker", "lease_seen"}},
	{"save the scan", false, []string{"found_entries + $1"}},
	{"advance", true, []string{"UPDATE uploads SET state = $1, attempts", "stage_began"}},
	{"save the plan", false, []string{"planned_shards + $"}},
	{"seal a shard", false, []string{"UPDATE spaces SET", "settled_shards + 1"}},
	{"save links", false, []string{"linked_entries + $1"}},
	{"advance to packing", true, []string{"UPDATE uploads SET state = CASE", "stage_began", "lease_began = "}},
	{"record the root", false, []string{"UPDATE uploads SET state", "root_cid = $", "stage_bytes = packed_bytes"}},
	{"complete the upload", false, []string{"finished_at = $", "INSERT INTO indexes", "UPDATE shards SET blob_index"}},
}

// TestAnswersOfCommitsAreLost breaks the connection right after a commit of each kind has succeeded. That costs no
// lease, and nobody waits for the end of one.
func TestAnswersOfCommitsAreLost(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	for _, commit := range commits {
		t.Run(commit.name, func(t *testing.T) {
			url := pgtest.URL(t)
			f := newFixture(t, enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(url)}))
			relay := chaos.StartRelay(t, url)
			db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(relay.URL())})

			loser := losing{alone: commit.alone, having: commit.having, most: 3}
			relay.Lose(loser.loses)
			long := limits
			long.Lease = time.Minute
			f.limits = long

			began := time.Now()
			f.together(db)
			if took := time.Since(began); took > long.Lease/2 {
				t.Errorf("it took %v: a lease was waited for", took)
			}

			if loser.lost() == 0 {
				t.Error("no answer was lost")
			}

			f.requireOutcome(want)
			f.requireReads()
			if f.log.lost() > 0 {
				t.Errorf("%d leases were lost: %v", f.log.lost(), f.log.messages)
			}
		})
	}
}

// losing loses the answers of the first commits of a kind.
type losing struct {
	alone  bool
	having []string
	most   int

	mu    sync.Mutex
	count int
}

func (l *losing) loses(statements []string) chaos.Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alone != (len(statements) == 1) {
		return chaos.Nothing
	}
	for _, part := range l.having {
		if !slices.ContainsFunc(statements, func(s string) bool { return strings.Contains(s, part) }) {
			return chaos.Nothing
		}
	}

	if l.count == l.most {
		return chaos.Nothing
	}

	l.count++
	return chaos.Answer
}

func (l *losing) lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
