package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

// startOn starts the program on a terminal, which it controls. ended is closed when it has ended.
func (i *installation) startOn(t *testing.T, term *terminal.Terminal, args ...string) *process {
	t.Helper()
	p := &process{Cmd: i.command(args...), ended: make(chan struct{})}
	p.Env = append(p.Env, "TERM=xterm-256color")
	p.Stdin, p.Stdout, p.Stderr = term.File, term.File, term.File
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}

	go func() {
		defer close(p.ended)
		p.err = p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // it has mostly ended by itself
		<-p.ended
	})
	return p
}

// requireRestored waits for the normal end of a live screen, and requires that the terminal is as before.
func requireRestored(t *testing.T, p *process, term *terminal.Terminal) {
	t.Helper()
	if code := p.exit(t); code != exitComplete {
		t.Errorf("exit code %d", code)
	}
	fmt.Fprintln(term.File, "after")
	text := term.Await(t, `(?m)^before\n(.*\n)*after$`)
	if term.CursorHidden() || term.Alternate() || strings.Contains(text, "Uploads\n") {
		t.Errorf("cursor hidden: %t, alternate screen: %t, text:\n%s", term.CursorHidden(), term.Alternate(), text)
	}
}

// TestWatchOnATerminal sees an upload come, and quits.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	i, source := install(t, build(t), engines()[0]), filepath.Join(t.TempDir(), "film")
	noError(t, writeSparse(filepath.Join(source, "zeros"), 8<<30))
	i.run(t, "space", "add", "default")

	term := terminal.New(t, 90, 40)
	fmt.Fprintln(term.File, "before")
	watching := i.startOn(t, term, "status", "--watch")
	term.Await(t, `(?s)^guppy status.*Uploads\nno unfinished uploads\n.*nobody is at work`)
	if !term.Alternate() {
		t.Error("it is not on the alternate screen")
	}

	packing := i.start(t, "prepare", source, "--shard-size", "16MiB", "--workers", "1")
	term.Await(t, `upload 1  default/film  packing for`)
	term.Await(t, `(?s)upload 1, shard \d+ .*Stores\nNAME +WHERE`)

	// A smaller terminal shows less, and the rest is scrolled to.
	term.Resize(t, 60, 12)
	term.Await(t, `(?s)^guppy status[^\n]*\nUploads\n.*q quits  more below: .*\n$`)
	term.Type(t, "G")
	term.Await(t, `(?s)shards.*q quits  more above: .*\n$`)
	term.Type(t, "\x1b[5~\x1b[5~\x1b[5~kkkkkkkkkk")
	term.Await(t, `^guppy status[^\n]*\nUploads\n`)

	term.Type(t, "q")
	requireRestored(t, watching, term)

	send(t, packing, syscall.SIGTERM)
	packing.exit(t)
}

func TestWatchIsInterrupted(t *testing.T) {
	t.Parallel()
	i := install(t, build(t), engines()[0])
	i.run(t, "space", "add", "default")
	for name, interrupt := range map[string]func(*process, *terminal.Terminal){
		"Ctrl-C":  func(_ *process, term *terminal.Terminal) { term.Type(t, "\x03") },
		"Esc":     func(_ *process, term *terminal.Terminal) { term.Type(t, "\x1b") },
		"SIGTERM": func(p *process, _ *terminal.Terminal) { send(t, p, syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			term := terminal.New(t, 80, 24)
			fmt.Fprintln(term.File, "before")
			watching := i.startOn(t, term, "status", "--watch")
			term.Await(t, "no unfinished uploads")
			interrupt(watching, term)
			requireRestored(t, watching, term)
		})
	}
}

// TestWatchGoesOnWhenTheDatabaseIsBack stops the server below a live screen.
func TestWatchGoesOnWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	i := install(t, build(t), engine{"postgres", func(testing.TB) string { return server.URL() }})
	i.run(t, "space", "add", "default")

	term := terminal.New(t, 80, 24)
	fmt.Fprintln(term.File, "before")
	watching := i.startOn(t, term, "status", "--watch")
	term.Await(t, "no unfinished uploads")

	server.Stop(pgtest.Fast)
	term.Await(t, `(?s)^guppy status  as of \d\d:\d\d:\d\d, \d+s ago\n(the database|no sample: .*Uploads\nno unfinished)`)
	term.Await(t, `(?s)^guppy status  as of \d\d:\d\d:\d\d, \d+s ago\nno sample: .*Uploads\nno unfinished`)
	server.Start()
	term.Await(t, `^guppy status  \d\d:\d\d:\d\d\nUploads`)

	term.Type(t, "q")
	requireRestored(t, watching, term)
}

// TestWatchWithoutATerminal requires that a terminal that can't move its cursor gets one block after another.
func TestWatchWithoutATerminal(t *testing.T) {
	t.Parallel()
	i := install(t, build(t), engines()[0])
	i.run(t, "space", "add", "default")
	term := terminal.New(t, 80, 24)
	i.env = []string{"TERM=dumb"}
	p := &process{Cmd: i.command("status", "--watch")}
	p.Stdin, p.Stdout, p.Stderr = term.File, term.File, term.File
	noError(t, p.Start())

	term.Await(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nno unfinished uploads\n\d{4}-`)
	send(t, p, syscall.SIGTERM)
	noError(t, p.Wait())
}
