package sqlrepo

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// beginStage opens an upload of a new source, and takes its stage.
func beginStage(t *testing.T, r *Repository) Stage {
	t.Helper()
	space, err := r.AddSpace(t.Context(), Space{DID: "did:key:a", Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	source, err := r.AddSource(t.Context(), Source{Space: space.ID, Name: "a", Path: []byte("/a")})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := r.OpenUpload(t.Context(), source.ID, Upload{})
	if err != nil {
		t.Fatal(err)
	}
	stage, err := r.ClaimStage(t.Context(), Claim{Worker: "test", Term: time.Hour}, opened.Upload.ID)
	if err != nil {
		t.Fatal(err)
	}
	return stage
}

// claimOnly plans one shard, and claims it.
func claimOnly(t *testing.T, r *Repository) Shard {
	t.Helper()
	stage := beginStage(t, r)
	if err := r.SavePlan(t.Context(), stage, []PlannedShard{{}}); err != nil {
		t.Fatal(err)
	}
	mustAdvance(t, r, mustAdvance(t, r, stage, Planning), Packing)
	shard, err := r.ClaimShard(t.Context(), Claim{Worker: "test", Term: time.Hour}, stage.Upload.ID, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	shard.State = ShardPacked
	return shard
}

// sealCounting seals a shard and returns how often it was stored.
func sealCounting(t *testing.T, r *Repository, shard Shard) (calls int) {
	t.Helper()
	node := Node{Digest: Digest{1}}
	packed := PackedShard{Shard: shard, Nodes: []Node{node}}
	err := r.Seal(t.Context(), SpaceAt{Space: 1}, &packed, func(context.Context) error {
		calls++
		return nil
	})
	if err != nil || packed.After.State != Rescanning || packed.After.SettledShards != 1 {
		t.Errorf("%+v, %v", packed.After, err)
	}
	held, err := r.Held(t.Context(), Scope{Space: 1}, []Digest{node.Digest})
	if err != nil || held.Revision != 1 || len(held.Digests) != 1 {
		t.Errorf("held: %+v, %v", held, err)
	}
	for stored, err := range r.Shards(t.Context(), shard.Upload, ShardFilter{}) {
		if err != nil || stored.State != ShardPacked || stored.Token != 0 {
			t.Errorf("%+v, %v", stored, err)
		}
	}
	return calls
}

// TestAStoreThatFailsIsNoDatabaseThatIsAway even if its error looks like one: it is not tried again for minutes, and
// the space is free for others.
func TestAStoreThatFailsIsNoDatabaseThatIsAway(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		for injected := range enginetest.Passing(t, db.Name) {
			clearUploads(t, db)
			r := New(db)
			shard := claimOnly(t, r)
			calls := 0
			fails := func(context.Context) error {
				calls++
				return injected
			}
			err := r.Seal(t.Context(), SpaceAt{Space: 1}, &PackedShard{Shard: shard}, fails)
			if !errors.Is(err, injected) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrConflict) || calls != 1 {
				t.Errorf("%v: got %v after %d calls", injected, err, calls)
			}
			if calls := sealCounting(t, r, shard); calls != 1 {
				t.Errorf("stored %d times", calls)
			}
		}
	})
}

func clearUploads(t *testing.T, db *dialect.DB) {
	t.Helper()
	for _, table := range []string{"nodes", "shards", "uploads", "sources", "spaces", "counters"} {
		if _, err := db.Writer.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSealWithoutAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		lost  chaos.Loss
		calls int
	}{
		"request lost": {chaos.Request, 2},
		"answer lost":  {chaos.Answer, 1},
	} {
		t.Run(name, func(t *testing.T) {
			// Before it come the commits of the space, the source, the upload and the plan.
			r := New(enginetest.OpenThrough(t, chaos.Nothing, chaos.Nothing, chaos.Nothing, chaos.Nothing, tt.lost))
			if calls := sealCounting(t, r, claimOnly(t, r)); calls != tt.calls {
				t.Errorf("stored %d times", calls)
			}
		})
	}
}
