package display_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

var environ = []string{"TERM=xterm-256color"}

// halfDone is the state of a run that packs two shards.
func halfDone() progress.State {
	return progress.State{
		Doing: "preparing", Item: "file", Items: 3, ItemsTotal: 10, Bytes: 5 << 20, BytesTotal: 10 << 20,
		Parts: []progress.State{
			{Doing: "scanning", Item: "entry", Items: 12},
			{Doing: "shard 0", Bytes: 1 << 20, BytesTotal: 4 << 20},
		},
	}
}

// TestLinesOutliveBarsThatFail ends the bars by an error while the work goes on.
func TestLinesOutliveBarsThatFail(t *testing.T) {
	term := terminal.New(t, 100, 12)
	screen := display.NewScreen(term.File, environ)
	stop := screen.Show(halfDone)
	fmt.Fprintln(screen, "before")
	term.Await(t, `before\npreparing`)

	screen.FailBars()
	fmt.Fprintln(screen, "after the failure")
	term.Await(t, `(?m)^after the failure$`)
	stop()
	fmt.Fprintln(screen, "afterwards")
	term.Await(t, `after the failure\nafterwards\n`)

	// Others can be shown then.
	stop = screen.Show(halfDone)
	term.Await(t, `afterwards\npreparing`)
	stop()
}

func TestBarsAreBelowWhatIsWrittenAndGoAway(t *testing.T) {
	term := terminal.New(t, 100, 12)
	screen := display.NewScreen(term.File, environ)
	fmt.Fprintln(screen, "before")
	stop := screen.Show(halfDone)
	fmt.Fprintln(screen, "at once")
	term.Await(t, `^before\nat once\npreparing`)
	term.Await(t, `(?m)^preparing  █+░+ +50%  3 of 10 files, 5.0 MiB of 10.0 MiB\n`+
		`scanning +\S +12 entries\nshard 0 +█+░+ +25%  1.0 MiB of 4.0 MiB$`)

	long := strings.Repeat("a long sentence ", 20)
	fmt.Fprintln(screen, "first")
	fmt.Fprintln(screen, long)
	fmt.Fprintln(screen, "last")
	term.Await(t, `(?s)^before\nat once\nfirst\na long.*\nlast\npreparing.*shard 0`)
	if term.CursorHidden() {
		t.Error("the cursor is hidden, which a kill would leave so")
	}

	stop()
	fmt.Fprintln(screen, "afterwards")
	text := term.Await(t, `last\nafterwards\n`)
	if strings.Contains(text, "preparing") {
		t.Errorf("the bars are still there:\n%s", text)
	}
	if strings.Contains(term.Output(), " q") {
		t.Errorf("the shape of the cursor is changed: %q", term.Output())
	}
	if plain := strings.ReplaceAll(text, "\n", ""); !strings.Contains(plain, strings.TrimSpace(long)) {
		t.Errorf("a long line is cut:\n%s", text)
	}
}

// TestNothingIsLost writes while bars come and go.
func TestNothingIsLost(t *testing.T) {
	term := terminal.New(t, 60, 300)
	screen := display.NewScreen(term.File, environ)
	var writing sync.WaitGroup
	for writer := range 4 {
		writing.Go(func() {
			for line := range 50 {
				fmt.Fprintf(screen, "line %d of %d\n", line, writer)
			}
		})
	}
	for range 5 {
		screen.Show(halfDone)()
	}
	writing.Wait()

	fmt.Fprintln(screen, "the end")
	text := term.Await(t, "the end")
	for writer := range 4 {
		for line := range 50 {
			if want := fmt.Sprintf("line %d of %d\n", line, writer); !strings.Contains(text, want) {
				t.Fatalf("no %q in\n%s", want, text)
			}
		}
	}
}

func TestSentences(t *testing.T) {
	var out strings.Builder
	log := slog.New(display.NewSentences(&out, slog.LevelInfo))
	log.Debug("not shown")
	log.Info("added the space", "name", "photos", "copy", "", "joined", false)
	log.With("store", "nas").WithGroup("s3").Warn("away\nfor now", "reason", fmt.Errorf("\x1b[31mno route"))
	log.Error("failed")

	want := "Added the space (name: photos)\n" +
		"Warning: away; for now (store: nas, s3.reason: \\x1b[31mno route)\nError: failed\n"
	if got := display.Plain(out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNoColorIsHeeded(t *testing.T) {
	for _, c := range []struct {
		environ []string
		color   string
		want    bool
	}{
		{environ, "auto", true}, {append([]string{"NO_COLOR=1"}, environ...), "auto", false}, {environ, "never", false},
		{append([]string{"NO_COLOR=1"}, environ...), "always", true},
	} {
		term := terminal.New(t, 60, 10)
		screen := display.NewScreen(term.File, c.environ)
		screen.SetColor(c.color)
		slog.New(display.NewSentences(screen, slog.LevelInfo)).Warn("mind the gap")
		term.Await(t, "Warning: mind the gap")
		if got := strings.Contains(term.Output(), "\x1b[1;33m"); got != c.want {
			t.Errorf("%v with --color %s: %q", c.environ, c.color, term.Output())
		}
	}
}

// TestBarsAreDrawnAgain goes on after a stop, in which a shell has written over the bars.
func TestBarsAreDrawnAgain(t *testing.T) {
	term := terminal.New(t, 100, 12)
	screen := display.NewScreen(term.File, environ)
	defer screen.HeedStops()()
	stop := screen.Show(halfDone)
	defer stop()
	term.Await(t, `(?m)^preparing .*\nscanning .*\nshard 0 `)

	// What is not drawn again stays away, since it has not changed.
	fmt.Fprint(term.File, "\r\x1b[Jstopped\r\n")
	term.Await(t, `^stopped`)
	if err := syscall.Kill(os.Getpid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	term.Await(t, `(?m)^preparing .*\nscanning .*\nshard 0 `)
}

func TestWithoutMiddle(t *testing.T) {
	for _, test := range []struct {
		text   string
		widest int
		want   string
	}{
		{"écrire: no space left on device", 20, "écrire…eft on device"},
		{"écrire", 6, "écrire"},
		{"日本語日本語", 8, "日…本語"},
	} {
		if got := display.WithoutMiddle(test.text, test.widest); got != test.want {
			t.Errorf("%q", got)
		}
	}
}
