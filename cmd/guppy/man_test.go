package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var manDirectory = flag.String("man", "", "write the manual pages into a directory")

// manFiles and manEnvironment are sections of the page of guppy, in Markdown.
const (
	manFiles = "**~/.guppy**\n" +
		": The data directory (**--data-dir**): the database guppy.db, the private keys of spaces in keys, and the store\n" +
		"shards, unless others are named.\n\n" +
		"**$XDG_CONFIG_HOME/guppy/config.yaml**, **config.yml**, **config.toml**\n" +
		": The configuration file, the first of them that exists, unless **--config** names one. XDG\\_CONFIG\\_HOME is\n" +
		"~/.config by default.\n\n" +
		"**.guppy-store**\n" +
		": The marker in each store, which tells it from others.\n"
	manEnvironment = "**GUPPY\\_DATA\\_DIR**, **GUPPY\\_DATABASE\\_TYPE**, **GUPPY\\_DATABASE\\_URL**\n" +
		": Like **--data-dir**, **--database-type** and **--database-url**.\n\n" +
		"**GUPPY\\_SECTION\\_KEY**\n" +
		": Any setting, such as GUPPY\\_PREPARE\\_WORKERS for prepare.workers. A flag overrides the environment, which\n" +
		"overrides the configuration file. **guppy config show** lists the settings, and where each comes from.\n\n" +
		"**AWS\\_ACCESS\\_KEY\\_ID**, **AWS\\_SECRET\\_ACCESS\\_KEY**, **AWS\\_PROFILE**, **AWS\\_REGION**\n" +
		": The keys for buckets, or the profile that has them, and the region.\n\n" +
		"**PGHOST**, **PGPASSFILE** and other variables of PostgreSQL\n" +
		": What a URL of a database leaves open.\n"
)

// TestManPages writes the manual page of each command, into the directory of the flag -man or a temporary one.
func TestManPages(t *testing.T) {
	dir := *manDirectory
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	root := rootForTests()
	pages := preparePages(root)
	root.Long += "\n\n# EXIT STATUS\n\n```\n" + strings.TrimPrefix(exitHelp, "\nExit codes:\n") + "```\n" +
		"\n# FILES\n\n" + manFiles + "\n# ENVIRONMENT\n\n" + manEnvironment
	header := &doc.GenManHeader{Section: "1", Source: "guppy", Manual: "guppy manual"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}

	for file, command := range pages {
		page, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
			continue
		}
		wanted := []string{".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH SEE ALSO"}
		if command.HasExample() {
			wanted = append(wanted, ".SH EXAMPLE")
		}
		if command == root {
			wanted = append(wanted, ".SH EXIT STATUS", ".SH FILES", ".SH ENVIRONMENT", "130  interrupted", "~/.guppy")
		}
		for _, text := range wanted {
			if !strings.Contains(string(page), text) {
				t.Errorf("%s lacks %q", file, text)
			}
		}
	}
}

// preparePages makes the texts of a command, and of all below it, fit for Markdown. It returns their pages' names.
func preparePages(command *cobra.Command) map[string]*cobra.Command {
	command.DisableAutoGenTag = true
	command.Long = asMarkdown(describe(command))
	pages := map[string]*cobra.Command{strings.ReplaceAll(command.CommandPath(), " ", "-") + ".1": command}
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() {
			for file, page := range preparePages(below) {
				pages[file] = page
			}
		}
	}
	return pages
}

// asMarkdown keeps the lines of paragraphs that have some indented, such as lists of fields. In others, nothing is
// taken for mark-up.
func asMarkdown(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, paragraph := range paragraphs {
		if strings.Contains("\n"+paragraph, "\n ") {
			paragraphs[i] = "```\n" + paragraph + "\n```"
			continue
		}
		paragraphs[i] = markup.Replace(paragraph)
	}
	return strings.Join(paragraphs, "\n\n")
}

var markup = strings.NewReplacer(`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `<`, `\<`, `[`, `\[`, `]`, `\]`,
	`#`, `\#`)
