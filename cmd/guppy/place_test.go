package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// TestCommandsAreToldWhereTheRepositoryIs puts flags into sentences with any number of commands.
func TestCommandsAreToldWhereTheRepositoryIs(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"nobody is at work on it: guppy worker or guppy upload a many continues it",
			"nobody is at work on it: guppy worker F or guppy upload F a many continues it"},
		{"guppy: guppy status shows who is at work", "guppy: guppy status F shows who is at work"},
		{"(guppy shard ls, guppy index ls).", "(guppy shard ls F, guppy index ls F)."},
		{"guppy source add a /src --name b && guppy upload a b\nguppy gc",
			"guppy source add F a /src --name b && guppy upload F a b\nguppy gc F"},
		{"run: guppy migrate up", "run: guppy migrate up F"},
		{"guppy gc --yes, guppy check --repair --yes.", "guppy gc F --yes, guppy check F --repair --yes."},

		// Some have been told already, and some are no commands.
		{"guppy ls ROOT --data-dir elsewhere; guppy gc", "guppy ls ROOT --data-dir elsewhere; guppy gc F"},
		{"use the newer guppy that migrated it, or guppy -v", "use the newer guppy that migrated it, or guppy -v"},
		{"/my-guppy check", "/my-guppy check"},
		{"guppy", "guppy"},
	} {
		a := newApp([]string{"status", "--data-dir", "my dir", "--config=c"}, nil, nil, os.Stderr)
		a.root = a.rootCommand()
		want := strings.ReplaceAll(test.want, " F", " --data-dir 'my dir' --config=c")
		if got := a.placed(test.text); got != want {
			t.Errorf("%q becomes\n%q, want\n%q", test.text, got, want)
		}
		if again := a.placed(want); again != want {
			t.Errorf("%q becomes\n%q", want, again)
		}

		a.args = []string{"status"}
		if got := a.placed(test.text); got != test.text {
			t.Errorf("%q becomes %q without a place", test.text, got)
		}
	}
}

// TestNamesInResultsStay prints a result with a name that looks like a command.
func TestNamesInResultsStay(t *testing.T) {
	var out strings.Builder
	a := newApp([]string{"status", "--data-dir", "d"}, nil, &out, os.Stderr)
	a.root = a.rootCommand()
	noError(t, a.print(nil, func(w io.Writer) {
		fmt.Fprintf(w, "source  /mnt/the guppy ls\nnext    %sls 1/a or %[1]sgc --yes of guppy ls\n", toRun)
	}))
	want := "source  /mnt/the guppy ls\nnext    guppy ls --data-dir d 1/a or guppy gc --data-dir d --yes of guppy ls\n"
	if out.String() != want {
		t.Errorf("printed %q", &out)
	}
}

// TestMarksDoNotGetOut is of the check that every command of a script undergoes.
func TestMarksDoNotGetOut(t *testing.T) {
	if err := markless("run: " + toRun + " gc"); err == nil {
		t.Error("a mark got out")
	}
	a := &app{}
	if err := markless("find -0: a\x00b" + a.placedResult("run: "+toRun+" gc")); err != nil {
		t.Error(err)
	}
}
