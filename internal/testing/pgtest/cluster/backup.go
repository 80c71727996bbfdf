package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// Backup is a base backup of a running server. It is made by the functions that pg_basebackup is built on, because
// pg_basebackup is not among the programs of every installation.
type Backup struct {
	cluster *Cluster
	// conn is the session that begins the backup, which has to end it, too.
	conn *pgx.Conn
	stop string
	dir  string
}

// BeginBackup begins a backup. The caller must Copy and End it.
func (c *Cluster) BeginBackup(ctx context.Context) (*Backup, error) {
	conn, err := pgx.Connect(ctx, c.SocketURL())
	if err != nil {
		return nil, fmt.Errorf("base backup: %w", err)
	}
	b := &Backup{cluster: c, conn: conn, dir: filepath.Join(c.dir, "backup")}

	// Version 15 renamed the functions.
	var renamed bool
	err = conn.QueryRow(ctx, "SELECT to_regproc('pg_backup_start') IS NOT NULL").Scan(&renamed)
	start := "SELECT pg_start_backup('test', true, false)"
	b.stop = "SELECT labelfile FROM pg_stop_backup(false, true)"
	if renamed {
		start, b.stop = "SELECT pg_backup_start('test', true)", "SELECT labelfile FROM pg_backup_stop(true)"
	}

	if err == nil {
		_, err = conn.Exec(ctx, start)
	}
	if err != nil {
		return nil, fmt.Errorf("base backup: %w", errors.Join(err, conn.Close(ctx)))
	}
	return b, nil
}

// Copy copies the data directory while the server works, without its WAL, which the archive has.
func (b *Backup) Copy() error {
	data := b.cluster.dataDir()
	return filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server has removed it meanwhile
		}
		if err != nil {
			return fmt.Errorf("base backup: %w", err)
		}

		name, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		switch name {
		case "postmaster.pid", "postmaster.opts":
			return nil
		case "pg_wal":
			return cmp.Or(b.makeDir(name), fs.SkipDir)
		}
		if entry.IsDir() {
			return b.makeDir(name)
		}
		return b.copyFile(path, name)
	})
}

// End ends the backup, once all WAL that it needs is archived.
func (b *Backup) End(ctx context.Context) error {
	var label string
	err := b.conn.QueryRow(ctx, b.stop).Scan(&label)
	if err := errors.Join(err, b.conn.Close(ctx)); err != nil {
		return fmt.Errorf("base backup: %w", err)
	}
	return b.write("backup_label", []byte(label))
}

func (b *Backup) makeDir(name string) error {
	path := filepath.Join(b.dir, name)
	return errors.Join(os.MkdirAll(path, 0o700), b.cluster.own(path))
}

// copyFile copies a file as it is. What the server writes meanwhile is in its WAL, too.
func (b *Backup) copyFile(path, name string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("base backup: %w", err)
	}
	defer func() { _ = file.Close() }()

	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("base backup: %w", err)
	}
	return b.write(name, content)
}

func (b *Backup) write(name string, content []byte) error {
	path := filepath.Join(b.dir, name)
	return errors.Join(os.WriteFile(path, content, 0o600), b.cluster.own(path))
}

// Recover stops the server as if it had crashed, puts the backup in the place of its data, and starts it. The settings
// say where its WAL is and up to which moment to recover. Recover returns once the server can be written to.
func (b *Backup) Recover(ctx context.Context, settings string) error {
	c := b.cluster
	err := c.Stop(ctx, Immediate)
	if err == nil {
		err = os.RemoveAll(c.dataDir())
	}
	if err == nil {
		err = copyTree(ctx, b.dir, c.dataDir())
	}
	if err == nil {
		err = errors.Join(c.configure(settings), c.write("recovery.signal", nil))
	}
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wait(ctx, c.server, requireWritable)
}

// requireWritable returns an error while a server recovers.
func requireWritable(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}

	var recovers bool
	err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovers)
	if recovers {
		err = errors.New("it recovers")
	}
	return errors.Join(err, conn.Close(ctx))
}
