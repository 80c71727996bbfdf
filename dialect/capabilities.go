package dialect

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/jmoiron/sqlx"
)

// DefaultLocator is an engine that can name a database by itself.
type DefaultLocator interface {
	// DefaultURL returns the URL of a database in guppy's data directory.
	DefaultURL(dataDir string) Secret
}

// DefaultURL returns the URL of a database in guppy's data directory. The result found is false for an engine that
// needs a URL from the user.
func DefaultURL(engine Engine, dataDir string) (url Secret, found bool) {
	locator, found := engine.(DefaultLocator)
	if !found {
		return "", false
	}
	return locator.DefaultURL(dataDir), true
}

// Chooser is an engine that chooses values for settings that are left empty.
type Chooser interface {
	// Choices returns the values in force of settings that are empty, by the keys of the configuration.
	Choices(s Settings) map[string]Choice
}

// Choice is a value that an engine chose for a setting, with the reason for people to read.
type Choice struct{ Value, Reason string }

// Choices returns the values that the engine chose for settings that are empty, by the keys of the configuration. An
// engine without the capability chooses none.
func Choices(s Settings) map[string]Choice {
	engine, err := EngineOf(s)
	if chooser, able := engine.(Chooser); err == nil && able {
		return chooser.Choices(s)
	}
	return nil
}

// URLAdapter is an engine whose options describe a database beside its URL, so that they must fit a URL that is
// replaced.
type URLAdapter interface {
	// Direct is called by the function Direct once the settings have the new URL.
	Direct(s Settings) Settings
	// Elsewhere is called by the function Elsewhere once the settings have the new URL.
	Elsewhere(s Settings) Settings
}

// Direct returns the settings for reaching the same database at another URL: past a pooler, or a copy of it. Options
// that name the database or the way to it give place to the URL. The password and other options stay, unless the URL
// has its own. By default all options stay.
func Direct(s Settings, url Secret) Settings {
	s.URL = url
	if HoldsPassword(url) {
		s.Password = ""
	}
	if adapter, able := urlAdapter(s); able {
		return adapter.Direct(s)
	}
	return s
}

// Elsewhere returns the settings for another database, at a URL. What describes the first database does not apply to
// it: the type, the password and options of the server. By default all options stay.
func Elsewhere(s Settings, url Secret) Settings {
	s.Type, s.URL, s.Password = "", TrimURL(url), ""
	if adapter, able := urlAdapter(s); able {
		return adapter.Elsewhere(s)
	}
	return s
}

// urlAdapter returns no adapter for a malformed URL. Opening the database returns that error.
func urlAdapter(s Settings) (adapter URLAdapter, able bool) {
	engine, err := EngineOf(s)
	if err != nil {
		return nil, false
	}
	adapter, able = engine.(URLAdapter)
	return adapter, able
}

// ConnectionStrings is an engine that takes connection strings in a form of its own beside URLs, such as
// "host=... dbname=...". By default an engine takes none.
type ConnectionStrings interface {
	// IsConnectionString reports whether text is in that form, or what is left of one that was mangled.
	IsConnectionString(text string) bool
	// Parameters returns the parameters of a connection string. It returns none for a malformed one.
	Parameters(text string) url.Values
	// RedactConnectionString returns a connection string without its secrets.
	RedactConnectionString(text string) string
}

// PoolerNamer is an engine that may be used through a pooler.
type PoolerNamer interface {
	// IsPooled reports whether a pooler between guppy and the server gives a connection to other clients after each
	// transaction.
	IsPooled(s Settings) bool
}

// IsPooled reports whether sessions end with their transactions. If they do, no schema can be changed. The default
// is false.
func IsPooled(s Settings) bool {
	engine, err := EngineOf(s)
	namer, able := engine.(PoolerNamer)
	return err == nil && able && namer.IsPooled(s)
}

// SchemaMaker is an engine that has several schemas in one database.
type SchemaMaker interface {
	// MissingSchema returns the statement that makes the schema named by the settings. It returns "" if the schema
	// is there or the settings name none.
	MissingSchema(ctx context.Context, db *DB) (statement string, err error)
	// CheckSchema returns ErrSchema unless a session uses the schema that the settings name, if they name one.
	CheckSchema(ctx context.Context, session sqlx.QueryerContext, s Settings) error
}

// MissingSchema returns the statement that makes the schema named by the settings, "" if no schema is missing. The
// default is "".
func (db *DB) MissingSchema(ctx context.Context) (statement string, err error) {
	if maker, able := db.Engine.(SchemaMaker); able {
		return maker.MissingSchema(ctx, db)
	}
	return "", nil
}

// CheckSchema returns ErrSchema unless a session uses the schema that the settings name, if they name one. The default
// is nil.
func (db *DB) CheckSchema(ctx context.Context, session sqlx.QueryerContext) error {
	if maker, able := db.Engine.(SchemaMaker); able {
		return maker.CheckSchema(ctx, session, db.Settings)
	}
	return nil
}

// Sender is an engine that is a network away. Its statements are sent several at a time.
type Sender interface {
	// Beginning returns the statements that begin a transaction.
	Beginning(s Settings) []Statement
	// Send runs statements in their order, in one round trip, up to the first that fails.
	Send(ctx context.Context, conn *sqlx.Conn, statements []Statement) error
}

// LogTrimmer is an engine that does not keep its log of changes short on its own.
type LogTrimmer interface {
	// TrimLog is called before each transaction that writes, with its connection.
	TrimLog(ctx context.Context, db *DB, conn *sqlx.Conn) error
}

// trimLog does nothing by default.
func (db *DB) trimLog(ctx context.Context, conn *sqlx.Conn) error {
	if trimmer, able := db.Engine.(LogTrimmer); able {
		return trimmer.TrimLog(ctx, db, conn)
	}
	return nil
}

// WriterNamer is an engine on which a process that writes keeps all others from writing.
type WriterNamer interface {
	// Writing names another process of this host that writes now, for people to read. It returns "" if no process
	// writes, or if that is unknown.
	Writing(db *DB) string
}

// Writing names another process that keeps all others from writing now, for people to read. The default is "".
func (db *DB) Writing() string {
	if namer, able := db.Engine.(WriterNamer); able {
		return namer.Writing(db)
	}
	return ""
}

// Follower is an engine whose databases may be copies that follow another one.
type Follower interface {
	Standing(ctx context.Context, db *DB) (Standing, error)
}

// Standing says how a database follows another one.
type Standing struct {
	// Follows is true for a copy that follows another database and can't be changed itself.
	Follows bool
	// Receives is true if the copy is connected to what it follows.
	Receives bool
	// Behind is the age of what the copy has: of its last commit, or 0 if it is connected and has applied all that it
	// has received. It is negative if that is unknown.
	Behind time.Duration
}

// Standing says how the database follows another one. By default it follows none.
func (db *DB) Standing(ctx context.Context) (Standing, error) {
	if follower, able := db.Engine.(Follower); able {
		return follower.Standing(ctx, db)
	}
	return Standing{}, ctx.Err()
}

// Notifier is an engine on which a commit alone does not wake up listeners.
type Notifier interface {
	Notify(ctx context.Context, db *DB) error
}

// Notify wakes up the listeners of the database. By default commits do that, and Notify does nothing.
func (db *DB) Notify(ctx context.Context) error {
	if notifier, able := db.Engine.(Notifier); able {
		return notifier.Notify(ctx, db)
	}
	return ctx.Err()
}

// Listener is an engine that can notify callers of commits.
type Listener interface {
	Listen(ctx context.Context, db *DB, wake func()) error
}

// Listen calls wake after other processes have notified or committed, until ctx ends. By default it returns at once,
// and callers look again after a while.
func (db *DB) Listen(ctx context.Context, wake func()) error {
	if listener, able := db.Engine.(Listener); able {
		return listener.Listen(ctx, db, wake)
	}
	return ctx.Err()
}

// Explainer is an engine whose driver leaves known facts out of its errors.
type Explainer interface {
	// Explain adds to an error the setting that caused it, or the file system that is full. The argument schema is
	// true for a change to the schema. Advice is returned as an Advised error.
	Explain(s Settings, err error, schema bool) error
}

// Explain adds to an error of the database what the driver does not say. The default is the error as it is.
func (db *DB) Explain(err error) error { return db.explained(err, false) }

// ExplainChange is like Explain, for an error of a change to the schema.
func (db *DB) ExplainChange(err error) error { return db.explained(err, true) }

func (db *DB) explained(err error, schema bool) error {
	explainer, able := db.Engine.(Explainer)
	if err == nil || !able {
		return err
	}
	return explainer.Explain(db.Settings, err, schema)
}

// Analyzer is an engine that relies on statistics of its tables.
type Analyzer interface {
	Analyze(ctx context.Context, db *DB, tables []string) error
}

// Analyze updates the statistics of tables that have changed much, so that the engine reads them in the best way. By
// default it does nothing.
func (db *DB) Analyze(ctx context.Context, tables []string) error {
	if analyzer, able := db.Engine.(Analyzer); able {
		return analyzer.Analyze(ctx, db, tables)
	}
	return ctx.Err()
}

// Vacuumer is an engine that does not give unused space back on its own.
type Vacuumer interface {
	Vacuum(ctx context.Context, db *DB) error
}

// Vacuums reports whether Vacuum has anything to do.
func (db *DB) Vacuums() bool {
	_, able := db.Engine.(Vacuumer)
	return able
}

// Vacuum gives unused space of the database's file back. No other process may use the database meanwhile. By default
// it does nothing.
func (db *DB) Vacuum(ctx context.Context) error {
	if vacuumer, able := db.Engine.(Vacuumer); able {
		return vacuumer.Vacuum(ctx, db)
	}
	return ctx.Err()
}

// FileLister is an engine whose databases are files on this host.
type FileLister interface {
	Files(s Settings) ([]string, error)
}

// Files returns the paths that a database takes on this host, whether or not they exist now. The database itself is
// the first. By default there are none.
func Files(s Settings) ([]string, error) {
	engine, err := EngineOf(s)
	if err != nil {
		return nil, err
	}
	if lister, able := engine.(FileLister); able {
		return lister.Files(s)
	}
	return nil, nil
}

// PathCopier is an engine that can copy a database to a file beside it.
type PathCopier interface {
	CopyAside(ctx context.Context, db *DB, suffix string, copied func(bytes int64)) (string, error)
}

// CopiesAside reports whether CopyAside is supported.
func (db *DB) CopiesAside() bool {
	_, able := db.Engine.(PathCopier)
	return able
}

// CopyAside writes a consistent copy of the database beside it, with this suffix, and returns its path. It never
// overwrites an earlier copy. If copied is not nil, it is called with the size of the copy as that grows. The default
// is errors.ErrUnsupported.
func (db *DB) CopyAside(ctx context.Context, suffix string, copied func(bytes int64)) (string, error) {
	if copier, able := db.Engine.(PathCopier); able {
		return copier.CopyAside(ctx, db, suffix, copied)
	}
	return "", errors.ErrUnsupported
}

// SetAside are the files that CopyAside has left beside a database.
type SetAside struct {
	// Copies are whole. Partial are those of processes that were killed, unless somebody is changing the schema.
	Copies, Partial []string
}

// AsideLister is an engine that finds the copies that were set aside.
type AsideLister interface {
	SetAside(s Settings) (SetAside, error)
}

// FindSetAside returns what CopyAside has left beside a database. By default there is nothing.
func FindSetAside(s Settings) (SetAside, error) {
	engine, err := EngineOf(s)
	if err != nil {
		return SetAside{}, err
	}
	if lister, able := engine.(AsideLister); able {
		return lister.SetAside(s)
	}
	return SetAside{}, nil
}

// PageCopier is an engine whose databases are files that can be copied as they are.
type PageCopier interface {
	CopyPages(ctx context.Context, conn *sqlx.Conn, file string, progress func(done, of int64)) error
}

// CopiesPages reports whether CopyPages is supported.
func (db *DB) CopiesPages() bool {
	_, able := db.Engine.(PageCopier)
	return able
}

// CopyPages writes the database, as the transaction that reads on conn sees it, to a new file of its own. It
// calls progress, unless that is nil, with the number of pages that were copied. The default is errors.ErrUnsupported.
func (db *DB) CopyPages(ctx context.Context, conn *sqlx.Conn, file string, progress func(done, of int64)) error {
	if copier, able := db.Engine.(PageCopier); able {
		return copier.CopyPages(ctx, conn, file, progress)
	}
	return errors.ErrUnsupported
}
