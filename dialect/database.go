package dialect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/jmoiron/sqlx"
)

// DB is an open database. Close it when done.
type DB struct {
	Engine
	Facts
	Pools
	// Settings are the settings that the database was opened with.
	Settings Settings
	Log      *slog.Logger
	// Mark, if not nil, reads whether a lock of LockUse that is taken again is as good as before. It must be set
	// before the first lock is taken.
	Mark Mark
	// Instance distinguishes the notifications of this handle from those of others.
	Instance string
	guards   *guards
}

// Open opens the database that the settings name and proves that it answers. A missing database file is made. Open
// returns ErrSettings if the settings name no database, and ErrSchema if the schema that their options name can't be
// used.
func Open(ctx context.Context, s Settings) (*DB, error) {
	engine, err := EngineOf(s)
	if err != nil {
		return nil, err
	}

	s = s.withDefaults()
	pools, err := engine.Connect(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", describe(engine, s), err)
	}
	return &DB{Engine: engine, Facts: engine.Facts(), Pools: pools, Settings: s, Log: s.Log, Instance: rand.Text(),
		guards: &guards{}}, nil
}

// MakeSchema makes the schema that the settings name, unless it is there or they name none. Open can succeed only
// after that. Any number of processes may call MakeSchema at the same time.
func MakeSchema(ctx context.Context, s Settings) (err error) {
	engine, err := EngineOf(s)
	if err != nil {
		return err
	}
	if _, able := engine.(SchemaMaker); !able {
		return nil
	}

	s.SchemaMayLack = true
	db, err := Open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	statement, err := db.MissingSchema(ctx)
	if err != nil || statement == "" {
		return err
	}

	_, err = db.Writer.ExecContext(ctx, statement)
	// Two processes may find the schema missing at the same time.
	if err != nil && db.Classify(err) != Exists {
		return fmt.Errorf("%s: %w", statement, db.ExplainChange(err))
	}
	return nil
}

// Warm opens n connections that are about to be needed, several at once. It returns when they are open or opening
// failed: their users then try again.
func (db *DB) Warm(ctx context.Context, n int) {
	if db.Reader != db.Writer {
		return // a file opens at once
	}

	var opening sync.WaitGroup
	var conns [16]*sqlx.Conn
	for i := range min(n, len(conns), db.Settings.MaxOpenConns-1) {
		opening.Go(func() {
			if conn, err := db.Reader.Connx(ctx); err == nil {
				conns[i] = conn
			}
		})
	}
	opening.Wait()

	for _, conn := range conns {
		if conn != nil {
			_ = closeConn(conn)
		}
	}
}

// Close closes all connections.
func (db *DB) Close() error {
	if db.Reader == db.Writer {
		return closePool(db.Writer)
	}
	return errors.Join(closePool(db.Reader), closePool(db.Writer))
}

// closePool closes a pool. A connection that its driver has closed already, as after a time limit, is not a failure.
func closePool(pool *sqlx.DB) error {
	if err := pool.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Describe returns the kind and name of the database, without secrets.
func (db *DB) Describe() string { return describe(db.Engine, db.Settings) }

// Location returns the place of the database, without secrets: its file, or its name and server.
func (db *DB) Location() string {
	name, err := db.Locate(db.Settings)
	if err != nil {
		return ""
	}
	return name
}

func describe(engine Engine, s Settings) string {
	title := engine.Facts().Title
	name, err := engine.Locate(s)
	if err != nil {
		return title
	}
	return title + " database " + name
}

// HasTable reports whether the database has a table of this name. Any failure to find out is an error.
func (db *DB) HasTable(ctx context.Context, name string) (bool, error) {
	return db.Engine.HasTable(ctx, db, name)
}

// IsEmpty reports whether the database has no tables except the one of this name.
func (db *DB) IsEmpty(ctx context.Context, but string) (bool, error) {
	return db.Engine.IsEmpty(ctx, db, but)
}

// Size returns the space that all tables and indexes take, in bytes.
func (db *DB) Size(ctx context.Context) (int64, error) { return db.Engine.Size(ctx, db) }

// Same reports whether another handle leads to the same database, under any name.
func (db *DB) Same(ctx context.Context, other *DB) (bool, error) {
	if err := ctx.Err(); err != nil || db.Name != other.Name {
		return false, err
	}
	return db.Engine.Same(ctx, db, other)
}
