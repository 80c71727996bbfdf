package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		{[]string{"find", "odd*"}, `(?m)^UPLOADED .*\n.* bafkrei\w{3}…\w{6} .*odd.x1b`, exitComplete},
		{[]string{"ls", "1"}, `(?m)odd.x1b`, exitComplete},
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
