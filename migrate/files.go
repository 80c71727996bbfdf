package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/guppy-prep/guppy/dialect"
)

// Migration is one step of the schema's history.
type Migration struct {
	Version uint
	Name    string
}

// file is a migration and the names of its two files.
type file struct {
	Migration
	up, down string
}

// list holds an engine's migrations, in the order of their versions.
type list []file

// load reads the migrations of the settings' engine.
func (m *Migrator) load() (list, error) {
	engine, err := dialect.EngineOf(m.settings)
	if err != nil {
		return nil, err
	}
	name := engine.Facts().Name
	loaded, err := readList(m.files, name)
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", name, err)
	}
	return loaded, nil
}

// readList rejects what golang-migrate would ignore: a file with another kind of name, and a migration without its
// counterpart, which golang-migrate would take for an empty one.
func readList(files fs.FS, dir string) (list, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}

	byVersion := map[uint]*file{}
	for _, entry := range entries {
		if err := addFile(byVersion, entry.Name()); err != nil {
			return nil, fmt.Errorf("file %s: %w", entry.Name(), err)
		}
	}

	var sorted list
	for _, f := range byVersion {
		if f.up == "" || f.down == "" {
			return nil, fmt.Errorf("migration %d has only one of the files .up.sql and .down.sql", f.Version)
		}
		sorted = append(sorted, *f)
	}

	slices.SortFunc(sorted, func(a, b file) int { return cmp.Compare(a.Version, b.Version) })
	return sorted, nil
}

func addFile(byVersion map[uint]*file, name string) error {
	parsed, err := source.Parse(name)
	if err != nil {
		return fmt.Errorf("its name isn't of the form 0001_name.up.sql: %w", err)
	}
	if parsed.Version == 0 {
		return errors.New("version 0 stands for an empty database")
	}

	f := byVersion[parsed.Version]
	if f == nil {
		f = &file{Migration: Migration{parsed.Version, parsed.Identifier}}
		byVersion[parsed.Version] = f
	}

	slot := &f.up
	if parsed.Direction == source.Down {
		slot = &f.down
	}
	if *slot != "" || f.Name != parsed.Identifier {
		return fmt.Errorf("version %d is taken by %q", f.Version, f.Name)
	}
	*slot = name
	return nil
}

// required returns the version after the last migration.
func (l list) required() uint { return l.before(len(l)) }

// before returns the schema's version before the i-th migration, 0 before the first.
func (l list) before(i int) uint {
	if i == 0 {
		return 0
	}
	return l[i-1].Version
}

// upTo returns the number of migrations up to and including a version.
func (l list) upTo(version uint) int {
	return sort.Search(len(l), func(i int) bool { return l[i].Version > version })
}

func (l list) has(version uint) bool {
	return slices.ContainsFunc(l, func(f file) bool { return f.Version == version })
}

func (l list) migrations() []Migration {
	var all []Migration
	for _, f := range l {
		all = append(all, f.Migration)
	}
	return all
}
