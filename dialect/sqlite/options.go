package sqlite

import (
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// Options are the settings that SQLite alone takes.
type Options struct {
	// BusyTimeout is how long to wait for another process that writes; 0 means 30 s.
	BusyTimeout time.Duration
	// AllowNetworkFilesystem opens a database file where locks and shared memory can't be relied on.
	AllowNetworkFilesystem bool
	// ReadOnly opens a database file that nobody writes to, as FinishFile leaves it, and neither locks it nor makes files
	// beside it.
	ReadOnly bool
	// Alone opens a database file that nobody else has, without a WAL.
	Alone bool
}

func optionsOf(s dialect.Settings) Options {
	options := dialect.OptionsOf[Options](s)
	if options.BusyTimeout == 0 {
		options.BusyTimeout = 30 * time.Second
	}
	return options
}

// journal is where a file's transactions are until they have ended.
func (o Options) journal() string {
	if o.Alone {
		return "delete"
	}
	return "wal"
}
