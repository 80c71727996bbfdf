package dialect_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func infoOf(t *testing.T, db *dialect.DB) dialect.Info {
	t.Helper()
	info, err := db.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func tableOf(t *testing.T, info dialect.Info, name string) dialect.TableInfo {
	t.Helper()
	i := slices.IndexFunc(info.Tables, func(table dialect.TableInfo) bool { return table.Name == name })
	if i < 0 {
		t.Fatalf("no table %s in %+v", name, info.Tables)
	}
	return info.Tables[i]
}

func warned(info dialect.Info, code string) bool {
	return slices.ContainsFunc(info.Warnings, func(w dialect.Warning) bool { return w.Code == code && w.Text != "" })
}

// many returns the rows of a table with these columns, made in one statement.
func many(table string, rows int, columns string) string {
	return fmt.Sprintf("INSERT INTO %s WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
		"SELECT %s FROM n", table, rows, columns)
}

func TestInfoTellsWhatTablesTake(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		dialecttest.Execute(t, db, "CREATE TABLE few (k BIGINT PRIMARY KEY, v TEXT)", "CREATE INDEX few_v ON few (v)",
			"CREATE TABLE none (k BIGINT)", many("few", 3000, "i, 'value'"), "DELETE FROM few WHERE k <= 1000")
		info := infoOf(t, db)
		few, none := tableOf(t, info, "few"), tableOf(t, info, "none")
		if few.Rows != 2000 || few.Estimated || none.Rows != 0 || none.Estimated {
			t.Errorf("%+v, %+v", few, none)
		}
		if few.Bytes < 2000*8 || len(few.Indexes) != 2 || len(none.Indexes) != 0 {
			t.Errorf("%+v, %+v", few, none)
		}

		for _, index := range few.Indexes {
			if index.Bytes < 2000*8 {
				t.Errorf("%+v", index)
			}
		}
		if info.Version == "" || info.Size < few.Bytes || warned(info, "clock") {
			t.Errorf("%+v", info)
		}
	})
}

func TestInfoReadsSettingsBack(t *testing.T) {
	wanted := map[string]string{"sqlite": "journal_mode=wal synchronous=full isolation=serializable",
		"postgres": "in_recovery=false default_transaction_isolation=read committed pool_max_open_conns=7"}
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		settings.MaxOpenConns = 7
		db := dialecttest.Open(t, settings)
		var got []string
		for _, setting := range infoOf(t, db).Settings {
			got = append(got, setting.Name+"="+setting.Value)
		}

		for want := range strings.SplitSeq(wanted[db.Name], " ") {
			if !strings.Contains(strings.Join(got, " "), want) {
				t.Errorf("no %s in %q", want, got)
			}
		}
	})
}

// otherClock is an engine whose clock is ahead.
type otherClock struct {
	dialect.Engine
	ahead time.Duration
}

func (o otherClock) Clock(offset time.Duration) sq.Sqlizer {
	return o.Engine.Clock(o.ahead + offset)
}

func TestInfoWarnsOfAnotherClock(t *testing.T) {
	dialecttest.Each(t, func(t *testing.T, settings dialect.Settings) {
		db := dialecttest.Open(t, settings)
		right := db.Engine
		for offset, want := range map[time.Duration]bool{0: false, -time.Hour: true, time.Minute: true} {
			db.Engine = otherClock{right, offset}
			if info := infoOf(t, db); warned(info, "clock") != want {
				t.Errorf("%v off: %+v", offset, info.Warnings)
			}
		}
	})
}

// TestInfoWarnsOfTheLog has a reader that keeps the log from being reused, and then checks how much of the file is
// free.
func TestInfoWarnsOfTheLog(t *testing.T) {
	db := dialecttest.Open(t, dialect.Settings{URL: dialect.Secret(filepath.Join(t.TempDir(), "x.db"))})
	dialecttest.Execute(t, db, "CREATE TABLE wide (v BLOB)", "INSERT INTO wide VALUES (NULL)")
	reading, err := db.Reader.Beginx()
	if err != nil {
		t.Fatal(err)
	}

	var n int
	if err := reading.Get(&n, "SELECT COUNT(*) FROM wide"); err != nil {
		t.Fatal(err)
	}

	dialecttest.Execute(t, db, many("wide", 90, "zeroblob(1048576)"))
	if info := infoOf(t, db); !warned(info, "wal") || warned(info, "free-space") || info.Log < 80<<20 {
		t.Errorf("%+v", info)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}

	dialecttest.Execute(t, db, "DELETE FROM wide", "PRAGMA wal_checkpoint(TRUNCATE)")
	if info := infoOf(t, db); warned(info, "wal") || !warned(info, "free-space") || info.Free < 80<<20 {
		t.Errorf("%+v", info)
	}
}
