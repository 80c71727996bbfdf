package sqlrepo

import (
	"errors"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestALateClaimIsTakenBack has the server carry out an attempt to claim that got no answer after the next attempt got
// one: the work is not lost until its lease ends.
func TestALateClaimIsTakenBack(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		repo, server := New(db), New(db)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		space, err := repo.AddSpace(t.Context(), Space{DID: "did:key:zLate", Name: "late", ShardSize: 1 << 20})
		must(err)
		source, err := repo.AddSource(t.Context(), Source{Space: space.ID, Name: "s", Path: []byte("/s"),
			SourceOptions: SourceOptions{SymlinkPolicy: "preserve"}})
		must(err)
		opened, err := repo.OpenUpload(t.Context(), source.ID, Upload{Profile: "profile", ShardSize: 1 << 20})
		must(err)
		claim := Claim{Worker: "w", Term: time.Hour}
		late, err := server.ClaimStage(t.Context(), claim, opened.Upload.ID)
		must(err)
		if _, err := repo.ClaimStage(t.Context(), claim, opened.Upload.ID); !errors.Is(err, ErrNothingToClaim) {
			t.Errorf("claimed twice: %v", err)
		}
		repo.late.add(lateClaim{table: "uploads", tokens: []int64{late.Upload.Token}, until: time.Now().Add(time.Hour)})
		_, err = repo.ClaimStage(t.Context(), claim, opened.Upload.ID)
		must(err)
	})
}
