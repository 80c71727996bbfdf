package sqlite

import (
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// Options are the settings of SQLite alone.
type Options struct {
	// BusyTimeout is how long to wait for another process that writes; 0 means 30 s.
	BusyTimeout time.Duration
	// AllowNetworkFilesystem opens a database file where locks and shared memory can't be relied on.
	AllowNetworkFilesystem bool
	// ReadOnly opens a database file that no process writes to, as FinishFile leaves it. It neither locks the file
	// nor makes files beside it.
	ReadOnly bool
	// Alone opens a database file that no other process has, without a WAL.
	Alone bool
}

func optionsOf(s dialect.Settings) Options {
	options := dialect.OptionsOf[Options](s)
	if options.BusyTimeout == 0 {
		options.BusyTimeout = 30 * time.Second
	}
	return options
}

// journal returns the mode of the journal, which keeps a file's transactions until they have ended.
func (o Options) journal() string {
	if o.Alone {
		return "delete"
	}
	return "wal"
}
