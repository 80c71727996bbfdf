package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestReplicasAreFoundOnce: the names that were found before anything is changed are those that are sent to, for each
// source of the command.
func TestReplicasAreFoundOnce(t *testing.T) {
	engine, recorder := enginetest.Engines()[0], enginetest.Recorder{}
	db := engine.Record(t, &recorder)
	repo := &repository{Repository: sqlrepo.New(db), db: db}

	var files [2]store.Store
	for i, name := range []string{"first", "second"} {
		opened, err := store.OpenDirectory(filepath.Join(t.TempDir(), name))
		must(t, err)
		_, _, err = known.Register(t.Context(), repo, opened, name)
		must(t, err)
		files[i] = opened
	}
	space, err := repo.AddSpace(t.Context(), sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test"})
	must(t, err)

	a, cfg := &app{replicas: []string{"second"}, log: slog.New(slog.DiscardHandler)}, &config.Config{}
	must(t, a.refuseReplicas(t.Context(), cfg, repo))
	recorder.Reset()
	for range 2 {
		job := pipeline.Job{Space: space, Store: files[0]}
		must(t, a.replicate(t.Context(), cfg, repo, &job))
		if job.Sending == nil {
			t.Error("nothing is sent")
		}
	}

	for statement, times := range recorder.Statements() {
		if strings.Contains(statement, " FROM stores ORDER BY name") {
			t.Errorf("%d times: %s", times, statement)
		}
	}
	replicas, err := repo.SpaceReplicas(t.Context(), []int64{space.ID})
	if err != nil || len(replicas) != 1 {
		t.Errorf("replicas %v: %v", replicas, err)
	}
}
