package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

// longCommand is a command that may take long.
type longCommand struct {
	args []string
	// bar begins the first bar that is drawn.
	bar string
	// content is true if standard output is content, which then goes to a file.
	content bool
	// endless says why nobody knows how much there is to do, if so.
	endless string
	// before, if not nil, makes something to do for the command.
	before func()
}

// ofPages is why nobody knows the total of what SQLite does with its pages in the end.
const ofPages = "SQLite does not say how far it is"

// longCommands returns the commands that show their progress, in an order in which each has something to do.
func longCommands(t *testing.T, i *installation) []longCommand {
	path := func(name string) string { return filepath.Join(i.home, name) }
	write := func(name string) func() {
		return func() { noError(t, os.WriteFile(path("source/"+name), []byte(name), 0o600)) }
	}
	shard := "" // the first shard, once there is one
	if found, _ := filepath.Glob(filepath.Join(i.store(), "*.car")); len(found) > 0 {
		shard = strings.TrimSuffix(filepath.Base(found[0]), ".car")
	}

	return []longCommand{
		{args: []string{"prepare", "--dry-run", path("source")}, bar: "scanning", endless: "nobody has seen the source"},
		{args: []string{"prepare", path("source")}, bar: "preparing"},
		{args: []string{"upload", "default"}, bar: "preparing", before: write("more")},
		{args: []string{"worker", "--exit-when-idle"}, bar: "waiting for work", before: func() { i.leaveHalf(t) }},
		{args: []string{"diff", "1", "2"}, bar: "comparing"},
		{args: []string{"find", "*"}, bar: "searching"},
		{args: []string{"stats"}, bar: "reading"},
		{args: []string{"stats", "2"}, bar: "reading"},
		{args: []string{"ls", "-R", "2"}, bar: "listing", content: true},
		{args: []string{"ls", "--tree", "2"}, bar: "listing", content: true},
		{args: []string{"ls", "2"}, bar: "listing", content: true},
		{args: []string{"check", "--read-data"}, bar: "checking"},
		{args: []string{"verify", "1", "--deep"}, bar: "verifying"},
		{args: []string{"retrieve", "1", path("listed"), "--dry-run", "--exclude", "small"}, bar: "listing"},
		{args: []string{"retrieve", "1", path("retrieved")}, bar: "retrieving"},
		{args: []string{"retrieve", "1", path("selected"), "--include", "small"}, bar: "retrieving"},
		{args: []string{"retrieve", "1/file", "-"}, bar: "retrieving", content: true},
		{args: []string{"export", "1", "-o", path("exported.car")}, bar: "exporting"},
		{args: []string{"export", "1", "-o", "-"}, bar: "exporting", content: true},
		{args: []string{"store", "copy", i.store(), path("copied")}, bar: "copying"},
		{args: []string{"store", "sync", "shards", "replica"}, bar: "sending", before: func() {
			i.run(t, "store", "add", "replica", path("replica"))
		}},
		{args: []string{"store", "check", "--read-data"}, bar: "checking stores"},
		{args: []string{"check", "--replicas", "--read-data"}, bar: "checking"},
		{args: []string{"shard", "cat", shard}, bar: "reading", content: true},
		{args: []string{"shard", "rm", strayShard(t, i), "--yes"}, bar: "removing", before: func() { i.addStray(t) }},
		{args: []string{"dump"}, bar: "dumping", content: true},
		{args: []string{"backup", path("backup.db")}, bar: "copying", endless: ofPages},
		{args: []string{"backup", "--check", path("backup.db")}, bar: "checking", endless: ofPages},
		{args: []string{"transfer", "--to", path("transferred.db")}, bar: "copying"},
		{args: []string{"--data-dir", path("restored"), "restore", path("backup.db")}, bar: "reading"},
		{args: []string{"--data-dir", path("migrated"), "migrate", "up"}, bar: "migrating"},
		{args: []string{"--data-dir", path("migrated"), "migrate", "down", "--yes"}, bar: "migrating"},
		{args: []string{"--data-dir", path("migrated"), "migrate", "goto", "1", "--yes"}, bar: "migrating"},
		{args: []string{"upload", "rm", "1", "--yes"}, bar: "removing"},
		{args: []string{"upload", "prune", "default", "--keep-last", "1", "--yes"}, bar: "removing", before: func() {
			write("most")()
			i.run(t, "upload", "default")
		}},
		{args: []string{"gc", "--yes", "--vacuum"}, bar: "removing", endless: ofPages},
		{args: []string{"gc", "--yes", "--strays"}, bar: "removing", endless: "nobody has counted what a store has"},
	}
}

// eachLongCommand runs all commands with an installation.
func eachLongCommand(t *testing.T, run func(i *installation, command longCommand)) {
	i := install(t, build(t), engines()[0])
	i.env = []string{"TERM=xterm-256color"}

	source := filepath.Join(i.home, "source")
	noError(t, os.MkdirAll(source, 0o700))
	noError(t, os.WriteFile(filepath.Join(source, "file"), bytes.Repeat([]byte("content"), 1<<19), 0o600))
	noError(t, os.WriteFile(filepath.Join(source, "small"), []byte("small"), 0o600))

	for n := range longCommands(t, i) {
		if before := longCommands(t, i)[n].before; before != nil {
			before()
		}
		run(i, longCommands(t, i)[n])
	}
}

// barShapes match a bar, or the sign of work whose total is unknown.
var barShapes = regexp.MustCompile(`[█░⠀-⣿]`)

// TestBarsOfLongCommands runs each command on a terminal.
func TestBarsOfLongCommands(t *testing.T) {
	eachLongCommand(t, func(i *installation, command longCommand) {
		term := terminal.New(t, 100, 30)
		process := i.command(command.args...)
		process.Stdin, process.Stdout, process.Stderr = term.File, term.File, term.File
		if command.content {
			content, err := os.Create(filepath.Join(t.TempDir(), "content"))
			noError(t, err)
			defer content.Close() //nolint:errcheck // nobody reads it
			process.Stdout = content
		}
		if err := process.Run(); err != nil {
			t.Fatalf("guppy %s: %v\n%s", command.args, err, term.Text())
		}

		after := lastScreen(t, term)
		bar := regexp.MustCompile(`(?m)` + command.bar + ` +[█░⠀-⣿]`)
		if !bar.MatchString(display.Plain(term.Output())) {
			t.Errorf("guppy %s drew no bar %q: %q", command.args, command.bar, term.Output())
		}
		if barShapes.MatchString(after) || term.CursorHidden() {
			t.Errorf("guppy %s left a bar:\n%s", command.args, after)
		}
	})
}

// TestABarHasATotal prepares much content on a terminal.
func TestABarHasATotal(t *testing.T) {
	i := install(t, build(t), engines()[0])
	i.env = []string{"TERM=xterm-256color"}
	large := filepath.Join(i.home, "large")
	noError(t, os.WriteFile(large, nil, 0o600))
	noError(t, os.Truncate(large, 2<<30)) // it has no blocks, so it is read fast

	term := terminal.New(t, 100, 30)
	process := i.command("prepare", large)
	process.Stdin, process.Stdout, process.Stderr = term.File, term.File, term.File
	noError(t, process.Start())
	term.Await(t, `(?m)^preparing +█+░+ +\d+%  0 of 1 file, [\d.]+ .iB of 2.0 GiB, [\d.]+ .iB/s, \d+s left$`)
	noError(t, process.Process.Signal(syscall.SIGINT))
	_ = process.Wait() // it was interrupted
}

// lastScreen returns the text on a terminal after a program has ended.
func lastScreen(t *testing.T, term *terminal.Terminal) string {
	t.Helper()
	// What the program has written comes before what the test writes.
	_, err := term.File.WriteString("the end\n")
	noError(t, err)
	return term.Await(t, "the end")
}

// TestResultsOnTheTerminalOfTheBars runs commands whose results go to the terminal on which the bars are: all lines of
// the results stay, and no bars are drawn amid content.
func TestResultsOnTheTerminalOfTheBars(t *testing.T) {
	i := install(t, build(t), engines()[0])
	i.env = []string{"TERM=xterm-256color"}
	source := filepath.Join(i.home, "source")
	noError(t, os.MkdirAll(source, 0o700))
	noError(t, os.WriteFile(filepath.Join(source, "file"), bytes.Repeat([]byte("content"), 1000), 0o600))
	i.run(t, "prepare", source)
	shards, err := filepath.Glob(filepath.Join(i.store(), "*.car"))
	noError(t, err)
	for _, shard := range shards {
		noError(t, os.Remove(shard))
	}

	for _, c := range []struct {
		args []string
		bars bool
		// result matches what is on the screen in the end.
		result string
	}{
		{[]string{"check"}, true, `(?s)shard-missing.*shard-missing.*: 1 upload with.*2 shards`},
		{[]string{"check", "--json"}, true, `(?s)"shard-missing".*"sound":false`},
		{[]string{"verify", "1"}, true, `(?s)problem`},
		{[]string{"dump"}, false, `(?s)"table":"spaces".*"table":"roots"`},
	} {
		term := terminal.New(t, 500, 200)
		process := i.command(c.args...)
		process.Stdin, process.Stdout, process.Stderr = term.File, term.File, term.File
		_ = process.Run() // the exit code says that there are problems
		after := lastScreen(t, term)
		if !regexp.MustCompile(c.result).MatchString(after) || barShapes.MatchString(after) {
			t.Errorf("guppy %s left\n%s", c.args, after)
		}
		if drawn := barShapes.MatchString(display.Plain(term.Output())); drawn != c.bars {
			t.Errorf("guppy %s: bars were drawn: %t", c.args, drawn)
		}
	}
}

// TestLongCommandsCountAllOfTheirWork compares what each command has done in the end with its totals.
func TestLongCommandsCountAllOfTheirWork(t *testing.T) {
	eachLongCommand(t, func(i *installation, command longCommand) {
		p := i.start(t, append([]string{"--progress", "json"}, command.args...)...)
		if code := p.exit(t); code != 0 {
			t.Fatalf("guppy %s: exit code %d\n%s", command.args, code, &p.stderr)
		}

		var last *progress.View
		for line := range strings.Lines(p.stderr.String()) {
			var read struct{ Progress *progress.View }
			noError(t, json.Unmarshal([]byte(line), &read))
			if read.Progress != nil {
				last = read.Progress
			}
		}
		if last == nil {
			t.Fatalf("guppy %s says nothing about its progress: %s", command.args, &p.stderr)
		}
		requireDone(t, command.args, *last)
		if known := last.ItemsTotal > 0 || last.BytesTotal > 0; known == (command.endless != "") {
			t.Errorf("guppy %s: its total is known: %t (%s); it ended with %+v", command.args, known, command.endless, last)
		}
	})
}

func requireDone(t *testing.T, args []string, view progress.View) {
	t.Helper()
	if view.ItemsTotal > 0 && view.Items != view.ItemsTotal || view.BytesTotal > 0 && view.Bytes != view.BytesTotal {
		t.Errorf("guppy %s ended with %+v", args, view)
	}
	for _, part := range view.Parts {
		requireDone(t, args, part)
	}
}

// TestAnInterruptedCommandLeavesAClearScreen interrupts a worker that waits.
func TestAnInterruptedCommandLeavesAClearScreen(t *testing.T) {
	i := install(t, build(t), engines()[0])
	i.env = []string{"TERM=xterm-256color"}
	i.run(t, "space", "add", "photos")

	term := terminal.New(t, 100, 30)
	worker := i.command("worker")
	worker.Stdin, worker.Stdout, worker.Stderr = term.File, term.File, term.File
	noError(t, worker.Start())
	term.Await(t, `waiting for work  +\S`)
	noError(t, worker.Process.Signal(syscall.SIGINT))
	_ = worker.Wait()

	text := term.Await(t, "guppy: interrupted")
	if strings.Contains(text, "waiting for work") || term.CursorHidden() {
		t.Errorf("it left:\n%s", text)
	}
}

// TestTerminalsThatCannotMoveTheCursor runs commands on terminals that know no control sequences: sentences, and no
// bars.
func TestTerminalsThatCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	program := build(t)
	for _, environ := range [][]string{nil, {"TERM="}, {"TERM=dumb"}} {
		i := install(t, program, engines()[0])
		i.env = environ
		source := filepath.Join(i.home, "source")
		noError(t, os.MkdirAll(source, 0o700))
		noError(t, os.WriteFile(filepath.Join(source, "file"), bytes.Repeat([]byte("content"), 1000), 0o600))

		for _, args := range [][]string{
			{"prepare", source}, {"prepare", source, "--always", "--progress", "bars"}, {"check"}, {"upload", "ls"}, {"status"},
			{"retrieve", "1/file", "-"}, {"nope"},
		} {
			term := terminal.New(t, 200, 30)
			process := i.command(args...)
			process.Stdin, process.Stdout, process.Stderr = term.File, term.File, term.File
			_ = process.Run() // one is wrong
			lastScreen(t, term)

			output := term.Output()
			if strings.Contains(output, "\x1b") || barShapes.MatchString(output) || strings.Contains(output, "level=") {
				t.Errorf("%q: guppy %s wrote %q", environ, args, output)
			}
			if args[0] == "prepare" && !strings.Contains(output, "Preparing a source (upload:") {
				t.Errorf("%q: guppy %s wrote no sentence: %q", environ, args, output)
			}
		}
	}
}

// TestAStoppedCommandLeavesAClearScreen stops a worker that waits as Ctrl-Z does, and lets it go on.
func TestAStoppedCommandLeavesAClearScreen(t *testing.T) {
	t.Parallel()
	i := install(t, build(t), engines()[0])
	i.env = []string{"TERM=xterm-256color"}
	i.run(t, "space", "add", "photos")

	term := terminal.New(t, 100, 30)
	worker := i.command("worker")
	worker.Stdin, worker.Stdout, worker.Stderr = term.File, term.File, term.File
	// The kernel stops no process that nobody could continue.
	worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	noError(t, worker.Start())
	defer worker.Process.Kill() //nolint:errcheck // it has mostly ended by itself
	term.Await(t, `waiting for work  +\S`)

	noError(t, worker.Process.Signal(syscall.SIGTSTP))
	var status syscall.WaitStatus
	_, err := syscall.Wait4(worker.Process.Pid, &status, syscall.WUNTRACED, nil)
	noError(t, err)
	if !status.Stopped() {
		t.Fatalf("it has status %x", status)
	}
	fmt.Fprintln(term.File, "[1]+  Stopped")
	text := term.Await(t, "Stopped\n")
	if strings.Contains(text, "waiting for work") {
		t.Errorf("it left:\n%s", text)
	}

	for range 2 {
		noError(t, worker.Process.Signal(syscall.SIGCONT))
		term.Await(t, `Stopped\nwaiting for work  +\S`)
	}
	noError(t, worker.Process.Signal(syscall.SIGINT))
	_ = worker.Wait()
	term.Await(t, `Stopped\nguppy: interrupted`)
}
