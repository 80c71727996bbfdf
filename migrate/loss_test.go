package migrate

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestDropped(t *testing.T) {
	for script, want := range map[string]string{
		"":                          "",
		"DROP TABLE a;":             "a",
		"drop table if exists a, B": "B a",
		`DROP TABLE "s"."a" CASCADE; DROP TABLE IF EXISTS b RESTRICT`:                                    "a b",
		"CREATE TABLE a (n INT); DROP TABLE a":                                                           "",
		"DROP TABLE a; CREATE TABLE a (n INT)":                                                           "a",
		"ALTER TABLE a RENAME TO b; DROP TABLE b":                                                        "a",
		"ALTER TABLE a RENAME TO b; CREATE TABLE a (n INT); DROP TABLE b":                                "a",
		"ALTER TABLE a RENAME TO b; CREATE TABLE a (n INT); INSERT INTO a SELECT n FROM b; DROP TABLE b": "",
		"CREATE TABLE b (n INT); INSERT INTO b SELECT * FROM a; DROP TABLE a; DROP TABLE b":              "a",
		"CREATE TABLE b (n INT); INSERT INTO b SELECT * FROM a; DROP TABLE a; ALTER TABLE b RENAME TO a": "",
		"ALTER TABLE a DROP COLUMN b; DROP INDEX a; DELETE FROM a; UPDATE a SET n = 1":                   "",
		"-- DROP TABLE a;\nINSERT INTO b VALUES ('DROP TABLE a;')":                                       "",
	} {
		if got := strings.Join(dropped([]string{script}), " "); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	files := []string{"CREATE TABLE b (n INT); INSERT INTO b SELECT n FROM a; DROP TABLE a", "DROP TABLE b"}
	if got := dropped(files); !slices.Equal(got, []string{"a"}) {
		t.Errorf("two files: %q", got)
	}
}

// TestDroppedTablesAreThoseThatGo compares what is told of the embedded files with what they do.
func TestDroppedTablesAreThoseThatGo(t *testing.T) {
	forEachLong(t, func(t *testing.T, settings dialect.Settings) {
		m := New(settings)
		mustUp(t, m)
		for status := mustStatus(t, m); len(status.Applied) > 0; status = mustStatus(t, m) {
			plan, err := m.Plan(t.Context(), DownBy(1))
			if err != nil {
				t.Fatal(err)
			}
			before := readSchema(t, settings)
			if _, err := m.Down(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			after := readSchema(t, settings)
			maps.DeleteFunc(before, func(table string, _ []string) bool { return after[table] != nil })
			requireEqual(t, dropped(plan.scripts()), slices.Sorted(maps.Keys(before)))
		}
	})
}

func TestDataIsOnlyDroppedWhenToldSo(t *testing.T) {
	forEachLong(t, func(t *testing.T, settings dialect.Settings) {
		mustUp(t, migrator(settings, firstEmbedded(t, 2)))
		db := openDB(t, settings)
		fillVersion2(t, db, wholeNodes()[:7])
		m := New(settings, WithMigrations(firstEmbedded(t, 2)))
		for _, target := range []Target{DownBy(1), DownBy(2), To(0), DownTo(0), To(1)} {
			result, err := m.Migrate(t.Context(), target)
			var loss *LossError
			if !errors.Is(err, ErrHoldsData) || !errors.As(err, &loss) || result.To != 2 || result.Backup != "" {
				t.Fatalf("%+v, %v", result, err)
			}
			if !slices.Contains(loss.Losses, Loss{"nodes", 7}) || !slices.Contains(loss.Losses, Loss{"shards", 4}) {
				t.Errorf("losses %v", loss.Losses)
			}
			plan, err := m.Plan(t.Context(), target)
			if err != nil || !slices.Equal(plan.Losses, loss.Losses) {
				t.Errorf("planned losses %v, %v", plan.Losses, err)
			}
			if text := loss.Error(); !strings.Contains(text, "nodes (7 rows), ") || !strings.Contains(text, "--destroy-data") {
				t.Errorf("error %q", text)
			}
		}
		requireEqual(t, selectAll[int64](t, db, "SELECT COUNT(*) FROM nodes"), []int64{7})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		told := New(settings, WithMigrations(firstEmbedded(t, 2)), WithDestroyData())
		if result, err := told.Down(t.Context(), 2); err != nil || result.To != 0 {
			t.Errorf("told so: %+v, %v", result, err)
		}
	})
}
