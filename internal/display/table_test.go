package display_test

import (
	"fmt"
	"strings"
	"testing"

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

func TestShorten(t *testing.T) {
	root := "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbc3hbqe"
	requireText(t, display.Shorten(root), "bafybeigdy…c3hbqe")
	requireText(t, display.Shorten("default"), "default")
}
