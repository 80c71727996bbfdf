package migrate

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
)

func TestEmbeddedMigrationsMatchAndHaveNoGap(t *testing.T) {
	byEngine := map[string][]Migration{}
	for _, engine := range dialect.Names() {
		loaded, err := readList(embedded, engine)
		if err != nil {
			t.Fatal(err)
		}
		byEngine[engine] = loaded.migrations()
	}
	if len(byEngine["sqlite"]) == 0 {
		t.Fatal("no migrations")
	}
	for engine, migrations := range byEngine {
		if !slices.Equal(migrations, byEngine["sqlite"]) {
			t.Errorf("%s has %v, sqlite has %v", engine, migrations, byEngine["sqlite"])
		}
		for i, m := range migrations {
			if m.Version != uint(i)+1 {
				t.Errorf("%s: the migration after %d is %d", engine, i, m.Version)
			}
		}
	}
}

func TestReadListRefuses(t *testing.T) {
	tests := map[string][]string{
		"no down file":       {"0001_one.up.sql"},
		"no up file":         {"0001_one.down.sql"},
		"another name":       {"0001_one.up.sql", "0001_uno.down.sql"},
		"taken twice":        {"0001_one.up.sql", "1_one.up.sql", "0001_one.down.sql"},
		"version 0":          {"0000_none.up.sql", "0000_none.down.sql"},
		"not a migration":    {"0001_one.up.sql", "0001_one.down.sql", "README"},
		"unreasonably large": {"99999999999999999999_x.up.sql", "99999999999999999999_x.down.sql"},
	}
	for name, names := range tests {
		t.Run(name, func(t *testing.T) {
			made := fstest.MapFS{}
			for _, name := range names {
				made["sqlite/"+name] = &fstest.MapFile{}
			}
			if got, err := readList(made, "sqlite"); err == nil {
				t.Errorf("it took %v", got)
			}
		})
	}
}

func TestListIsOrderedByVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		versions := rapid.MapOf(rapid.UintRange(1, 20000), rapid.Just(true)).Draw(t, "versions")
		made := fstest.MapFS{"x": &fstest.MapFile{Mode: 0o755 | 1<<31}}
		for version := range versions {
			made[fmt.Sprintf("x/%04d_name.up.sql", version)] = &fstest.MapFile{}
			made[fmt.Sprintf("x/%04d_name.down.sql", version)] = &fstest.MapFile{}
		}
		all, err := readList(made, "x")
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.Sorted(maps.Keys(versions))
		if len(all) != len(sorted) {
			t.Fatalf("%d migrations of %d", len(all), len(sorted))
		}
		for i, version := range sorted {
			if all[i].Version != version || all.upTo(version) != i+1 || all.before(i+1) != version || !all.has(version) {
				t.Fatalf("migration %d of %v is %+v", i, sorted, all[i])
			}
		}
	})
}

func FuzzAddFile(f *testing.F) {
	for _, name := range []string{"0001_one.up.sql", "1_.down.", "0_x.up.sql", "x", "18446744073709551616_x.up.sql"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		byVersion := map[uint]*file{}
		if addFile(byVersion, name) != nil {
			return
		}
		for version, added := range byVersion {
			if version == 0 || added.Version != version || added.up+added.down != name {
				t.Errorf("%q became %+v", name, added)
			}
		}
		if len(byVersion) != 1 || addFile(byVersion, name) == nil {
			t.Errorf("%q was taken twice", name)
		}
	})
}
