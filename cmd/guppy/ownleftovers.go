package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// The kinds of leftovers.
const (
	migrationCopy = "migration_copy"
	partialCopy   = "partial_copy"
	workDirectory = "work_directory"
)

// leftoverView is a file or directory of guppy that nothing needs, except perhaps its user.
type leftoverView struct {
	Path      string  `json:"path"`       // where it lies
	Kind      string  `json:"kind"`       // migration_copy, partial_copy or work_directory
	Bytes     int64   `json:"bytes"`      // its length, or that of the files in it
	ChangedAt instant `json:"changed_at"` // when it was last written
	Removed   bool    `json:"removed"`    // whether it is gone now

	changed time.Time
}

// ownLeftovers finds the copies of the database that migrations have set aside, and what killed restores, backups and
// migrations have left. With --yes it removes the latter, and the copies only with --migration-copies, too. The caller
// keeps the schema from being changed, so that nobody is making a copy.
func (a *app) ownLeftovers(cfg *config.Config, repo *repository, options gcOptions) ([]leftoverView, error) {
	found, err := findLeftovers(cfg, repo)
	if !options.yes {
		return found, err
	}

	a.tidyDataDir(cfg)

	for i := range found {
		left := &found[i]
		if left.Kind == partialCopy || left.Kind == migrationCopy && options.copies {
			err = errors.Join(err, os.Remove(left.Path))
		}
		_, gone := os.Lstat(left.Path)
		left.Removed = errors.Is(gone, fs.ErrNotExist)
	}
	return found, err
}

func findLeftovers(cfg *config.Config, repo *repository) ([]leftoverView, error) {
	found := []leftoverView{}

	work, err := backup.Leftovers(cfg.Repo.DataDir)
	// The database may be elsewhere, and no data directory be needed.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	for _, left := range work {
		found = append(found, newLeftover(left.Path, workDirectory, left.Bytes, left.Changed))
	}

	aside, err := dialect.FindSetAside(repo.db.Settings)
	if err != nil {
		return found, err
	}
	if found, err = appendFiles(found, partialCopy, aside.Partial); err != nil {
		return found, err
	}
	return appendFiles(found, migrationCopy, aside.Copies)
}

func appendFiles(found []leftoverView, kind string, paths []string) ([]leftoverView, error) {
	for _, path := range paths {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return found, err
		}
		found = append(found, newLeftover(path, kind, info.Size(), info.ModTime()))
	}
	return found, nil
}

func newLeftover(path, kind string, bytes int64, changed time.Time) leftoverView {
	at := formatTime(sqlrepo.NewTime(changed))
	return leftoverView{Path: path, Kind: kind, Bytes: bytes, ChangedAt: at, changed: changed}
}

var leftoverNames = map[string]string{
	migrationCopy: "copy of the database before a migration",
	partialCopy:   "unfinished copy of the database",
	workDirectory: "work directory of a killed restore or backup",
}

func (v leftoverView) text(w io.Writer, dryRun bool) {
	line := fmt.Sprintf("%s: %s, %s, %s old", leftoverNames[v.Kind], printable(v.Path), progress.Bytes(v.Bytes),
		age(time.Since(v.changed)))

	switch {
	case v.Removed:
		line = "removed " + line
	case v.Kind == migrationCopy:
		line += ": " + toRun + "gc --migration-copies --yes removes it"
	case dryRun:
		line = "found " + line
	default:
		line = "kept " + line
	}
	fmt.Fprintln(w, line)
}

// age returns a duration in a unit that suits it.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return plural(int64(d/day), "day")
	case d >= 2*time.Hour:
		return plural(int64(d/time.Hour), "hour")
	}
	return plural(int64(max(d, 0)/time.Minute), "minute")
}
