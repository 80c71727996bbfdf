package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
)

func TestSplit(t *testing.T) {
	const script = `-- One; not two.
CREATE TABLE a (n BIGINT); -- behind
;

INSERT INTO a /* here;
too */ VALUES (';', "it''s;", '--');UPDATE a
  SET n = 1;
CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET n = CASE WHEN n = 1 THEN 2 END; DELETE FROM a; END;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN NULL; END $body$;
CREATE TRIGGER u AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f(); SELECT $1`
	want := []struct {
		line  uint
		plain string
	}{
		{2, "CREATE TABLE a (n BIGINT)"},
		{5, `INSERT INTO a VALUES (';', "it''s;", '--')`},
		{6, "UPDATE a SET n = 1"},
		{8, "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET n = CASE WHEN n = 1 THEN 2 END; DELETE FROM a; END"},
		{9, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN NULL; END $body$"},
		{10, "CREATE TRIGGER u AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()"},
		{10, "SELECT $1"},
	}
	got := split(script)
	if len(got) != len(want) {
		t.Fatalf("%d statements, want %d: %+v", len(got), len(want), got)
	}
	for i, s := range got {
		if s.line != want[i].line || s.plain != want[i].plain {
			t.Errorf("line %d %q, want line %d %q", s.line, s.plain, want[i].line, want[i].plain)
		}
		if !strings.HasPrefix(script[s.start:], s.text) {
			t.Errorf("%q does not begin at %d", s.text, s.start)
		}
	}
}

// TestSplitOfAnything joins statements that have no semicolon of their own, and takes texts that are no scripts.
func TestSplitOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "';'", `";"`, "$$;$$", "/* ; */", "-- ;\n", "\n", "é", "(1)", "'it''s;'"})
		blank := []string{"/* ; */", "-- ;\n", "\n"}
		var script string
		var want int
		for _, parts := range rapid.SliceOf(rapid.SliceOf(part)).Draw(t, "statements") {
			script += strings.Join(parts, " ") + ";"
			if slices.ContainsFunc(parts, func(p string) bool { return !slices.Contains(blank, p) }) {
				want++
			}
		}
		if got := split(script); len(got) != want {
			t.Fatalf("%q: %d statements, want %d: %+v", script, len(got), want, got)
		}
		for _, s := range split(rapid.String().Draw(t, "text")) {
			if s.text == "" || s.line == 0 {
				t.Fatalf("statement %+v", s)
			}
		}
	})
}

func TestEmbeddedFilesSplitIntoStatements(t *testing.T) {
	for name, file := range embeddedFiles(t) {
		for _, s := range split(string(file.Data)) {
			switch first, _, _ := strings.Cut(s.plain, " "); first {
			case "CREATE", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE":
			default:
				t.Errorf("%s, line %d: %q", name, s.line, s.beginning())
			}
		}
	}
}

// TestFailureNamesTheStatement has errors that engines point at and others, which they find only when they run.
func TestFailureNamesTheStatement(t *testing.T) {
	tests := map[string]struct {
		script, beginning string
		line              uint
	}{
		"unknown table": {"CREATE TABLE two (n BIGINT);\n\n-- No; it isn't.\nINSERT INTO nowhere\nVALUES (1);",
			"INSERT INTO nowhere VALUES (1)", 4},
		"constraint": {"CREATE TABLE two (n BIGINT PRIMARY KEY);\nINSERT INTO two VALUES (1);\nINSERT INTO two VALUES (1);",
			"INSERT INTO two VALUES (1)", 3},
		"syntax": {"CREATE TABLE two (n BIGINT);\nCREATE TABEL x;", "CREATE TABEL x", 2},
		"long": {"DROP TABLE nowhere_that_has_a_name_of_sixty_three_characters_at_the_most;",
			"DROP TABLE nowhere_that_has_a_name_of_sixty_three_characters...", 1},
	}
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		for name, test := range tests {
			_, err := migrator(settings, with("0002_two.up.sql", test.script)).Up(t.Context())
			var failed *FailedError
			if !errors.As(err, &failed) || failed.Statement != test.beginning {
				t.Fatalf("%s: %v", name, err)
			}
			if exact := name != "unknown table"; exact && failed.Line != test.line {
				t.Errorf("%s: line %d, want %d", name, failed.Line, test.line)
			}
			if place := fmt.Sprintf("/0002_two.up.sql, line %d failed at %q: ", failed.Line, test.beginning); !strings.Contains(
				err.Error(), place) {
				t.Errorf("%q lacks %q", err, place)
			}
		}
	})
}

func TestLocate(t *testing.T) {
	cause := &pgconn.PgError{Message: "cause"}
	const script = "SELECT 1; SELECT 'é'; SELECT 3"
	for _, tt := range []struct {
		done, position int
		want           string
	}{{0, 0, "SELECT 1"}, {1, 0, "SELECT 'é'"}, {0, 19, "SELECT 'é'"}, {0, 24, "SELECT 3"}, {9, 0, ""}, {0, 10, ""}} {
		var found *scriptError
		err := locate(script, tt.done, tt.position, cause)
		if errors.As(err, &found); found == nil && tt.want != "" || found != nil && found.statement != tt.want {
			t.Errorf("%d done, position %d: %v", tt.done, tt.position, err)
		}
		if !errors.Is(err, cause) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
}
