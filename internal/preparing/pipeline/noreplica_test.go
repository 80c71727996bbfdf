package pipeline_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

// TestAReplicaIsTakenFromItsSpaceMeanwhile ends the sending of a file that is about to arrive. Nothing of it is left.
func TestAReplicaIsTakenFromItsSpaceMeanwhile(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		var log bytes.Buffer
		r := newReplicated(t, db)
		r.job.Log = slog.New(slog.NewTextHandler(&log, nil))

		var once sync.Once
		replica := r.replica
		r.replica = &storetest.Faulty{Store: replica, Fail: func(op string) error {
			if op == "commit" {
				once.Do(func() { must(t, r.repo.RemoveSpaceReplica(context.Background(), r.to)) })
			}
			return nil
		}}
		r.ran()

		text := log.String()
		if !strings.Contains(text, "is no longer to be sent") || strings.Contains(text, "another worker") {
			t.Error(text)
		}
		for file, err := range replica.Committed(t.Context()) {
			must(t, err)
			t.Errorf("%s is left", file.Name)
		}
	})
}
