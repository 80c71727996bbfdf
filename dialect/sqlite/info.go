package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/dialect"
)

const (
	// longLog is the size that a log of changes stays below as long as it is copied back into the database in time.
	longLog = 64 << 20
	// muchFree is the unused space of a file that is worth some work to get back.
	muchFree = 64 << 20
)

// Inspect walks the pages of one table or index after the other, not their rows. None of its reads keeps the log of
// changes for long.
func (Engine) Inspect(ctx context.Context, db *dialect.DB) (info dialect.Info, err error) {
	file, err := fileOf(db.Settings)
	if err != nil {
		return info, err
	}
	if info.Log, err = fileSize(file + "-wal"); err != nil {
		return info, err
	}

	if err := db.Reader.GetContext(ctx, &info.Version, "SELECT sqlite_version()"); err != nil {
		return info, err
	}
	if err := readSettings(ctx, db, &info); err != nil {
		return info, err
	}
	if err := readTables(ctx, db, &info); err != nil {
		return info, err
	}
	warn(filepath.Dir(file), &info)
	return info, nil
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func readSettings(ctx context.Context, db *dialect.DB, info *dialect.Info) error {
	var page, pages, free int64
	err := db.Reader.QueryRowxContext(ctx, "SELECT page_size, page_count, freelist_count "+
		"FROM pragma_page_size, pragma_page_count, pragma_freelist_count").Scan(&page, &pages, &free)
	if err != nil {
		return err
	}
	info.Size, info.Free = page*pages, page*free

	// Commits depend on the writer's settings.
	for _, name := range []string{"journal_mode", "synchronous", "wal_autocheckpoint", "journal_size_limit",
		"busy_timeout", "cache_size", "foreign_keys", "auto_vacuum"} {
		var value string
		if err := db.Writer.GetContext(ctx, &value, "PRAGMA "+name); err != nil {
			return err
		}

		if meanings := pragmaMeanings[name]; meanings[value] != "" {
			value = meanings[value]
		}
		info.Set(name, value)
	}

	info.Set("page_size", page)
	info.Set("isolation", "serializable")
	info.Set("pool", "1 writer, 4 readers")
	return nil
}

var pragmaMeanings = map[string]map[string]string{
	"synchronous":  {"0": "off", "1": "normal", "2": "full", "3": "extra"},
	"foreign_keys": {"0": "off", "1": "on"},
	"auto_vacuum":  {"0": "none", "1": "full", "2": "incremental"},
}

// readTables counts cells of pages: each row of a table is one cell. Unless the table is WITHOUT ROWID, only leaves
// have rows.
func readTables(ctx context.Context, db *dialect.DB, info *dialect.Info) error {
	var trees []struct {
		Name    string `db:"name"`
		Table   string `db:"tbl_name"`
		Kind    string `db:"type"`
		Without bool   `db:"without"`
	}
	err := db.Reader.SelectContext(ctx, &trees, `SELECT s.name, s.tbl_name, s.type, COALESCE(t.wr, 0) AS without
		FROM sqlite_schema AS s LEFT JOIN pragma_table_list AS t ON t.name = s.name AND t.schema = 'main'
		WHERE s.type IN ('table', 'index') AND s.rootpage > 0 AND s.tbl_name NOT LIKE 'sqlite@_%' ESCAPE '@'
		ORDER BY s.tbl_name, s.type DESC, s.name`)
	if err != nil {
		return err
	}

	for _, tree := range trees {
		var size, rows int64
		err := db.Reader.QueryRowxContext(ctx, `SELECT COALESCE(SUM(pgsize), 0),
			COALESCE(SUM(CASE WHEN pagetype = 'leaf' OR pagetype = 'internal' AND ? THEN ncell ELSE 0 END), 0)
			FROM dbstat WHERE name = ?`, tree.Without, tree.Name).Scan(&size, &rows)
		if err != nil {
			return err
		}

		table := info.Table(tree.Table)
		if tree.Kind == "table" {
			table.Bytes, table.Rows = size, rows
		} else {
			table.Indexes = append(table.Indexes, dialect.IndexInfo{Name: tree.Name, Bytes: size})
		}
	}
	return nil
}

func warn(dir string, info *dialect.Info) {
	name, shared := filesystemOf(dir)
	info.Filesystem = name
	if shared {
		info.Warn("network-filesystem", "%s", filesystemDanger(dir, name))
	}

	if info.Log > longLog {
		info.Warn("wal", "the log of changes (WAL) has %s: somebody has been reading one state of the database for long, "+
			"such as a dump that nobody takes or a shell with an open transaction; it shrinks once that ends",
			mebibytes(info.Log))
	}
	if info.Free > muchFree && info.Free > info.Size/4 {
		info.Warn("free-space", "%s of %s are unused: new rows fill them; guppy gc --vacuum --yes gives them back to the "+
			"file system", mebibytes(info.Free), mebibytes(info.Size))
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
