package display_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		values []float64
		width  int
		want   string
	}{
		{nil, 10, ""}, {[]float64{0, 0}, 10, "▁▁"}, {[]float64{9, 0, 1, 2, 3, 4, 5, 6, 7}, 8, "▁▂▃▄▅▆▇█"},
		{[]float64{1, 2}, 0, ""}, {[]float64{1, 2}, -1, ""}, {[]float64{0.001, 1e12}, 2, "▁█"},
	} {
		if got := display.Plain(display.Sparkline(c.values, c.width)); got != c.want {
			t.Errorf("%v in %d columns: %q, want %q", c.values, c.width, got, c.want)
		}
	}
}

func TestColumnsFit(t *testing.T) {
	rows := [][]string{{"nas", "file:///mnt/nas/shards", "1h"}, {"offsite", "s3://bucket", ""}}
	for width := range 60 {
		lines := display.Columns(width, []string{"NAME", "WHERE", "USED"}, rows)
		for _, line := range lines {
			if n := display.Width(line); n > width {
				t.Errorf("a line of %d columns, want at most %d: %q", n, width, line)
			}
		}
	}

	want := []string{
		"NAME     WHERE                   USED", "nas      file:///mnt/nas/shards  1h", "offsite  s3://bucket",
	}
	var got []string
	for _, line := range display.Columns(60, []string{"NAME", "WHERE", "USED"}, rows) {
		got = append(got, strings.TrimRight(display.Plain(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestFacts(t *testing.T) {
	facts := &display.Facts{}
	facts.Add("root", "%s", display.Strong("bafy"))
	facts.Add("left out", "%d", 1)
	facts.Below("%s: %s", "a", "why")
	var out strings.Builder
	facts.Write(display.Colored(&out, environ, "auto"))
	if want := "root      bafy\nleft out  1\n  a: why\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}

	// On a terminal they have colors, unless those are not wanted.
	for color, styled := range map[string]bool{"auto": true, "never": false} {
		term := terminal.New(t, 60, 10)
		facts.Write(display.Colored(term.File, environ, color))
		term.Await(t, `^root      bafy\nleft out  1\n  a: why\n$`)
		if strings.Contains(term.Output(), "\x1b[") != styled {
			t.Errorf("--color %s: %q", color, term.Output())
		}
	}
}
