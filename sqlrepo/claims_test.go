package sqlrepo_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// manyPlanned adds uploads with shards that wait to be packed.
func manyPlanned(t *testing.T, repo *sqlrepo.Repository, uploads, shards int) (ids []int64) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	space, err := repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:zMany", Name: "many", ShardSize: 1 << 20})
	must(err)
	for i := range uploads {
		source, err := repo.AddSource(ctx, sqlrepo.Source{
			Space: space.ID, Name: fmt.Sprint(i), Path: fmt.Appendf(nil, "/%d", i),
			SourceOptions: sqlrepo.SourceOptions{SymlinkPolicy: "preserve"},
		})
		must(err)
		opened, err := repo.OpenUpload(ctx, source.ID, sqlrepo.Upload{Profile: "profile", ShardSize: 1 << 20})
		must(err)
		stage, err := repo.ClaimStage(ctx, sqlrepo.Claim{Worker: "planner", Term: time.Hour}, opened.Upload.ID)
		must(err)
		stage, err = repo.Advance(ctx, stage, sqlrepo.Planning)
		must(err)
		plan := make([]sqlrepo.PlannedShard, shards)
		for ordinal := range plan {
			plan[ordinal].Shard.Ordinal = int64(ordinal)
		}
		must(repo.SavePlan(ctx, stage, plan))
		_, err = repo.Advance(ctx, stage, sqlrepo.Packing)
		must(err)
		ids = append(ids, opened.Upload.ID)
	}
	return ids
}

// TestSealingBesideSettingAsideGoesOn seals a shard while the one behind it is set aside: the one behind both has its
// turn.
func TestSealingBesideSettingAsideGoesOn(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo := sqlrepo.New(db)
		for _, upload := range manyPlanned(t, repo, 60, 3) {
			var shards []sqlrepo.Shard
			for range 3 {
				shard, err := repo.ClaimShard(t.Context(), sqlrepo.Claim{Worker: "w", Term: time.Hour}, upload, math.MaxInt64)
				if err != nil {
					t.Fatal(err)
				}
				shard.State = sqlrepo.ShardEmpty
				shards = append(shards, shard)
			}
			var both sync.WaitGroup
			both.Go(func() { seal(t, repo, shards[0]) })
			both.Go(func() {
				if err := repo.SetAside(t.Context(), shards[1], "damaged"); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			if after := seal(t, repo, shards[2]); !after.Stuck() || after.Sealed != 3 {
				t.Fatalf("upload %d: %+v", upload, after.Tally)
			}
		}
	})
}

func seal(t *testing.T, repo *sqlrepo.Repository, shard sqlrepo.Shard) sqlrepo.Upload {
	for {
		held, err := repo.Held(t.Context(), sqlrepo.Scope{Space: 1}, nil)
		if err != nil {
			t.Error(err)
		}
		packed := sqlrepo.PackedShard{Shard: shard}
		err = repo.Seal(t.Context(), sqlrepo.SpaceAt{Space: 1, Revision: held.Revision}, &packed, nil)
		if errors.Is(err, sqlrepo.ErrSpaceChanged) {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return packed.After
	}
}
