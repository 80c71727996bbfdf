package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/preparing/scan"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// dryRun is the work ahead of a run, as prepare --dry-run prints it.
type dryRun struct {
	DryRun         bool       `json:"dry_run"`              // true: nothing was changed
	ReadFiles      int64      `json:"read_file_count"`      // files to read: those that are new, changed or unread
	ReadBytes      int64      `json:"read_bytes"`           // their length
	NewFiles       int64      `json:"new_file_count"`       // files that are new
	NewBytes       int64      `json:"new_bytes"`            // their length
	ChangedFiles   int64      `json:"changed_file_count"`   // files that have changed
	ChangedBytes   int64      `json:"changed_bytes"`        // their length
	UnreadFiles    int64      `json:"unread_file_count"`    // files that an unfinished upload has left unread
	UnreadBytes    int64      `json:"unread_bytes"`         // their length
	UnchangedFiles int64      `json:"unchanged_file_count"` // files that have not changed
	UnchangedBytes int64      `json:"unchanged_bytes"`      // their length
	Gone           int64      `json:"gone_count"`           // number of entries that are gone
	LeftOut        int64      `json:"left_out_count"`       // number of entries that would be left out
	Entries        []dryEntry `json:"entries"`              // entries that are not unchanged

	// run is the command that does the work, and all the one that lists all entries.
	run, all string
}

// dryEntry is an entry that a run would look at.
type dryEntry struct {
	pathRef
	Change scan.Change `json:"change"`           // what is new about the entry
	Why    string      `json:"reason,omitempty"` // why
	Size   int64       `json:"bytes"`            // length of a file
}

var dryList = list[dryEntry]{name: "entries"}

func (d *dryRun) add(f scan.Finding) {
	switch f.Change {
	case scan.Same:
		d.UnchangedFiles, d.UnchangedBytes = d.UnchangedFiles+1, d.UnchangedBytes+f.Entry.Size
		return
	case scan.New:
		d.NewFiles, d.NewBytes = d.NewFiles+1, d.NewBytes+f.Entry.Size
	case scan.Changed:
		d.ChangedFiles, d.ChangedBytes = d.ChangedFiles+1, d.ChangedBytes+f.Entry.Size
	case scan.Unread:
		d.UnreadFiles, d.UnreadBytes = d.UnreadFiles+1, d.UnreadBytes+f.Entry.Size
	case scan.Gone:
		d.Gone++
	case scan.LeftOut:
		d.LeftOut++
	}

	if f.Change != scan.Gone && f.Change != scan.LeftOut {
		d.ReadFiles, d.ReadBytes = d.ReadFiles+1, d.ReadBytes+f.Entry.Size
	}

	entry := dryEntry{newPathRef(f.Entry.Path.String()), f.Change, f.Why, f.Entry.Size}
	d.Entries = append(d.Entries, entry)
}

func (d *dryRun) text(w io.Writer) {
	facts := &display.Facts{}
	for _, line := range []struct {
		label        string
		files, bytes int64
	}{
		{"read", d.ReadFiles, d.ReadBytes}, {"new", d.NewFiles, d.NewBytes}, {"changed", d.ChangedFiles, d.ChangedBytes},
		{"unread", d.UnreadFiles, d.UnreadBytes}, {"unchanged", d.UnchangedFiles, d.UnchangedBytes},
	} {
		facts.Add(line.label, "%s, %s", plural(line.files, "file"), progress.Bytes(line.bytes))
	}
	facts.Add("gone", "%d", d.Gone)
	facts.Add("left out", "%d", d.LeftOut)

	for _, entry := range d.Entries[:min(len(d.Entries), listed)] {
		why := ""
		if entry.Why != "" {
			why = ": " + entry.Why
		}
		facts.Below("%s %s%s", entry.Change, printable(entry.Path), why)
	}
	if n := len(d.Entries); n > listed {
		facts.Below("%s", more(n, d.all))
	}

	facts.Add("next", "%s", d.run)
	facts.Write(w)
}

// dryRun prints what preparing the path would read. It changes no row, and makes neither a data directory nor a
// database.
func (a *app) dryRun(ctx context.Context, cfg *config.Config, path string) (err error) {
	unmigrated := *cfg
	unmigrated.Repo.AutoMigrate = false

	repo, err := a.open(ctx, &unmigrated, existing)
	if errors.Is(err, migrate.ErrAbsent) {
		return a.preview(ctx, cfg, path, nil, sourceRecord{})
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.close()) }()

	before, err := findSourceRecord(ctx, cfg, repo, path)
	if err != nil {
		return err
	}
	return a.preview(ctx, cfg, path, repo, before)
}

// sourceRecord is what a repository knows of a source. The zero value is a source that it does not know.
type sourceRecord struct {
	registered bool
	space      sqlrepo.Space
	source     sqlrepo.Source
	uploads    []sqlrepo.Upload
}

func findSourceRecord(ctx context.Context, cfg *config.Config, repo *repository,
	path string) (k sourceRecord, err error) {
	if k.space, err = repo.FindSpace(ctx, cfg.Prepare.Space); errors.Is(err, sqlrepo.ErrNotFound) {
		return sourceRecord{}, nil
	}
	if err != nil {
		return k, err
	}

	if k.source, err = repo.FindSource(ctx, k.space.ID, path); errors.Is(err, sqlrepo.ErrNotFound) {
		return sourceRecord{}, nil
	}
	if err != nil {
		return k, err
	}

	k.registered = true
	k.uploads, err = repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &k.source.ID})
	return k, err
}

func (a *app) preview(ctx context.Context, cfg *config.Config, path string, repo *repository, k sourceRecord) error {
	options, err := configuredOptions(cfg)
	before := scan.Before{}
	// A registered source is previewed with the recipe of its next run.
	if err == nil && k.registered {
		var fresh sqlrepo.Upload
		if fresh, err = recipe(cfg, k.uploads, k.space, k.source); err == nil {
			options = fresh.SourceOptions
			before, err = a.comparedRows(ctx, cfg, repo, k, fresh)
		}
	}
	if err != nil {
		return err
	}

	scanning, err := source.ParseOptions(options.Excludes, options.SymlinkPolicy)
	if err != nil {
		return err
	}
	held, err := source.Hold(path, scanning)
	if err != nil {
		return err
	}

	defer held.Close() //nolint:errcheck // nothing was written

	files, err := dryFiles(ctx, cfg, repo, held)
	if err != nil {
		return err
	}

	// The dry run refuses a source that the run would refuse.
	if k.registered && !a.acceptSource {
		if err := pipeline.Recognize(ctx, repo, k.source, files, held); err != nil {
			return fmt.Errorf("%w: mount what belongs there, or accept what is there with --%s", err, acceptSource)
		}
	}

	args := slices.DeleteFunc(slices.Clone(a.args), func(arg string) bool { return strings.HasPrefix(arg, "--dry-run") })
	result, whole := dryRun{DryRun: true, run: commandLine(append([]string{"guppy"}, args...)),
		all: a.again("--json")}, true
	task := progress.NewTask("scanning", "file")
	stop := a.showProgress(ctx, task.State)
	defer stop()
	err = scan.Preview(ctx, files, path, scanning, before, func(f scan.Finding) error {
		task.Add(1, 0)
		result.add(f)
		whole = whole && (f.Change != scan.LeftOut || f.Entry.State == sqlrepo.Unsupported)
		return nil
	})
	stop()
	if err != nil {
		return err
	}

	if whole {
		scanning.Excludes.WarnOfUnmatched(a.log, path, patternOrigin(cfg))
	}
	if printed, err := dryList.within(a, &result.Entries); err != nil || printed {
		return err
	}
	return a.print(&result, result.text)
}

// dryFiles returns the file system without guppy's own files.
func dryFiles(ctx context.Context, cfg *config.Config, repo *repository, files source.FS) (source.FS, error) {
	if repo != nil {
		return visibleFiles(ctx, cfg, repo, files)
	}

	all, err := ownFiles(cfg)
	if err != nil {
		return nil, err
	}

	var hidden []string
	for _, path := range append(all, cfg.Prepare.StoreDirectory()) {
		if _, err := os.Stat(filepath.Dir(path)); path != "" && err == nil {
			hidden = append(hidden, path)
		}
	}

	return source.Hide(files, hidden...)
}

// comparedRows returns the rows that a run with this recipe would compare the source with.
func (a *app) comparedRows(ctx context.Context, cfg *config.Config, repo *repository, k sourceRecord,
	fresh sqlrepo.Upload) (before scan.Before, err error) {
	before.Compare, before.Reread = source.ComparisonOf(fresh), fresh.Reread

	unfinished, err := repo.UnfinishedUpload(ctx, k.source.ID)
	switch {
	case err == nil:
		before.Stored = repo.Entries(ctx, unfinished.ID, sqlrepo.EntryFilter{})
		before.Unread = repo.Unread(ctx, unfinished.ID)
		// An upload that is rereading already does not begin again.
		before.Reread = fresh.Reread && (!unfinished.Reread || unfinished.State == sqlrepo.Incomplete)
	case !errors.Is(err, sqlrepo.ErrNotFound):
		return before, err
	}

	fresh.Source = k.source.ID
	if fresh.Store, err = a.markerOf(ctx, cfg, repo, k); err != nil {
		return before, err
	}

	// Only an upload in the same store can lend its content.
	previous, err := repo.PreviousUpload(ctx, fresh)
	if err == nil && previous != 0 {
		before.Previous = repo.Entries(ctx, previous,
			sqlrepo.EntryFilter{States: []sqlrepo.EntryState{sqlrepo.Ready, sqlrepo.Rescanned}})
	}
	return before, err
}

// noStore identifies a store that does not exist yet. No upload has its shards there.
const noStore = "none yet"

// markerOf identifies the store that shards would go to, without creating it.
func (a *app) markerOf(ctx context.Context, cfg *config.Config, repo *repository, k sourceRecord) (string, error) {
	if usual := usualStore(k.space, k.uploads); usual != "" && !cfg.ByFlag("prepare.store") {
		return usual, nil
	}

	named, err := findStore(ctx, repo, cfg.Prepare.Store)
	if !errors.Is(err, sqlrepo.ErrNotFound) {
		return named.Identity, err
	}

	if directory := cfg.Prepare.StoreDirectory(); directory != "" {
		if _, err := os.Stat(directory); errors.Is(err, os.ErrNotExist) {
			return noStore, nil
		}
	}

	shards, err := a.configuredStore(ctx, cfg)
	if err != nil {
		return "", err
	}
	return shards.Marker(ctx)
}
