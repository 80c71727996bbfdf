package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/testing/terminal"
)

// TestListsKnowTheTerminal prints lists on a terminal, also above bars, with a name that would color it.
func TestListsKnowTheTerminal(t *testing.T) {
	t.Parallel()
	i, source := install(t, build(t), engines()[0]), filepath.Join(t.TempDir(), "source")
	noError(t, os.Mkdir(source, 0o700))
	noError(t, os.WriteFile(filepath.Join(source, "odd\x1b[35mname"), []byte("content"), 0o600))
	i.run(t, "prepare", source)

	for _, test := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"find", "odd*"}, `(?m)^FINISHED .*\n.* bafkrei\w{3}…\w{6} .*odd.(x1b|033)`, exitComplete},
		{[]string{"ls", "1"}, `(?m)odd.(x1b|033)`, exitComplete},
		{[]string{"ls", "1", "-l"},
			`(?m)^KIND +SIZE +CID +NAME\s*\n.*file +7 +bafkrei\w{3}…\w{6} +.*odd.(x1b|033)`, exitComplete},
		{[]string{"ls", "1", "-lh", "--tree"},
			`(?m)^KIND +SIZE .*\n.*directory .*\n.*7 B +bafkrei\w{3}…\w{6} +└── .*odd.(x1b|033)`, exitComplete},
		{[]string{"ls", "1", "-l", "--full"}, `(?m)file +7 +bafkrei\w{50,} +.*odd.(x1b|033)`, exitComplete},
		{[]string{"find", "odd*", "--format", "{{.path}}"}, `(?m)odd.x1b\[35mname$`, exitComplete},
		{[]string{"ls", "1", "--format", "{{.path}}"}, `(?m)odd.x1b\[35mname$`, exitComplete},
		{[]string{"ls", "1/none\x1b[35mX"}, `none.*x1b\[35mX`, exitFailure},
	} {
		term := terminal.New(t, 250, 30)
		p := i.startOn(t, term, test.args...)
		term.Await(t, test.want)
		if code := p.exit(t); code != test.code {
			t.Errorf("%q: exit code %d", test.args, code)
		}

		output := term.Output()
		if strings.Contains(output, "\x1b[35m") {
			t.Errorf("%q: the name colors the terminal: %q", test.args, output)
		}
		if test.args[0] == "find" && len(test.args) == 2 && !strings.Contains(output, "\x1b[1m") {
			t.Errorf("%q: no header stands out: %q", test.args, output)
		}
	}
}

// TestListsFitTheTerminal prints lists with long names on a narrow terminal.
func TestListsFitTheTerminal(t *testing.T) {
	t.Parallel()
	i, source := install(t, build(t), engines()[0]), filepath.Join(t.TempDir(), "source")
	directory := filepath.Join(source, strings.Repeat("directory", 10))
	noError(t, os.MkdirAll(directory, 0o700))
	noError(t, os.WriteFile(filepath.Join(directory, strings.Repeat("file", 20)+".txt"), []byte("content"), 0o600))
	i.run(t, "prepare", source, "--piece-cid", "--tag", strings.Repeat("tag", 10))
	noError(t, os.WriteFile(filepath.Join(directory, "another"), []byte("more"), 0o600))
	i.run(t, "prepare", source)

	const width = 80
	for _, args := range [][]string{
		{"upload", "ls"}, {"ls", "default"}, {"shard", "ls"}, {"index", "ls"}, {"store", "ls"}, {"space", "ls"},
		{"source", "ls", "default"}, {"find", "file*"}, {"diff", "1", "2"}, {"config", "show"}, {"stats", "1"},
		{"retrieve", "1", filepath.Join(t.TempDir(), "out"), "--dry-run"},
		{"upload", "prune", "default", "--keep-last", "1", "--dry-run"},
	} {
		// Only the lines of tables have to fit: those with two spaces between columns.
		widest := func(args []string) (widest int) {
			term := terminal.New(t, width, 100)
			p := i.startOn(t, term, append([]string{"--progress", "none"}, args...)...)
			code := p.exit(t)
			if text := lastScreen(t, term); code != exitComplete {
				t.Fatalf("%q: exit code %d: %s", args, code, text)
			}
			for line := range strings.Lines(display.Plain(term.Output())) {
				if line = strings.TrimSpace(line); strings.Contains(line, "  ") {
					widest = max(widest, ansi.StringWidth(line))
				}
			}
			return widest
		}

		if widest := widest(args); widest > width || widest == 0 {
			t.Errorf("%q: a line is %d wide on a terminal of %d", args, widest, width)
		}
		if args[0] == "find" && widest(append(args, "--full")) <= width {
			t.Errorf("%q --full is shortened", args)
		}
	}
}

// TestProblemsAreShortOnATerminal verifies an upload whose shards are gone.
func TestProblemsAreShortOnATerminal(t *testing.T) {
	t.Parallel()
	i, source := install(t, build(t), engines()[0]), filepath.Join(t.TempDir(), "source")
	noError(t, os.Mkdir(source, 0o700))
	noError(t, os.WriteFile(filepath.Join(source, "file"), []byte("content"), 0o600))
	prepared := uploadView{contentCounts: &contentCounts{}}
	noError(t, json.Unmarshal([]byte(i.run(t, "prepare", source, "--json")), &prepared))
	shards, err := filepath.Glob(filepath.Join(i.store(), "*.car"))
	noError(t, err)
	for _, shard := range shards {
		noError(t, os.Remove(shard))
	}

	root := prepared.RootCID[:10] + "…" + prepared.RootCID[len(prepared.RootCID)-6:]
	for name, shown := range map[string]string{"1": "1", prepared.RootCID: root} {
		term := terminal.New(t, 120, 30)
		i.startOn(t, term, "verify", name)
		term.Await(t, `(?m)^missing: `+shown+`: the file of its shard is gone \(block `+root+
			` at 55 of shard bag\w{7}…\w{6}\)$`)
	}
}
