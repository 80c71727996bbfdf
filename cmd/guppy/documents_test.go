package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/store/s3test"
	"github.com/guppy-prep/guppy/internal/testing/documents"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// What the documents name and a test has a real one of.
const (
	documentProgram  = "go run ./cmd/guppy"
	documentDatabase = "postgres://guppy@db.example.org/guppy"
	documentStore    = "s3://bucket/prefix?endpoint=https://storage.example.org&region=eu-1"
)

// TestDocuments runs the commands that the documents show in console blocks. A document's commands run in one shell, in
// a new directory that has testdata/sample, and a copy of it called photos. Each has to end with 0 and to print what
// the document shows below it, where "..." stands for anything. Nothing below a command stands for any output.
func TestDocuments(t *testing.T) {
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range all {
		commands := shownCommands(document)
		if len(commands) == 0 {
			continue
		}
		t.Run(document.Path, func(t *testing.T) {
			t.Parallel()
			for i, ran := range runCommands(t, commands) {
				commands[i].check(t, ran)
			}
		})
	}
}

// shownCommand is a command of a document, and the output that it shows.
type shownCommand struct {
	where, command string
	output         []string
}

// ranCommand is how a command ended.
type ranCommand struct{ code, output string }

func shownCommands(document documents.Document) (commands []*shownCommand) {
	for _, block := range document.Blocks {
		if block.Info != "console" {
			continue
		}
		for i, line := range block.Lines {
			command, isCommand := strings.CutPrefix(line, "$ ")
			if isCommand {
				where := fmt.Sprintf("%s:%d", document.Path, block.Line+1+i)
				commands = append(commands, &shownCommand{where: where, command: command})
			} else if len(commands) > 0 {
				last := commands[len(commands)-1]
				last.output = append(last.output, line)
			}
		}
	}
	return commands
}

// commandEnd is printed after each command, followed by its exit code.
const commandEnd = "\x1e"

// runCommands runs commands in one shell, so that each sees the variables and files of those before it.
func runCommands(t *testing.T, commands []*shownCommand) (ran []ranCommand) {
	t.Helper()
	top := t.TempDir()
	home, work := filepath.Join(top, "home"), filepath.Join(top, "work")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sample := range []string{"testdata/sample", "photos"} {
		if err := os.CopyFS(filepath.Join(work, sample), os.DirFS("../../testdata/sample")); err != nil {
			t.Fatal(err)
		}
	}

	script := "exec 2>&1\n"
	for _, c := range commands {
		script += c.command + "\nprintf '" + commandEnd + "%d" + commandEnd + "' $?\n"
	}
	environ := []string{quickExit, "HOME=" + home, "PATH=" + os.Getenv("PATH")}
	script = strings.ReplaceAll(script, documentProgram, "guppy")
	if strings.Contains(script, documentDatabase) {
		script = strings.ReplaceAll(script, documentDatabase, pgtest.URL(t))
	}
	if strings.Contains(script, documentStore) {
		script = strings.ReplaceAll(script, documentStore, s3test.StartAlone(t).Bucket)
		for name, value := range s3test.Environ() {
			environ = append(environ, name+"="+value)
		}
	}

	file := filepath.Join(top, "commands.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "sh", file)
	shell.Dir, shell.Env = work, environ
	output, err := shell.CombinedOutput()
	parts := strings.Split(string(output), commandEnd)
	if err != nil || len(parts) != 2*len(commands)+1 {
		t.Fatalf("%v after\n%s", err, output)
	}
	for i := range commands {
		ran = append(ran, ranCommand{output: parts[2*i], code: parts[2*i+1]})
	}
	return ran
}

// check compares how a command ended with what the document shows.
func (c *shownCommand) check(t *testing.T, ran ranCommand) {
	t.Helper()
	if ran.code != "0" {
		t.Errorf("%s: %s: exit code %s\n%s", c.where, c.command, ran.code, ran.output)
		return
	}
	if len(c.output) == 0 {
		return
	}

	pattern := `(?s)^`
	for _, line := range c.output {
		if line == "..." {
			pattern += `.*`
			continue
		}
		pattern += strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `[^\n]*`) + `\n`
	}
	if !regexp.MustCompile(pattern + `$`).MatchString(ran.output) {
		t.Errorf("%s: %s\nprints\n%sthe document has\n%s", c.where, c.command, ran.output, strings.Join(c.output, "\n"))
	}
}
