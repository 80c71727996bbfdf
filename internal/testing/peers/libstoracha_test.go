// Package peers_test has go-libstoracha read the indexes that guppy writes. It is a module of its own: that library
// brings many modules which guppy has no use for.
package peers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/storacha/go-libstoracha/blobindex"
)

// guppy runs the program that GUPPY names.
func guppy(t *testing.T, home string, args ...string) []byte {
	t.Helper()
	command := exec.Command(os.Getenv("GUPPY"), args...)
	command.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home,
		"GUPPY_DATA_DIR="+filepath.Join(home, "data"))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("guppy %v: %v\n%s", args, err, &stderr)
	}
	return output
}

// TestIndexes compares an index with what the library makes of it.
func TestIndexes(t *testing.T) {
	home := t.TempDir()
	tree := filepath.Join(home, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		content := bytes.Repeat(fmt.Appendf(nil, "%d", i), 10*i)
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprint(i)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	report := struct {
		RootCID string `json:"root_cid"`
		Shards  []struct {
			Nodes int `json:"block_count"`
		}
	}{}
	decode(t, guppy(t, home, "prepare", tree, "--shard-size", "128KiB", "--json"), &report)
	var list struct{ Indexes []struct{ CID string } }
	decode(t, guppy(t, home, "index", "ls", "--json"), &list)
	shards, slices := 0, 0
	for _, index := range list.Indexes {
		file := filepath.Join(home, index.CID)
		guppy(t, home, "index", "cat", index.CID, "-o", file)
		ours, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		view, err := blobindex.Extract(bytes.NewReader(ours))
		if err != nil {
			t.Fatal(err)
		}
		if view.Content().String() != report.RootCID {
			t.Errorf("it is about %s, want %s", view.Content(), report.RootCID)
		}
		for _, places := range view.Shards().Iterator() {
			shards++
			slices += places.Size()
		}
		archive, err := view.Archive()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := io.ReadAll(archive)
		if err != nil || !bytes.Equal(ours, theirs) {
			t.Errorf("%d bytes are not the %d that the library writes: %v", len(ours), len(theirs), err)
		}
	}
	wanted := len(report.Shards)
	for _, shard := range report.Shards {
		wanted += shard.Nodes
	}
	if shards != len(report.Shards) || slices != wanted {
		t.Errorf("%d shards with %d slices, want %d with %d", shards, slices, len(report.Shards), wanted)
	}
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}
