package sqlrepo_test

import (
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestFilesAreFoundByTheirDigests looks at every statement that asks for a few files among many: none of them reads all
// shards or indexes, before the engines know anything of the tables and after.
func TestFilesAreFoundByTheirDigests(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage, replica := manyFiles(t, repo, db)

			for range 2 {
				recorder.Reset()
				askForFiles(t, repo, stage, replica)
				checkDigestPlans(t, db, &recorder)
				if err := repo.Analyze(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// manyFiles returns an upload in a store with many files, and a replica of that store and of the space.
func manyFiles(t *testing.T, repo *sqlrepo.Repository, db *dialect.DB) (sqlrepo.Stage, sqlrepo.SpaceReplica) {
	t.Helper()
	stage := beginStage(t, repo)
	planShards(t, repo, stage, 20_000)
	for _, name := range []string{"first", "second"} {
		if _, err := repo.AddStore(t.Context(), sqlrepo.Store{Identity: name, Name: name, URL: "file:///"}); err != nil {
			t.Fatal(err)
		}
	}
	replica := sqlrepo.SpaceReplica{Space: 1, Store: "second"}
	if err := repo.SetReplica(t.Context(), replica.Store, "first"); err != nil {
		t.Fatal(err)
	}
	if err := repo.AddSpaceReplica(t.Context(), replica); err != nil {
		t.Fatal(err)
	}

	text := map[string]string{
		"sqlite":   "unhex(printf('%064x', ordinal))",
		"postgres": "decode(lpad(to_hex(ordinal), 64, '0'), 'hex')",
	}[db.Name]
	for _, statement := range []string{
		"UPDATE shards SET state = 3, size = 1, digest = " + text + " WHERE ordinal < 19990",
		"INSERT INTO indexes (id, upload, ordinal, state, layout, root_cid, shards, slices, size, digest) " +
			"SELECT id, upload, ordinal, 3, 'layout', digest, 1, 2, 3, digest FROM shards WHERE digest IS NOT NULL",
		"UPDATE uploads SET store = 'first', sealed = 19990, settled_shards = 19990",
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	stage, err := conformance.Reach(t.Context(), repo, sqlrepo.Claim{}, stage, sqlrepo.Packing)
	if err != nil {
		t.Fatal(err)
	}
	return stage, replica
}

// numbered is the digest of a file of manyFiles.
func numbered(n uint64) (digest sqlrepo.Digest) {
	binary.BigEndian.PutUint64(digest[len(digest)-8:], n)
	return digest
}

// askForFiles calls what looks up files by their digests, and what counts them.
func askForFiles(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, replica sqlrepo.SpaceReplica) {
	t.Helper()
	ctx, digests := t.Context(), []sqlrepo.Digest{numbered(5), numbered(7), numbered(1 << 40)}
	named, err := repo.StillNamed(ctx, "first", digests)
	if err != nil || len(named) != 2 {
		t.Fatalf("%v are named, %v", named, err)
	}
	if shards, err := repo.ShardsByDigest(ctx, digests[0]); err != nil || len(shards) != 1 {
		t.Fatalf("%d shards, %v", len(shards), err)
	}
	if _, err := repo.IndexByDigest(ctx, digests[2]); !errors.Is(err, sqlrepo.ErrNotFound) {
		t.Fatal(err)
	}
	if stores, err := repo.StoresWith(ctx, digests[0]); err != nil || len(stores) != 1 {
		t.Fatalf("%v, %v", stores, err)
	}
	if unneeded, err := repo.AddCopies(ctx, replica.Store, digests); err != nil || len(unneeded) != 1 {
		t.Fatalf("%v are not needed, %v", unneeded, err)
	}
	if err := repo.ForgetCopies(ctx, replica.Store, digests); err != nil {
		t.Fatal(err)
	}

	claim := sqlrepo.Claim{Worker: "test", Term: time.Hour}
	shard, err := repo.ClaimShard(ctx, claim, stage.Upload.ID, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	held, err := repo.Held(ctx, sqlrepo.Scope{Space: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := numbered(uint64(shard.Ordinal))
	shard.State, shard.Size, shard.Digest = sqlrepo.ShardPacked, 1, digest[:]
	packed := &sqlrepo.PackedShard{Shard: shard}
	if err := repo.Seal(ctx, sqlrepo.SpaceAt{Space: 1, Revision: held.Revision}, packed, nil); err != nil {
		t.Fatal(err)
	}
}

// byDigest matches statements that are given digests.
var byDigest = regexp.MustCompile(`digest (=|IN) ?\(?[?$]`)

func checkDigestPlans(t *testing.T, db *dialect.DB, recorder *enginetest.Recorder) {
	t.Helper()
	looked := 0
	for statement := range recorder.Statements() {
		if !byDigest.MatchString(statement) || !strings.Contains(statement, "FROM shards") &&
			!strings.Contains(statement, "FROM indexes") && !strings.Contains(statement, "JOIN shards") {
			continue
		}
		looked++
		plan := explainGeneric(t, db, statement)
		for _, whole := range []string{"Seq Scan on shards", "Seq Scan on indexes", "SCAN shards", "SCAN indexes"} {
			if strings.Contains(plan, whole) {
				t.Errorf("%s\nhas %q in its plan:\n%s", statement, whole, plan)
			}
		}
		if !strings.Contains(plan, "shards_digest") && !strings.Contains(plan, "indexes_digest") {
			t.Errorf("%s\ndoes not find files by their digests:\n%s", statement, plan)
		}
	}
	if looked < 6 {
		t.Errorf("only %d statements look for files", looked)
	}
}
