package sqlrepo_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestServerCrashes stops the server in the middle of many transactions: the work goes on when it is back.
func TestServerCrashes(t *testing.T) {
	server := pgtest.Start(t)
	repo := sqlrepo.New(enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(server.URL())}))
	stage := beginStage(t, repo)
	var saved atomic.Int64
	var stop atomic.Bool
	var workers sync.WaitGroup
	written := make([][]string, 6)
	for worker := range written {
		workers.Go(func() { written[worker] = save(t, repo, stage, worker, &saved, &stop) })
	}
	for range 3 {
		waitFor(t, &saved, saved.Load()+100)
		server.Stop(pgtest.Immediate)
		time.Sleep(50 * time.Millisecond)
		server.Start()
	}
	waitFor(t, &saved, saved.Load()+100)
	stop.Store(true)
	workers.Wait()

	want, got := slices.Sorted(slices.Values(slices.Concat(written...))), []string{}
	for entry, err := range repo.Entries(t.Context(), stage.Upload.ID, sqlrepo.EntryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry.Path.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d entries were saved, %d are there", len(want), len(got))
	}
}

func beginStage(t *testing.T, repo *sqlrepo.Repository) sqlrepo.Stage {
	t.Helper()
	space, err := repo.AddSpace(t.Context(), sqlrepo.Space{DID: "did:key:a", Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	source, err := repo.AddSource(t.Context(), sqlrepo.Source{Space: space.ID, Name: "a", Path: []byte("/a")})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := repo.OpenUpload(t.Context(), source.ID, sqlrepo.Upload{})
	if err != nil {
		t.Fatal(err)
	}
	stage, err := repo.ClaimStage(t.Context(), sqlrepo.Claim{Worker: "test", Term: time.Hour}, opened.Upload.ID)
	if err != nil {
		t.Fatal(err)
	}
	return stage
}

// save adds entries one by one until it is told to stop, and returns their names. An entry that is saved twice is an
// error, since its path is taken.
func save(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, worker int, saved *atomic.Int64,
	stop *atomic.Bool) (names []string) {
	for !stop.Load() {
		name := fmt.Sprintf("%d-%05d", worker, len(names))
		batch := sqlrepo.ScanBatch{Added: []sqlrepo.Entry{{Path: sqlrepo.Path(name)}}}
		if err := repo.SaveScan(t.Context(), stage, batch); err != nil {
			t.Error(err)
			return names
		}
		names = append(names, name)
		saved.Add(1)
	}
	return names
}

func waitFor(t *testing.T, n *atomic.Int64, least int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); n.Load() < least; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d of %d within a minute", n.Load(), least)
			return
		}
	}
}
