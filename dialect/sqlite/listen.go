package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// watchEvery is the time between two looks at the log of changes, which cost no query.
const watchEvery = 50 * time.Millisecond

// Listen watches the file that every commit of any process writes first.
func (Engine) Listen(ctx context.Context, db *dialect.DB, wake func()) error {
	file, err := fileOf(db.Settings)
	if err != nil {
		return err
	}

	var last logState
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		now, err := stateOf(file + "-wal")
		if err != nil {
			return err
		}

		if now != last {
			last = now
			wake()
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

type logState struct {
	size     int64
	modified time.Time
}

func stateOf(log string) (state logState, err error) {
	info, err := os.Stat(log)
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	return logState{info.Size(), info.ModTime()}, nil
}
