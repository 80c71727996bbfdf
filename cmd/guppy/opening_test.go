package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"

	"github.com/guppy-prep/guppy/internal/display"
)

// someCID is the CID of an empty raw block, someShard the CID of an empty CAR.
const (
	someCID   = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	someShard = "bagbaiera4oymiquy7qobjgx36tejs35zeqt24qpemsnzgtfeswmrw6csxbkq"
)

// needing holds the commands that need the content of a repository, with suitable arguments.
var needing = map[string][]string{
	"upload":        {"space"},
	"upload ls":     {},
	"upload rm":     {"1", "--yes"},
	"upload tag":    {"1", "--add", "tag"},
	"upload prune":  {"space", "--keep-last", "1", "--yes"},
	"worker":        {},
	"status":        {},
	"space ls":      {},
	"source add":    {"space", "."},
	"source ls":     {"space"},
	"source show":   {"space", "source"},
	"source rm":     {"space", "source"},
	"dump":          {},
	"db info":       {},
	"gc":            {"--yes"},
	"check":         {"--repair", "--yes"},
	"transfer":      {"--to", "target.db"},
	"backup":        {"kept.db"},
	"ls":            {someCID},
	"retrieve":      {someCID, "out"},
	"verify":        {someCID},
	"export":        {someCID, "-o", "out.car"},
	"diff":          {"1", "2"},
	"find":          {"*"},
	"stats":         {},
	"serve":         {"--listen", "127.0.0.1:0"},
	"shard ls":      {},
	"shard cat":     {someShard, "-o", "out.car"},
	"shard rm":      {someShard, "--yes"},
	"index ls":      {},
	"store ls":      {},
	"store set":     {"name", "."},
	"store sync":    {"from", "to"},
	"store rm":      {"name"},
	"store default": {"space", "name"},
	"index cat":     {someShard, "-o", "out.idx"},
	"space rename":  {"space", "new"},
	"space set":     {"space", "--shard-size", "2MiB"},
	"space rm":      {"space"},
	"source mv":     {"space", "source", "."},
	"upload show":   {"1"},
}

// otherwise holds the commands that make a repository, look at a schema that may not exist yet, or need no
// repository.
var otherwise = []string{
	"prepare", "space add", "restore",
	"migrate up", "migrate down", "migrate goto", "migrate force", "migrate version", "migrate status", "migrate list",
	"migrate create", "config show", "store add", "store copy", "store check", "completion", "help", "version",
}

// commandNames returns the commands that do something, by the words that call them.
func commandNames(command *cobra.Command, words string) (names []string) {
	helps := command.Name() != "upload" // of the commands above others, only this one does something
	for _, below := range command.Commands() {
		names = append(names, commandNames(below, strings.TrimSpace(words+" "+below.Name()))...)
	}
	if len(names) == 0 || !helps {
		names = append(names, words)
	}
	return names
}

// TestEveryCommandIsClassified requires that each command is listed as one that needs a repository or does not.
func TestEveryCommandIsClassified(t *testing.T) {
	var known []string
	for name := range needing {
		known = append(known, name)
	}
	known = append(known, otherwise...)
	a := &app{stdout: os.Stdout, screen: display.NewScreen(os.Stderr, nil)}
	names := commandNames(a.rootCommand(), "")
	slices.Sort(known)
	slices.Sort(names)
	if !slices.Equal(known, names) {
		t.Errorf("classified are %q, the commands are %q", known, names)
	}
}

// runAlone runs a command line in this process, in an empty directory and with an empty home.
func runAlone(t *testing.T, args ...string) (code int, stderr, home string) {
	t.Helper()
	top := t.TempDir()
	t.Chdir(top)
	home = filepath.Join(top, "home")
	must(t, os.Mkdir(home, 0o700))
	t.Setenv("HOME", home)

	output, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	must(t, err)
	defer output.Close() //nolint:errcheck // it is read by name

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	code = run(ctx, args, []string{"HOME=" + home}, io.Discard, output)
	text, err := os.ReadFile(output.Name())
	must(t, err)
	return code, string(text), home
}

// TestWhatIsMissingIsNotMade requires that a command names a misspelt place by its path and creates nothing
// there.
func TestWhatIsMissingIsNotMade(t *testing.T) {
	for name, more := range needing {
		args := append(strings.Fields(name), more...)
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for _, misspelt := range [][]string{{"--data-dir", "nowhere"}, {"--database-url", "./nowhere/guppy.db"},
				{"--database-url", "./nowhere.db"}, {}} {
				code, stderr, home := runAlone(t, append(slices.Clone(args), misspelt...)...)

				path := filepath.Join(home, ".guppy")
				if len(misspelt) == 2 {
					path = filepath.Join(filepath.Dir(home), misspelt[1])
				}
				if code != exitDatabase || !strings.Contains(stderr, path) {
					t.Errorf("with %q: exit code %d, and %s", misspelt, code, stderr)
				}

				requireNothing(t, filepath.Dir(home))
			}
		})
	}
}

// TestASchemaIsNotLookedForNowhere requires that a named data directory exists.
func TestASchemaIsNotLookedForNowhere(t *testing.T) {
	for _, name := range []string{"version", "list", "status"} {
		code, stderr, home := runAlone(t, "migrate", name, "--data-dir", "nowhere")
		if code != exitDatabase || !strings.Contains(stderr, filepath.Join(filepath.Dir(home), "nowhere")) {
			t.Errorf("migrate %s: exit code %d, and %s", name, code, stderr)
		}
		requireNothing(t, filepath.Dir(home))
	}
}

func requireNothing(t *testing.T, top string) {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		found = append(found, path)
		return err
	}))
	if len(found) != 2 { // the directory itself and the home
		t.Errorf("there are %q", found)
	}
}

// TestAnEmptyServerStaysEmpty requires that commands which need the content of tables create neither a schema nor
// tables.
func TestAnEmptyServerStaysEmpty(t *testing.T) {
	url := pgtest.URL(t)
	db, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret(url)})
	must(t, err)
	defer func() { must(t, db.Close()) }()

	for name, more := range needing {
		args := append(append(strings.Fields(name), more...), "--database-url", url)
		code, stderr, home := runAlone(t, args...)
		if code != exitDatabase || !strings.Contains(stderr, "it has no tables") {
			t.Errorf("%s: exit code %d, and %s", name, code, stderr)
		}
		requireNothing(t, filepath.Dir(home))
	}

	var made int
	must(t, db.Reader.GetContext(t.Context(), &made, `SELECT (SELECT COUNT(*) FROM pg_tables WHERE schemaname NOT IN
		('pg_catalog', 'information_schema')) + (SELECT COUNT(*) FROM pg_namespace
		WHERE nspname !~ '^(pg_|information_schema|public)')`))

	if made != 0 {
		t.Errorf("%d tables and schemas were made", made)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
