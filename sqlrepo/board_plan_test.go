package sqlrepo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestShardsUnderWayAreFoundAmongMany lists a claimed shard of an upload with many that wait.
func TestShardsUnderWayAreFoundAmongMany(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage := beginStage(t, repo)
			planShards(t, repo, stage, 5000)
			claim := sqlrepo.Claim{Worker: "test", Term: time.Hour}
			if _, err := conformance.Reach(t.Context(), repo, claim, stage, sqlrepo.Packing); err != nil {
				t.Fatal(err)
			}
			claimed, err := repo.ClaimShard(t.Context(), claim, stage.Upload.ID, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if err := repo.Analyze(t.Context()); err != nil {
				t.Fatal(err)
			}

			recorder.Reset()
			shards, err := repo.ShardsUnderWay(t.Context(), stage.Upload.ID)
			if err != nil || len(shards) != 1 || shards[0].ID != claimed.ID {
				t.Fatalf("%d shards are under way, %v", len(shards), err)
			}
			for statement := range recorder.Statements() {
				if plan := explainGeneric(t, db, statement); !strings.Contains(plan, "shards_under_way") {
					t.Errorf("%s\nreads all shards of the upload:\n%s", statement, plan)
				}
			}
		})
	}
}
