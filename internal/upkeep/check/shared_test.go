package check_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// The first upload: a small file whose content the second one shares, a large one, a data shard and a DAG shard.
const (
	firstSmall = "(SELECT MIN(entry) FROM segments WHERE length < 1000 AND length > 0 AND shard IN " + ofFirst + ")"
	firstLarge = "(SELECT MIN(entry) FROM segments WHERE length > 1000000 AND shard IN " + ofFirst + ")"
	ofFirst    = "(SELECT id FROM shards WHERE upload = 1)"
	firstData  = "(SELECT MIN(id) FROM shards WHERE kind = 1 AND state = 3 AND upload = 1)"
	firstDAG   = "(SELECT MIN(id) FROM shards WHERE kind = 2 AND state = 3 AND upload = 1)"
)

// sharedDamages are such that all content is there and the recorded roots tell what is right.
func sharedDamages() []damage {
	segment := func(set, entry string) string { return "UPDATE segments SET " + set + " WHERE entry = " + entry }
	node := func(set, shard string) string {
		return "UPDATE nodes SET " + set + " WHERE shard = " + shard +
			" AND position = (SELECT MIN(position) FROM nodes WHERE shard = " + shard + ")"
	}
	other := []byte("another suffix of 24 bytes")[:24]

	return []damage{
		sql("origin-root", "DELETE FROM roots WHERE entry = "+firstSmall),
		sql("origin-root", "DELETE FROM roots WHERE entry IN (SELECT id FROM entries WHERE upload = 1 AND kind = 1)"),
		sql("root-malformed", "UPDATE roots SET cid = ? WHERE entry = "+firstSmall, []byte{1}),
		sql("root-mismatch", "UPDATE roots SET dag_size = dag_size + 1 WHERE entry = "+firstSmall),
		sql("root-mismatch", "UPDATE roots SET cid = (SELECT cid FROM roots WHERE entry = "+firstSmall+
			") WHERE entry = "+firstLarge),
		sql("origin-lost", "DELETE FROM segments WHERE entry = "+firstSmall),
		sql("origin-lost", "DELETE FROM segments WHERE entry = "+firstLarge),
		sql("segment-chunk", segment("chunk = 5000", firstSmall)),
		sql("segment-shard", segment("chunk = 5000, shard = "+firstDAG, firstSmall)),
		sql("origin-lost", segment("length = length + 1", firstSmall)),
		sql("node-mismatch", node("prefix = prefix / 2 + 1", firstData)),
		sql("node-mismatch", node("prefix = prefix / 2 + 1", firstDAG)),
		sql("node-mismatch", node("suffix = ?", firstDAG), other),
		sql("node-mismatch", node("prefix = prefix / 2 + 1", dagShard)),
		sql("node-count", "DELETE FROM nodes WHERE shard = "+firstDAG),
		sql("shard-fields", "UPDATE shards SET digest = NULL WHERE id = "+firstData),
		sql("shard-kind", "UPDATE shards SET state = 77 WHERE id = "+firstData),
	}
}

// remove removes an upload, with all that no other needs.
func (f *fixture) remove(upload int64) {
	f.Helper()
	row, err := f.repo.Upload(f.Context(), upload)
	must(f, err)
	files, err := checktest.Checker(f, f.repo, f.dir)
	must(f, err)

	collector := &gc.Collector{
		Repo: f.repo, TempDir: f.TempDir(), Log: slog.New(slog.DiscardHandler),
		Locate: func(context.Context, sqlrepo.Upload) (store.Store, error) { return files.Stores[0].Files, nil },
	}
	must(f, collector.Mark(f.Context(), row))

	_, err = collector.Collect(f.Context(), f.job.Space.ID)
	must(f, err)
	if row, err = f.repo.Upload(f.Context(), upload); err != nil || row.State != sqlrepo.Removed {
		f.Fatalf("the upload is %s: %v", row.State, err)
	}
}

// TestShardsOfARemovedUpload: shards of a removed upload that others need are checked like all others, and packed
// again.
func TestShardsOfARemovedUpload(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		f.remove(1)
		f.sound("after the removal")
		want := f.roots()
		for _, damage := range []struct {
			kind sqlrepo.ShardKind
			do   func(path string) error
			code string
		}{
			{sqlrepo.DAGShard, flip, check.CodeShardDamaged}, {sqlrepo.DataShard, os.Remove, check.CodeShardMissing},
		} {
			must(t, damage.do(f.file(f.shardOf(0, damage.kind))))
			if found := codes(f.problems()); !slices.Contains(found, damage.code) {
				t.Errorf("found %q, want %s", found, damage.code)
			}
			if found := f.problemsOf(2); !slices.Contains(found, damage.code) {
				t.Errorf("of upload 2: found %q, want %s", found, damage.code)
			}

			did := f.repair()
			f.finish()
			f.sound("after " + strings.Join(did, "; "))
			if got := f.roots()[1:]; !slices.Equal(got, want[1:]) {
				t.Errorf("roots %q, want %q", got, want)
			}
		}
	})
}

func (f *fixture) problemsOf(upload int64) []string {
	f.Helper()
	checker, err := checktest.Checker(f, f.repo, f.dir)
	must(f, err)
	checker.Upload = &upload
	problems, err := checktest.Find(f.Context(), checker)
	must(f, err)
	return codes(problems)
}

// TestTheSourceIsNotWhatItWas loses all shards after the source has changed. The first repair says that another one
// may be needed. That one ends sound, even if the newer upload is not completed in between.
func TestTheSourceIsNotWhatItWas(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		shards, err := filepath.Glob(filepath.Join(f.dir, "*.car"))
		must(t, err)
		for _, file := range shards {
			must(t, os.Remove(file))
		}
		must(t, os.Remove(filepath.Join(f.root, "old", "3")))

		did := strings.Join(f.repair(), "; ")
		if !strings.Contains(did, "upload 1: lost content may come back") {
			t.Errorf("did %s", did)
		}
		if again := f.repair(); slices.ContainsFunc(again, func(s string) bool { return strings.Contains(s, "left out") }) {
			t.Errorf("the second repair: %q", again)
		}

		f.finish()
		did = strings.Join(f.repair(), "; ")
		f.sound("after " + did)
		if got := f.leftOut(1); !slices.Equal(got, []string{"old/3"}) {
			t.Errorf("left out are %q, after %s", got, did)
		}
	})
}

// flip changes a bit of a file.
func flip(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[len(content)/2] ^= 1
	return errors.Join(os.Remove(path), os.WriteFile(path, content, 0o600))
}
