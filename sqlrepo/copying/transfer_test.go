package copying_test

import (
	"errors"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// TestTransfer copies between all engines in both directions, and from each to another database of its own.
func TestTransfer(t *testing.T) {
	for _, from := range enginetest.Engines() {
		for _, to := range enginetest.Engines() {
			t.Run(from.Name+" to "+to.Name, func(t *testing.T) {
				t.Parallel()
				conformance.RunTransfer(t, func(t *testing.T) *dialect.DB { return from.Open(t) },
					func(t *testing.T) *dialect.DB { return to.Open(t) })
			})
		}
	}
}

// TestATransferOutlivesItsTargetsConnections cuts them once: all is copied again. Those of the source are not made
// again, since what was seen over them can't be seen any more, and without the lock on the target nothing is copied at
// all.
func TestATransferOutlivesItsTargetsConnections(t *testing.T) {
	for _, side := range []string{"target", "target and its lock", "source"} {
		t.Run(side, func(t *testing.T) {
			settings := enginetest.Engines()[1].Settings(t)
			source, target := enginetest.MustOpen(t, settings), enginetest.Engines()[1].Open(t)
			cut := enginetest.MustOpen(t, settings)
			if side != "source" {
				source, target = enginetest.Engines()[0].Open(t), source
			}
			repo, copied := sqlrepo.New(source), sqlrepo.New(target)
			space := sqlrepo.Space{DID: "did:key:one", Name: "one", ShardSize: 1 << 20}
			if _, err := repo.AddSpace(t.Context(), space); err != nil {
				t.Fatal(err)
			}
			attempts := 0
			progress := func(p copying.TransferProgress) {
				if p.Table != "spaces" || p.Checking || p.Rows == 0 {
					return
				}
				if attempts++; attempts == 1 {
					disconnect(t, cut, side == "target")
				}
			}
			_, err := copying.New(repo).TransferTo(t.Context(), copied, copying.Transfer{Progress: progress})
			there, listErr := copied.Spaces(t.Context())
			if listErr != nil {
				t.Fatal(listErr)
			}
			if side == "target" && (err != nil || attempts != 2 || len(there) != 1) {
				t.Errorf("%d attempts gave %d spaces; %v", attempts, len(there), err)
			}
			if side == "target and its lock" && (!errors.Is(err, dialect.ErrLockLost) || attempts != 1 || len(there) != 0) {
				t.Errorf("%d attempts gave %d spaces; %v", attempts, len(there), err)
			}
			if side == "source" && (!errors.Is(err, sqlrepo.ErrUnavailable) || attempts != 1 || len(there) != 0) {
				t.Errorf("%d attempts gave %d spaces; %v", attempts, len(there), err)
			}
		})
	}
}

// disconnect ends all other connections to a server's database, but for those that hold a lock if they are spared, and
// waits until they are gone.
func disconnect(t *testing.T, db *dialect.DB, spareLocks bool) {
	for left := 1; left > 0; {
		err := db.Writer.GetContext(t.Context(), &left, `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND NOT ($1 AND pid IN (
				SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'))`, spareLocks)
		if err != nil {
			t.Error(err)
			return
		}
	}
}
