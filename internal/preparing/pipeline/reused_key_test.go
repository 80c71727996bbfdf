package pipeline

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestAnUploadWithTheKeyOfAnotherIsLocatedAgain has another upload get the key of one that a failover has lost.
func TestAnUploadWithTheKeyOfAnotherIsLocatedAgain(t *testing.T) {
	located := 0
	c := newCrew(&Worker{Log: slog.New(slog.DiscardHandler), Workers: 1,
		Locate: func(context.Context, sqlrepo.OpenUpload) (*Access, error) {
			located++
			return &Access{}, nil
		}})

	began := sqlrepo.NewTime(time.Now())
	later := sqlrepo.NewTime(began.Add(time.Second))
	for _, tt := range []struct {
		source  int64
		started sqlrepo.Time
		want    int
	}{
		{1, began, 1}, {1, began, 1}, {2, began, 2}, {2, later, 3}, {2, later, 3}, {1, began, 4},
	} {
		upload := sqlrepo.Upload{ID: 7, State: sqlrepo.Packing, Source: tt.source, StartedAt: tt.started}
		access, err := c.access(t.Context(), sqlrepo.OpenUpload{Upload: upload})
		if err != nil || located != tt.want {
			t.Errorf("source %d, begun at %v: located %d times, want %d: %v", tt.source, tt.started, located, tt.want, err)
		}
		c.leave(access)
	}
}
