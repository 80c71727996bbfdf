package pgtest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// WithArchive makes the server archive its WAL, by these lines of its configuration, and sync its files as a server
// with real data does.
func WithArchive(settings string) Option {
	return func(options *cluster.Options) { options.Settings, options.Durable = settings, true }
}

// ArchiveDir returns a new directory for WAL, in which servers may write. It is removed when the test ends.
func ArchiveDir(tb testing.TB) string {
	tb.Helper()
	account, err := cluster.Account()
	if err != nil {
		fatal(tb, err)
	}
	dir, err := os.MkdirTemp("", "guppy-archive-")
	if err != nil {
		fatal(tb, err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the archive: %v", err)
		}
	})

	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			fatal(tb, err)
		}
	}
	return dir
}

// Backup is a base backup of a server that works meanwhile. Its methods, like those of a Server, may be called from any
// goroutine. They do nothing if the backup could not be begun.
type Backup struct {
	server *Server
	backup *cluster.Backup
}

// BeginBackup begins a base backup. The caller must Copy and End it.
func (s *Server) BeginBackup() *Backup {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	backup, err := s.cluster.BeginBackup(ctx)
	if err != nil {
		s.tb.Error(err)
	}
	return &Backup{s, backup}
}

// Copy copies the server's files as they are.
func (b *Backup) Copy() {
	b.server.tb.Helper()
	b.do(func(context.Context) error { return b.backup.Copy() })
}

// End ends the backup once all WAL that it needs is archived.
func (b *Backup) End() {
	b.server.tb.Helper()
	b.do(func(ctx context.Context) error { return b.backup.End(ctx) })
}

// Recover stops the server as if it had crashed, recovers it from the backup by these lines of its configuration, and
// returns once it can be written to.
func (b *Backup) Recover(settings string) {
	b.server.tb.Helper()
	b.do(func(ctx context.Context) error { return b.backup.Recover(ctx, settings) })
}

func (b *Backup) do(act func(context.Context) error) {
	b.server.tb.Helper()
	if b.backup == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := act(ctx); err != nil {
		b.server.tb.Error(err)
	}
}

// Moment returns the present time by the server's clock, as its settings take it.
func (s *Server) Moment() (moment string) {
	s.tb.Helper()
	s.ask(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT clock_timestamp()::text").Scan(&moment)
	})
	return moment
}

// Archive returns once all WAL up to now is archived.
func (s *Server) Archive() {
	s.tb.Helper()
	s.ask(func(ctx context.Context, conn *pgx.Conn) error {
		var segment, archived string
		err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&segment)
		for err == nil && archived < segment {
			err = conn.QueryRow(ctx, "SELECT COALESCE(MAX(last_archived_wal), '') FROM pg_stat_archiver, pg_sleep(0.02)").
				Scan(&archived)
		}
		return err
	})
}

// ask runs queries over a connection of its own.
func (s *Server) ask(queries func(context.Context, *pgx.Conn) error) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err == nil {
		err = errors.Join(queries(ctx, conn), conn.Close(ctx))
	}
	if err != nil {
		s.tb.Error(err)
	}
}
