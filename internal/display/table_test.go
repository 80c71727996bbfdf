package display_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/guppy-prep/guppy/internal/display"
)

func write(t *testing.T, styled bool, rows ...[]string) string {
	t.Helper()
	var out strings.Builder
	columns := []display.Column{{Title: "NAME"}, {Title: "SIZE", Right: true}, {Title: "PLACE"}}
	table := display.NewTable(&out, columns, styled)
	for _, row := range rows {
		if err := table.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func requireText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTable(t *testing.T) {
	got := write(t, false, []string{"a", "1 B", "here"}, []string{"länger", "12.5 MiB", ""})
	requireText(t, got, "NAME        SIZE  PLACE\na            1 B  here\nlänger  12.5 MiB\n")
	requireText(t, write(t, true), "") // a table without rows has no header
	if got := write(t, true, []string{"a", "1 B", "x"}); !strings.HasPrefix(got, "\x1b[1m") {
		t.Errorf("the header is not in bold: %q", got)
	}
}

// TestLongTable checks that later batches keep to the columns, which grow where that is needed.
func TestLongTable(t *testing.T) {
	rows := make([][]string, 2500)
	for i := range rows {
		rows[i] = []string{fmt.Sprint(i), "1", "end"}
	}
	rows[2400][0] = "much longer than before"

	lines := strings.Split(strings.TrimSuffix(write(t, false, rows...), "\n"), "\n")
	if len(lines) != 2501 {
		t.Fatalf("%d lines", len(lines))
	}
	requireText(t, lines[1000], "999      1  end")
	requireText(t, lines[2000], "1999     1  end")
	requireText(t, lines[2401], "much longer than before     1  end")
}

func TestIdentifiersAreShortened(t *testing.T) {
	root := "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbc3hbqe"
	var out strings.Builder
	table := display.NewTable(&out, []display.Column{
		{Title: "ROOT", Identifier: true, Widest: display.IdentifierWidth}, {Title: "REASON", Widest: 12},
	}, false)
	for _, row := range [][]string{{root, "write: no space left"}, {"default", "none"}} {
		if err := table.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	requireText(t, out.String(), "ROOT               REASON\n"+
		"bafybeigdy…c3hbqe  wri…ace left\n"+
		"default            none\n")
}

// TestTableFits checks that the widest cells are shortened, and neither numbers nor what has to stay whole.
func TestTableFits(t *testing.T) {
	rows := [][]string{
		{"a/very/long/path/to/a/file", "12.5 MiB", "2026-01-02 15:04", "short"},
		{"日本語日本語日本語日本語", "1 B", "2026-01-02 15:04", "file:///a/store/shards"},
	}

	for _, test := range []struct {
		width int
		want  string
	}{
		{0, "NAME                            SIZE  TIME              PLACE\n" +
			"a/very/long/path/to/a/file  12.5 MiB  2026-01-02 15:04  short\n" +
			"日本語日本語日本語日本語         1 B  2026-01-02 15:04  file:///a/store/shards\n"},
		{54, "NAME              SIZE  TIME              PLACE\n" +
			"a/v…o/a/file  12.5 MiB  2026-01-02 15:04  short\n" +
			"日…語日本語        1 B  2026-01-02 15:04  fil…e/shards\n"},
		{30, "NAME        SIZE  TIME       …\n" +
			"a…file  12.5 MiB  2026-01-02 …\n" +
			"…本語        1 B  2026-01-02 …\n"},
	} {
		var out strings.Builder
		table := display.NewTable(&out,
			[]display.Column{{Title: "NAME"}, {Title: "SIZE", Right: true}, {Title: "TIME", Whole: true}, {Title: "PLACE"}},
			false)
		table.Fit(test.width)
		for _, row := range rows {
			if err := table.Row(slices.Clone(row)); err != nil {
				t.Fatal(err)
			}
		}
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}

		requireText(t, out.String(), test.want)
		for line := range strings.Lines(out.String()) {
			if width := ansi.StringWidth(line); test.width > 0 && width > test.width {
				t.Errorf("a line is %d wide, not %d: %s", width, test.width, line)
			}
		}
	}
}
