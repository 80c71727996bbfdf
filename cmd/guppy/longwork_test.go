package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// shortCommands are the commands that need no progress, and why.
var shortCommands = map[string]string{
	"config show": "reads files only", "completion": "writes a text", "help": "writes a text", "version": "writes a text",
	"migrate create": "writes two files", "migrate force": "changes one row", "migrate list": "lists files",
	"migrate status": "compares two lists", "migrate version": "reads one row",

	"db info": "asks for a few numbers", "status": "reads counters", "store ls": "reads a few rows",
	"serve": "logs what it does until it is interrupted",

	"space add": "changes one row", "space ls": "reads a few rows", "space rename": "changes one row",
	"space set": "changes one row", "space rm": "removes a row that nothing needs",
	"source add": "changes one row", "source ls": "reads a few rows", "source mv": "changes one row",
	"source show": "reads one row", "source rm": "changes one row",
	"store add": "changes one row", "store set": "changes one row", "store default": "changes one row",
	"store rm": "removes a row that nothing needs", "upload tag": "changes a few rows",

	"upload ls": "prints rows as they are read", "upload show": "prints rows as they are read",
	"shard ls": "prints rows as they are read", "index ls": "prints rows as they are read",
	"index cat": "an index has a limited number of slices",
}

// TestEveryCommandIsLongOrShort requires that the tests of progress run each command that is not known to be short.
func TestEveryCommandIsLongOrShort(t *testing.T) {
	var long []string
	root := rootForTests()
	for _, command := range longCommands(t, &installation{home: t.TempDir()}) {
		found, _, err := root.Find(command.args)
		noError(t, err)
		long = append(long, strings.TrimPrefix(found.CommandPath(), "guppy "))
	}

	names := commandNames(root, "")
	for _, name := range names {
		_, short := shortCommands[name]
		if short == slices.Contains(long, name) {
			t.Errorf("guppy %s: is it short (%t), or is its progress tested (%t)?", name, short, !short)
		}
	}
	for name := range shortCommands {
		if !slices.Contains(names, name) {
			t.Errorf("there is no command %s", name)
		}
	}
}

// leaveHalf kills a run so that an upload is packed in part.
func (i *installation) leaveHalf(t *testing.T) {
	t.Helper()
	source := filepath.Join(i.home, "half")
	noError(t, writeRandom(source, 40, 600_000))
	before, err := filepath.Glob(filepath.Join(i.store(), "*.car"))
	noError(t, err)

	killed := i.start(t, "prepare", source, "--space", "half", "--shard-size", "1MiB", "--workers", "1")
	if !i.running(killed, len(before)+2) {
		t.Fatalf("it was over too early: %s", &killed.stderr)
	}
	send(t, killed, syscall.SIGKILL)
	killed.exit(t)
}

// addStray makes a shard that no upload needs. It comes from another repository.
func (i *installation) addStray(t *testing.T) {
	t.Helper()
	source, other := filepath.Join(i.home, "stray"), filepath.Join(i.home, "other")
	noError(t, writeFile(filepath.Join(source, "file"), []byte("of no upload")))
	i.run(t, "--data-dir", other, "prepare", source)
	name := strayShard(t, i) + ".car"
	content, err := os.ReadFile(filepath.Join(other, "shards", name))
	noError(t, err)
	noError(t, writeFile(filepath.Join(i.store(), name), content))

	db, err := sql.Open("sqlite", filepath.Join(i.home, ".guppy", "guppy.db"))
	noError(t, err)
	defer db.Close() //nolint:errcheck // it was written
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"ATTACH '" + filepath.Join(other, "guppy.db") + "' AS other",
		"UPDATE counters SET value = 1001 WHERE name = 'shards'",
		`INSERT INTO shards (id, upload, ordinal, kind, state, token, planned_size, chunks, size, content, nodes, digest,
		blob_index) SELECT 1000, 1, 1000, 2, 3, 0, 0, 0, size, 0, nodes, digest, 1 FROM other.shards WHERE id = 1`,
		`INSERT INTO nodes (prefix, shard, position, length, codec, suffix)
		SELECT prefix, 1000, position, length, codec, suffix FROM other.nodes WHERE shard = 1`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		noError(t, err)
	}
}

// strayShard returns the shard of addStray, once there is one.
func strayShard(t *testing.T, i *installation) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(i.home, "other", "shards", "*.car"))
	noError(t, err)
	if len(found) == 0 {
		return "none"
	}
	return strings.TrimSuffix(filepath.Base(found[0]), ".car")
}
