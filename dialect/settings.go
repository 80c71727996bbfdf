package dialect

import (
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/guppy-prep/guppy/internal/config/secret"
)

// Secret is a string that redacts itself wherever it is printed. Reveal returns its text.
type Secret = secret.String

// Settings say which database to open, and how. Settings that only one engine knows are in Options.
type Settings struct {
	// Type is the engine's name; "" leaves the choice to the URL and the options.
	Type string
	// URL is a URL, connection string or path in one of the forms that engines know.
	URL Secret
	// Password replaces the one in the URL.
	Password Secret
	// Options are settings of single engines, such as sqlite.Options and postgres.Options. An engine uses its own
	// and ignores others.
	Options []any
	// MaxOpenConns and MaxIdleConns bound a pool; 0 sizes it from the number of CPUs.
	MaxOpenConns, MaxIdleConns int
	// ConnMaxLifetime and ConnMaxIdleTime retire connections; 0 never does. A connection may end before its
	// lifetime, by at most a tenth of it, to keep connections that were opened together from ending together.
	ConnMaxLifetime, ConnMaxIdleTime time.Duration
	// Existing opens a database file only if it is there, and returns a NoFileError if it is not. Servers make no
	// databases anyway.
	Existing bool
	// Peek opens a database for a short look, by somebody who only reads, that leaves no trace: no file is made or
	// changed. What is read may be out of date.
	Peek bool
	// Reading is for somebody who only reads. Of several servers it takes a copy that follows the others, if there is one.
	Reading bool
	// SchemaMayLack opens a database even if the schema that the options name is not there yet, so that it can be
	// made.
	SchemaMayLack bool
	// Log receives warnings; nil discards them.
	Log *slog.Logger
}

// OptionsOf returns the settings' options of a type, or its zero value if there are none.
func OptionsOf[O any](s Settings) (options O) {
	for _, some := range s.Options {
		if wanted, found := some.(O); found {
			return wanted
		}
	}
	return options
}

// WithOptions returns the settings with options, which replace those of the same type.
func WithOptions[O any](s Settings, options O) Settings {
	s.Options = append(slices.DeleteFunc(slices.Clone(s.Options), func(some any) bool {
		_, same := some.(O)
		return same
	}), options)
	return s
}

// PoolBounds returns the bounds on open and idle connections, for a pool whose size is up to the settings.
func (s Settings) PoolBounds() (open, idle int) {
	s = s.withDefaults()
	return s.MaxOpenConns, s.MaxIdleConns
}

func (s Settings) withDefaults() Settings {
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
