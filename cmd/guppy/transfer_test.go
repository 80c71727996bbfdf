package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestResumeShowsNoPasswords(t *testing.T) {
	const secret = "postgres://user:hunter2@host/db"
	for _, args := range [][]string{
		{"guppy", "transfer", "--from", secret, "--to", "plain.db"}, {"guppy", "transfer", "--to=" + secret},
		{"guppy", "transfer", "--from=" + secret, "--to", secret}, {"guppy", "prepare", "--database-url", secret},
		{"guppy", "prepare", "--database-url=" + secret},
	} {
		var out bytes.Buffer
		printResume(&out, commandLine(args))
		if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "@host/db") {
			t.Errorf("%q is shown as %s", args, &out)
		}
	}

	var out bytes.Buffer
	printResume(&out, commandLine([]string{"guppy", "transfer", "--from", "a=b.db", "--to", "c.db", "d"}))
	if !strings.HasSuffix(out.String(), "guppy transfer --from a=b.db --to c.db d\n") {
		t.Errorf("shown is %s", &out)
	}
}
