package dialect

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/guppy-prep/guppy/internal/secret"
)

// Secret is a string that redacts itself wherever it is printed; Reveal returns it.
type Secret = secret.String

// Settings say which database to open, and how.
type Settings struct {
	// Type is the engine's name; "" infers it from the URL.
	Type string
	// URL is a PostgreSQL URL or keyword string, or the path or the sqlite: or file: URL of a SQLite file.
	URL Secret
	// Password replaces the one in the URL.
	Password Secret
	// Server names a database server where there is no URL, and completes one.
	Server Server
	// MaxOpenConns and MaxIdleConns bound a pool; 0 sizes it from the number of CPUs.
	MaxOpenConns, MaxIdleConns int
	// ConnMaxLifetime and ConnMaxIdleTime retire connections; 0 never does. A connection may end before its lifetime, by
	// at most a tenth of it, so that those which were opened together do not end together.
	ConnMaxLifetime, ConnMaxIdleTime time.Duration
	// BusyTimeout is how long to wait for another process that writes; 0 means 30 s.
	BusyTimeout time.Duration
	// ConnectTimeout bounds one attempt to connect; 0 means 10 s.
	ConnectTimeout time.Duration
	// SilenceLimit is how long a server may be silent before it is asked, over another connection, whether it is still at
	// work; 0 means 20 s. A connection is given up when it is not.
	SilenceLimit time.Duration
	// AllowNetworkFilesystem opens a database file where locks and shared memory can't be relied on.
	AllowNetworkFilesystem bool
	// Existing opens a database file only if it is there; a NoFileError says that it is not. Servers make no databases
	// anyway.
	Existing bool
	// SchemaMayLack opens a database in which Server.Schema is not there yet, so that it can be made.
	SchemaMayLack bool
	// ReadOnly opens a database file that nobody writes to, as FinishFile leaves it, and neither locks it nor makes files
	// beside it. Alone opens one that nobody else has, without a WAL. Servers know no such things.
	ReadOnly, Alone bool
	// TransactionPooler says that a pooler stands between which gives a connection to others after each transaction.
	TransactionPooler bool
	// Log receives warnings; nil discards them.
	Log *slog.Logger
}

// PoolBounds are the most connections that may be open, and idle, in a pool that the settings say the size of.
func (s Settings) PoolBounds() (open, idle int) {
	s = s.withDefaults()
	return s.MaxOpenConns, s.MaxIdleConns
}

func (s Settings) withDefaults() Settings {
	if s.BusyTimeout == 0 {
		s.BusyTimeout = 30 * time.Second
	}
	if s.ConnectTimeout == 0 {
		s.ConnectTimeout = 10 * time.Second
	}
	if s.SilenceLimit == 0 {
		s.SilenceLimit = defaultSilence
	}
	if s.MaxOpenConns == 0 {
		s.MaxOpenConns = 4 + 2*runtime.GOMAXPROCS(0)
	}
	// A worker holds one connection for its lock, and listens on another.
	s.MaxOpenConns = max(s.MaxOpenConns, 3)
	if s.MaxIdleConns == 0 || s.MaxIdleConns > s.MaxOpenConns {
		s.MaxIdleConns = s.MaxOpenConns
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return s
}
