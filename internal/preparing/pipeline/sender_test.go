package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// replicated is a fixture whose space has a replica.
type replicated struct {
	*fixture
	to sqlrepo.SpaceReplica
	// replica is what opens as the replica. It is kept in dir.
	replica store.Store
	dir     string
	away    error
}

func newReplicated(t *testing.T, db *dialect.DB, changes ...change) *replicated {
	t.Helper()
	f := newFixture(t, db, sourcetest.NewSynthetic(small), sourcetest.Root, changes...)
	r := &replicated{fixture: f, dir: filepath.Join(t.TempDir(), "replica")}

	replica, err := store.OpenDirectory(r.dir)
	must(t, err)
	row, _, err := known.Register(t.Context(), f.repo, replica, "replica")
	must(t, err)
	r.to, r.replica = sqlrepo.SpaceReplica{Space: f.job.Space.ID, Store: row.Identity}, replica
	must(t, f.repo.AddSpaceReplica(t.Context(), r.to))
	f.job.Sending = &pipeline.Sending{Spaces: []int64{r.to.Space}, Open: r.open}
	return r
}

func (r *replicated) open(_ context.Context, identity string) (store.Store, error) {
	switch {
	case identity != r.to.Store:
		return r.job.Store, nil
	case r.away != nil:
		return nil, r.away
	}
	return r.replica, nil
}

// ran runs the job, which must complete the upload.
func (r *replicated) ran() {
	r.tb.Helper()
	result, err := r.run()
	must(r.tb, err)
	equal(r.tb, "state", result.Upload.State, sqlrepo.Complete)
}

// names returns the names of the files in a directory, without the marker.
func names(t *testing.T, directory string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	must(t, err)
	for _, entry := range entries {
		if entry.Name() != ".guppy-store" {
			names = append(names, entry.Name())
		}
	}
	return names
}

// same checks that the replica has what the store has, and nothing else.
func (r *replicated) same() {
	r.tb.Helper()
	t := r.tb.(*testing.T) //nolint:forcetypeassert // the fixture is one of tests
	if got, want := names(t, r.dir), r.stored(); !slices.Equal(got, want) {
		t.Errorf("the replica has %q, the store %q", got, want)
	}
	for _, name := range r.stored() {
		got, err := os.ReadFile(filepath.Join(r.dir, name))
		must(t, err)
		want, err := os.ReadFile(filepath.Join(r.fixture.dir, name))
		must(t, err)
		if string(got) != string(want) {
			t.Errorf("%s differs", name)
		}
	}
	equal(t, "lacking", r.lacking(), 0)
}

func (r *replicated) lacking() int64 {
	r.tb.Helper()
	lacks, err := r.repo.Lacking(r.tb.Context(), r.to)
	must(r.tb, err)
	return lacks.Files
}

// TestShardsAreSentWhileOthersArePacked: a shard waits for the first file to arrive in the replica.
func TestShardsAreSentWhileOthersArePacked(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		arrived := make(chan struct{})
		origin := &faultyStore{}
		r := newReplicated(t, db, withFaultyStore(origin))
		origin.onSync = func(n int64) {
			if n == 5 {
				<-arrived
			}
		}

		var once sync.Once
		r.replica = &faultyStore{Store: r.replica, onCommit: func(int64) { once.Do(func() { close(arrived) }) }}
		r.complete()
		r.same()
	})
}

// TestAReplicaThatFails fails each operation on the replica in turn. The upload is complete all the same, and a later
// run sends the rest.
func TestAReplicaThatFails(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		r := newReplicated(t, db)
		r.job.Limits.MaxAttempts = 2
		replica := r.replica
		for _, fault := range []struct {
			op      string
			failure error
		}{
			{"create", store.ErrAbsent}, {"write", errBroken}, {"sync", store.ErrAbsent}, {"stage", errBroken},
			{"commit", store.ErrAbsent}, {"commit", errBroken},
		} {
			faulty := &storetest.Faulty{Store: replica, Fail: storetest.FailAt(fault.op, 2, fault.failure)}
			r.replica = faulty
			r.ran()
			if r.lacking() == 0 || faulty.Unended.Load() != 0 {
				t.Errorf("%v: %d files are lacking, %d were not ended", fault, r.lacking(), faulty.Unended.Load())
			}

			r.replica = replica
			r.ran()
			r.same()
			r.forget()
		}
	})
}

var errBroken = errors.New("broken")

// forget empties the replica.
func (r *replicated) forget() {
	r.tb.Helper()
	var all []sqlrepo.Digest
	for digest, err := range r.repo.Copies(r.tb.Context(), r.to.Store) {
		must(r.tb, err)
		all = append(all, digest)
	}
	must(r.tb, r.repo.ForgetCopies(r.tb.Context(), r.to.Store, all))
	paths, err := filepath.Glob(filepath.Join(r.dir, "bag*"))
	must(r.tb, err)
	for _, path := range paths {
		must(r.tb, os.Remove(path))
	}
}

// TestADamagedShardIsNotSent: what can't be sent is set aside at once. All other files are sent.
func TestADamagedShardIsNotSent(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		r := newReplicated(t, db)
		r.away = store.ErrAbsent
		r.ran()
		r.away = nil

		damaged := r.stored()[0]
		path := filepath.Join(r.fixture.dir, damaged)
		content, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, append([]byte("x"), content[1:]...), 0o600))
		r.ran()
		equal(t, "lacking", r.lacking(), 1)

		sendings, err := r.repo.Sendings(t.Context(), []int64{r.to.Space})
		must(t, err)
		if len(sendings) != 1 || sendings[0].SetAside.IsZero() || pipeline.FileName(sendings[0]) != damaged ||
			!strings.Contains(sendings[0].Error, "content does not match its name") {
			t.Errorf("sendings %+v", sendings)
		}
		if slices.Contains(names(t, r.dir), damaged) {
			t.Errorf("the replica has %s", damaged)
		}

		must(t, os.WriteFile(path, content, 0o600))
		r.ran()
		r.same()
	})
}

// TestWhatIsRemovedWhileItIsSent: a file does not stay in the replica if its shard was removed meanwhile.
func TestWhatIsRemovedWhileItIsSent(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		r := newReplicated(t, db)
		r.away = store.ErrAbsent
		r.ran()
		r.away, r.job.Workers = nil, 1

		// As in a removal, shards are marked first.
		replica := r.replica
		r.replica = &faultyStore{Store: replica, onCommit: func(n int64) {
			if n == 1 {
				text, args, err := sq.Update("shards").Set("state", int(sqlrepo.ShardRemoving)).
					PlaceholderFormat(db.Placeholder).ToSql()
				must(t, err)
				_, err = db.Writer.ExecContext(t.Context(), text, args...)
				must(t, err)
			}
		}}
		r.ran()

		// The new upload has packed some of the content again.
		present := names(t, r.dir)
		for _, name := range present {
			digest, _ := trash.ParseName(name)
			named, err := r.repo.Named(t.Context(), r.to.Store, []sqlrepo.Digest{digest})
			must(t, err)
			if !named[digest].Here {
				t.Errorf("the replica has %s", name)
			}
		}
		if stored := r.stored(); len(present) >= len(stored) {
			t.Errorf("the replica has %d files, the store %d", len(present), len(stored))
		}
	})
}

// TestWorkersShareWhatIsSent has several workers send the files of an upload. One of them loses its leases.
func TestWorkersShareWhatIsSent(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		r := newReplicated(t, db)
		r.away = store.ErrAbsent
		r.ran()
		r.away = nil
		_, _, err := r.repo.ClaimSending(t.Context(), sqlrepo.Claim{Worker: "lost", Term: time.Second}, r.to, nil)
		must(t, err)

		var working sync.WaitGroup
		for range 3 {
			working.Go(func() {
				worker := pipeline.Worker{
					Repo: r.repo, Locate: func(context.Context, sqlrepo.OpenUpload) (*pipeline.Access, error) {
						return nil, fmt.Errorf("%w: nothing is to be packed", store.ErrAbsent)
					},
					Sending: &pipeline.Sending{Open: r.open}, Roving: true, Workers: 2, ReadAhead: 1, TempDir: t.TempDir(),
					Limits: r.job.Limits, Progress: &progress.Counters{}, Log: r.job.Log,
				}
				if err := worker.Run(t.Context()); err != nil {
					t.Errorf("%v", err)
				}
			})
		}
		working.Wait()
		r.same()
	})
}
