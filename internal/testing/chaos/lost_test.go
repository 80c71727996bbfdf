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

// commit is a kind of transaction that a preparation commits.
type commit struct {
	name string
	// alone is true for a statement that is a transaction by itself.
	alone bool
	// having are parts that only this transaction's statements have.
	having []string
}

// commits are those whose answers TestAnswersOfCommitsAreLost loses.
var commits = []commit{
	{"seal a shard", false, []string{"UPDATE spaces SET", "settled_shards + 1"}},
	{"complete the upload", false, []string{"finished_at = $", "INSERT INTO indexes", "UPDATE shards SET blob_index"}},
}

// TestAnswersOfCommitsAreLost breaks the connection right after a commit of each kind has succeeded. That costs no
// lease, and nobody waits for the end of one.
func TestAnswersOfCommitsAreLost(t *testing.T) { loseAnswers(t, commits) }

func loseAnswers(t *testing.T, commits []commit) {
	t.Helper()
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
