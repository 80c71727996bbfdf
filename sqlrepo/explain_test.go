package sqlrepo_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/sqlite"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
)

// TestOpenUploadsReadsNoLargeTable looks at how the engines go about the query that idle workers run again and again,
// before they know anything of the tables and after.
func TestOpenUploadsReadsNoLargeTable(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			stage := beginStage(t, repo)
			planShards(t, repo, stage, 10_000)
			if _, err := conformance.Reach(t.Context(), repo, sqlrepo.Claim{}, stage, sqlrepo.Packing); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, filter := range []sqlrepo.OpenFilter{{}, {Spaces: []int64{1}, Uploads: []int64{1}}} {
					checkBoardPlan(t, db, lookForWork(t, repo, &recorder, filter))
				}
				if err := repo.Analyze(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func planShards(t *testing.T, repo *sqlrepo.Repository, stage sqlrepo.Stage, n int64) {
	t.Helper()
	var plan []sqlrepo.PlannedShard
	for ordinal := range n {
		plan = append(plan, sqlrepo.PlannedShard{Shard: sqlrepo.Shard{Ordinal: ordinal}})
	}
	if err := repo.SavePlan(t.Context(), stage, plan); err != nil {
		t.Fatal(err)
	}
}

// lookForWork returns the one statement that it takes.
func lookForWork(t *testing.T, repo *sqlrepo.Repository, recorder *enginetest.Recorder,
	filter sqlrepo.OpenFilter) string {
	t.Helper()
	recorder.Reset()
	open, err := repo.OpenUploads(t.Context(), filter)
	if err != nil || len(open) != 1 || open[0].NextShard == nil || *open[0].NextShard != 0 {
		t.Fatalf("open: %+v, %v", open, err)
	}
	if d := time.Since(open[0].Now.Time); d < -time.Minute || d > time.Minute {
		t.Errorf("the database's clock is %v behind", d)
	}
	return onlySelect(t, recorder, "uploads")
}

// onlySelect returns the one query of a table. It was run once.
func onlySelect(t *testing.T, recorder *enginetest.Recorder, table string) (statement string) {
	t.Helper()
	of := regexp.MustCompile(`(FROM|JOIN) ` + table + `\b`)
	for text, times := range recorder.Statements() {
		switch {
		case !strings.HasPrefix(text, "SELECT") || !of.MatchString(text):
		case statement != "" || times != 1:
			t.Errorf("%d times: %s", times, text)
		default:
			statement = text
		}
	}
	return statement
}

func checkBoardPlan(t *testing.T, db *dialect.DB, statement string) {
	t.Helper()
	plan := explainGeneric(t, db, statement)
	for _, large := range []string{"entries", "segments", "nodes", "roots", "Seq Scan on shards", "SCAN shards"} {
		if strings.Contains(plan, large) {
			t.Errorf("the plan has %q:\n%s", large, plan)
		}
	}
	if !strings.Contains(plan, "shards_ordinal") {
		t.Errorf("the shards are not found by their index:\n%s", plan)
	}
}

// explainGeneric tells how an engine runs a statement, whatever its parameters.
func explainGeneric(t *testing.T, db *dialect.DB, statement string) string {
	t.Helper()
	if db.Name == sqlite.Name {
		return explain(t, db, statement, make([]any, strings.Count(statement, "?"))...)
	}
	conn, err := db.Reader.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // what was asked tells
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", strings.Count(statement, "$")), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	for _, set := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE asked AS " + statement} {
		if _, err := conn.ExecContext(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	if err := conn.SelectContext(t.Context(), &lines, "EXPLAIN EXECUTE asked"+nulls); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "DEALLOCATE asked"); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// explain tells how an engine runs a statement with these parameters.
func explain(t *testing.T, db *dialect.DB, statement string, args ...any) string {
	t.Helper()
	command := map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN "}[db.Name]
	rows, err := db.Reader.QueryxContext(t.Context(), command+statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	var lines []string
	for rows.Next() {
		values, err := rows.SliceScan()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(values[len(values)-1]))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestHeldLooksUpEachKey asks for more blocks than there are in a table without statistics: it must not take
// that for a reason to read the whole table. With statistics of a few shards, it must not read these for each block.
func TestHeldLooksUpEachKey(t *testing.T) {
	const keys = 30_000
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)
			digests := sealNodes(t, repo, keys)

			for range 2 {
				recorder.Reset()
				held, err := repo.Held(t.Context(), sqlrepo.Scope{Space: 1, Store: "store"}, digests)
				if err != nil || len(held.Digests) != keys/2 {
					t.Fatalf("%d blocks, %v", len(held.Digests), err)
				}
				checkLookup(t, db, &recorder, digests)
				if err := repo.Analyze(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// checkLookup looks at how the engine goes about the query of nodes that was recorded. The shards have a query of
// their own.
func checkLookup(t *testing.T, db *dialect.DB, recorder *enginetest.Recorder, digests []sqlrepo.Digest) {
	t.Helper()
	prefixes := make([]int64, len(digests))
	for i, digest := range digests {
		prefixes[i] = int64(binary.BigEndian.Uint64(digest[:8]))
	}

	statement := onlySelect(t, recorder, "nodes")
	for _, n := range []int{1, 100, len(digests)} {
		checkProbePlan(t, explain(t, db, statement, probeArg(t, db, prefixes[:n])))
	}
	onlySelect(t, recorder, "shards")
}

// nodeShards is the number of shards that sealNodes seals.
const nodeShards = 30

// sealNodes seals shards with the first half of some digests.
func sealNodes(t *testing.T, repo *sqlrepo.Repository, n int) []sqlrepo.Digest {
	t.Helper()
	digests := make([]sqlrepo.Digest, n)
	nodes := make([]sqlrepo.Node, 0, n/2)
	for i := range digests {
		binary.BigEndian.PutUint64(digests[i][:], uint64(i)*(math.MaxUint64/uint64(n)))
		if i < n/2 {
			nodes = append(nodes, sqlrepo.Node{Position: int32(i), Digest: digests[i]})
		}
	}
	stage := beginStage(t, repo)
	planShards(t, repo, stage, nodeShards)
	if _, err := conformance.Reach(t.Context(), repo, sqlrepo.Claim{}, stage, sqlrepo.Packing); err != nil {
		t.Fatal(err)
	}
	claim := sqlrepo.Claim{Worker: "test", Term: time.Hour}
	revision := int64(0)
	for some := range slices.Chunk(nodes, len(nodes)/nodeShards) {
		shard, err := repo.ClaimShard(t.Context(), claim, stage.Upload.ID, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		shard.State = sqlrepo.ShardPacked
		packed := &sqlrepo.PackedShard{Shard: shard, Nodes: some}
		if err := repo.Seal(t.Context(), sqlrepo.SpaceAt{Space: 1, Revision: revision}, packed, nil); err != nil {
			t.Fatal(err)
		}
		revision++
	}
	return digests
}

func probeArg(t *testing.T, db *dialect.DB, prefixes []int64) any {
	t.Helper()
	if db.Name != sqlite.Name {
		return prefixes
	}
	list, err := json.Marshal(prefixes)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

func checkProbePlan(t *testing.T, plan string) {
	t.Helper()
	for _, whole := range []string{"Seq Scan on nodes", "SCAN nodes", "shards"} {
		if strings.Contains(plan, whole) {
			t.Errorf("the plan has %q:\n%s", whole, plan)
		}
	}
	if !strings.Contains(plan, "nodes_prefix") {
		t.Errorf("the nodes are not found by their prefix:\n%s", plan)
	}
}
