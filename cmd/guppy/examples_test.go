package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// leastExamples and mostExamples are the numbers of command lines that the examples of a command have.
const leastExamples, mostExamples = 2, 3

// exampleOf is a command line of the examples of a command.
type exampleOf struct {
	command *cobra.Command
	line    string
}

// allExamples returns the lines of all examples that are not comments.
func allExamples(root *cobra.Command) (all []exampleOf) {
	for line := range strings.Lines(root.Example) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, exampleOf{root, line})
		}
	}
	for _, below := range root.Commands() {
		all = append(all, allExamples(below)...)
	}
	return all
}

// rootForTests returns the commands, not to be run.
func rootForTests() *cobra.Command { return (&app{}).rootCommand() }

// commandPaths returns the names of all commands, also of those that only have others below them.
func commandPaths(command *cobra.Command) []string {
	paths := []string{command.CommandPath()}
	for _, below := range command.Commands() {
		paths = append(paths, commandPaths(below)...)
	}
	return paths
}

func TestEachCommandHasExamples(t *testing.T) {
	root := rootForTests()
	lines, own := map[string]int{}, map[string]int{}
	for _, example := range allExamples(root) {
		path := example.command.CommandPath()
		lines[path]++
		if strings.HasPrefix(example.line, path) {
			own[path]++
		}
	}
	for _, path := range commandPaths(root) {
		if own[path] < leastExamples || lines[path] > mostExamples {
			t.Errorf("%s has %d examples, and %d lines in all", path, own[path], lines[path])
		}
	}

	for _, heading := range regexp.MustCompile(`(?m)^\S.*$`).FindAllString(examples, -1) {
		words := strings.Fields(heading)[1:]
		if command, rest, err := root.Find(words); err != nil || len(rest) > 0 || command.CommandPath() != heading {
			t.Errorf("there are examples of %s, and there is no such command", heading)
		}
	}
}

// TestExamplesAreRightCommandLines takes each example apart as the program does. It does not run them.
func TestExamplesAreRightCommandLines(t *testing.T) {
	for _, example := range allExamples(rootForTests()) {
		line, isGuppy := strings.CutPrefix(example.line, "guppy ")
		if !isGuppy {
			continue
		}

		// A shell takes the words apart.
		line = regexp.MustCompile(` [|>] .*`).ReplaceAllString(line, "")
		words, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+line).Output()
		if err != nil {
			t.Fatal(err)
		}

		command, rest, err := rootForTests().Find(strings.Split(strings.TrimSpace(string(words)), "\n"))
		if err == nil {
			err = command.ParseFlags(rest)
		}
		if err == nil {
			err = command.ValidateArgs(command.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %s: %v", example.command.CommandPath(), example.line, err)
		}
	}
}

// notRun matches the examples that TestExamplesRun leaves out: those that run until they are interrupted, that need a
// server, and that need a shard that nobody needs or a clone of guppy.
var notRun = regexp.MustCompile(`--watch|^guppy serve|^guppy worker (--database|--source)|postgres://|s3://|` +
	`^guppy shard rm|^guppy migrate create`)

// beforeExamples makes what the examples name.
const beforeExamples = `mkdir -p ../mnt/nas ../mnt/vault ../mnt/disk && cp -a photos ../mnt/scans
mkdir -p ~/.local/share/bash-completion/completions ~/.zsh/completions ~/.config/fish/completions
guppy store add nas /mnt/nas
guppy store add vault /mnt/vault
guppy space add photos
guppy space add archive
guppy space add drafts
guppy store default photos nas
guppy prepare photos --space photos
echo 'one more' > photos/new.txt
guppy prepare photos --space photos
guppy source add photos /mnt/scans
mkdir notes && guppy source add drafts notes
guppy backup saved.backup
echo 'log: {level: warn}' > config.yaml
mkdir ../saved && cp -a ../home ../work ../mnt ../saved`

// restoreState undoes what the examples of the last command did.
const restoreState = `cd .. && rm -rf home work mnt && cp -a saved/. . && cd work`

// TestExamplesRun runs the examples of each command, in their order, in a directory that has what they name.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	var commands []*shownCommand
	add := func(where, line string) {
		line = strings.ReplaceAll(line, "/mnt/", "../mnt/")
		commands = append(commands, &shownCommand{where: where, command: line})
	}

	for line := range strings.Lines(strings.ReplaceAll(beforeExamples, "../mnt/", "/mnt/")) {
		add("before the examples", strings.TrimSpace(line))
	}

	last := ""
	for _, example := range allExamples(rootForTests()) {
		path := example.command.CommandPath()
		if path != last {
			add(path, restoreState)
		}
		last = path
		if !notRun.MatchString(example.line) {
			add(path, example.line)
		}
	}

	for i, ran := range runCommands(t, commands) {
		commands[i].check(t, ran)
	}
}
