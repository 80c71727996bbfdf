package sqlrepo

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Source is a directory or file to prepare, in a space.
type Source struct {
	ID    int64  `db:"id"`
	Space int64  `db:"space"`
	Name  string `db:"name"`
	// Path is absolute, in the bytes of the file system.
	Path []byte `db:"path"`
	SourceOptions
	CreatedAt Time `db:"created_at"`
	// RemovedAt is set if the source is no longer to be prepared. Its uploads stay.
	RemovedAt Time `db:"removed_at"`
	// Sightings is what the source was at each path where it was seen.
	Sightings Sightings `db:"mounts"`
}

// SourceOptions say which part of a source belongs to an upload. They are kept with the source, and with each
// upload as they were for it.
type SourceOptions struct {
	// Excludes are gitignore patterns.
	Excludes Lines `db:"excludes"`
	// SymlinkPolicy says what becomes of symbolic links.
	SymlinkPolicy string `db:"symlinks"`
}

// Lines is a list of strings without newlines, as a binary column.
type Lines []string

// Value returns the lines, each with a newline at its end.
func (l Lines) Value() (driver.Value, error) {
	text := []byte{}
	for _, line := range l {
		if strings.Contains(line, "\n") {
			return nil, fmt.Errorf("%q is more than one line", line)
		}
		text = append(append(text, line...), '\n')
	}
	return text, nil
}

// Scan reads what Value stored.
func (l *Lines) Scan(column any) error {
	text, err := columnBytes(column)
	*l = nil
	for line := range strings.Lines(string(text)) {
		*l = append(*l, strings.TrimSuffix(line, "\n"))
	}
	return err
}

// AddSource adds a source, or takes a removed one back in under its new name and options. Text makes the name fit.
// AddSource returns ErrExists if the space already has the path or the name (a removed source keeps its name), and
// ErrMissingReference if there is no such space.
func (r *Repository) AddSource(ctx context.Context, source Source) (Source, error) {
	source.Name, source.CreatedAt, source.RemovedAt = Text(source.Name), NewTime(r.db.Now()), Time{}
	err := r.db.Transact(ctx, fmt.Sprintf("add source %q", source.Name), func(tx *core.Tx) (err error) {
		source.ID, err = restoreSource(ctx, tx, source)
		if err == nil {
			return tx.Get(ctx, &source.Sightings, sightingsOf(source.ID))
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}

		source.Sightings = nil
		if source.ID, err = tx.NextIDs(ctx, "sources", 1); err != nil {
			return err
		}
		return insertSource(ctx, tx, source)
	})
	return source, err
}

func insertSource(ctx context.Context, tx *core.Tx, source Source) error {
	return tx.Later(ctx, sq.Insert("sources").Columns(schema.SourceColumns...).Values(source.ID, source.Space,
		source.Name, source.Path, source.Excludes, source.SymlinkPolicy, source.CreatedAt, source.RemovedAt), nil)
}

// restoreSource takes back the removed source with the same path and returns its key, or ErrNotFound.
func restoreSource(ctx context.Context, tx *core.Tx, source Source) (id int64, err error) {
	removed := sq.And{
		sq.Eq{"space": source.Space, "path": source.Path}, sq.NotEq{"removed_at": nil},
	}

	found := make([]int64, 1)
	restore := sq.Update("sources").Set("removed_at", nil).Set("name", source.Name).
		Set("excludes", source.Excludes).Set("symlinks", source.SymlinkPolicy).Where(removed).Suffix("RETURNING id")
	if err := tx.ReadNow(ctx, found, restore); err != nil {
		return 0, err
	}
	if found[0] == 0 {
		return 0, ErrNotFound
	}
	return found[0], nil
}

// Sources lists, by key, the sources of a space that were not removed.
func (r *Repository) Sources(ctx context.Context, space int64) (sources []Source, err error) {
	err = r.db.ReadAll(ctx, "list sources", &sources,
		sq.Select(schema.SourceFields...).From("sources").
			Where(sq.Eq{"space": space, "removed_at": nil}).OrderBy("id"))
	return sources, err
}

// Source returns the source with this key, removed or not, or ErrNotFound.
func (r *Repository) Source(ctx context.Context, id int64) (source Source, err error) {
	err = r.db.ReadOne(ctx, fmt.Sprintf("source %d", id), &source,
		sq.Select(schema.SourceFields...).From("sources").Where(sq.Eq{"id": id}))
	return source, err
}

// FindSource returns the source of a space that has this name or absolute path, or ErrNotFound.
func (r *Repository) FindSource(ctx context.Context, space int64, nameOrPath string) (source Source, err error) {
	is := sq.And{
		sq.Eq{"space": space, "removed_at": nil},
		sq.Or{sq.Eq{"name": Text(nameOrPath)}, sq.Eq{"path": []byte(nameOrPath)}},
	}
	err = r.db.ReadOne(ctx, fmt.Sprintf("source %q", nameOrPath), &source,
		sq.Select(schema.SourceFields...).From("sources").Where(is).OrderBy("id").Limit(1))
	return source, err
}

// SetSourceOptions changes the options for the uploads that begin, or are resumed, from now on.
func (r *Repository) SetSourceOptions(ctx context.Context, source int64, options SourceOptions) error {
	return r.changeSource(ctx, "change the options of a source", setOptions(source, options))
}

func setOptions(source int64, options SourceOptions) sq.UpdateBuilder {
	return sq.Update("sources").Set("excludes", options.Excludes).Set("symlinks", options.SymlinkPolicy).
		Where(sq.Eq{"id": source})
}

// MoveSource gives a source another path. It returns ErrExists if the space already has the path (a removed source
// keeps its path), and ErrNotFound if the source was removed or no longer has the path that the caller knows.
func (r *Repository) MoveSource(ctx context.Context, source Source, path []byte) error {
	return r.changeSource(ctx, fmt.Sprintf("move source %q", source.Name), sq.Update("sources").Set("path", path).
		Where(sq.Eq{"id": source.ID, "path": source.Path, "removed_at": nil}))
}

// RemoveSource takes a source out of those that are prepared. Its uploads stay. It returns ErrNotFound if there is
// no such source.
func (r *Repository) RemoveSource(ctx context.Context, source int64) error {
	return r.changeSource(ctx, "remove a source", sq.Update("sources").
		Set("removed_at", NewTime(r.db.Now())).Where(sq.Eq{"id": source, "removed_at": nil}))
}

func (r *Repository) changeSource(ctx context.Context, doing string, update sq.UpdateBuilder) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		return tx.Later(ctx, update, func(rows int64) error { return core.Affected(rows, ErrNotFound) })
	})
}

// Text makes any bytes fit for a text column: it replaces NUL bytes and invalid UTF-8.
func Text(raw string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(raw, "\x00", "\uFFFD"), "\uFFFD")
}
