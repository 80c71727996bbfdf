package gc_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/gc"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// copied is a fixture with twins, and a replica that has all that their store has.
type copied struct {
	*fixture
	origin, replica string
	// dir is the directory of the replica.
	dir    string
	copies store.Store
}

func newCopied(t *testing.T, db *dialect.DB) (c *copied, first sqlrepo.Upload) {
	t.Helper()
	f := newFixture(t, db, 2)
	first, _ = f.twins()
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "replica")
	copies, err := store.OpenDirectory(dir)
	must(t, err)
	replica, err := copies.Identify(ctx)
	must(t, err)
	origin, err := f.store.Identify(ctx)
	must(t, err)
	_, err = f.repo.AddStore(ctx, sqlrepo.Store{Identity: replica, Name: "replica"})
	must(t, err)
	must(t, f.repo.SetReplica(ctx, replica, origin))

	var digests []sqlrepo.Digest
	for _, name := range f.stored() {
		content, err := os.ReadFile(filepath.Join(f.dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		digest, _ := trash.ParseName(name)
		digests = append(digests, digest)
	}
	_, err = f.repo.AddCopies(ctx, replica, digests)
	must(t, err)
	return &copied{fixture: f, origin: origin, replica: replica, dir: dir, copies: copies}, first
}

func (c *copied) collector() *gc.Collector {
	collector := c.fixture.collector()
	collector.Replicas = func(context.Context, sqlrepo.Upload) ([]index.Replica, error) {
		return []index.Replica{{Identity: c.replica, Files: c.copies}}, nil
	}
	return collector
}

// lacking counts the files that the replica lacks by the rows. It fails the test if the replica has others than these.
func (c *copied) lacking() int64 {
	c.tb.Helper()
	ctx := context.Background()
	lacks, err := c.repo.LackingIn(ctx, c.origin, c.replica)
	must(c.tb, err)

	stored := c.stored()
	var there []string
	for file, err := range c.copies.Committed(ctx) {
		must(c.tb, err)
		there = append(there, file.Name)
	}
	missing := slices.DeleteFunc(stored, func(name string) bool { return slices.Contains(there, name) })
	if int64(len(missing)) != lacks.Files || len(there)+len(missing) != len(c.named()) {
		c.tb.Errorf("the replica has %q and lacks %q, by the rows %d files", there, missing, lacks.Files)
	}
	return lacks.Files
}

// taking is a store where a removal takes a file just before it is confirmed.
type taking struct {
	store.Store
	dir string
}

func (s taking) Confirm(ctx context.Context, name string) error {
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		return err
	}
	return s.Store.Confirm(ctx, name)
}

// notSent is the message about an index that a replica did not get.
const notSent = "a new index was not sent to a replica: the next guppy prepare, worker or store sync sends it"

// TestANewIndexIsSentToReplicas removes an upload whose index covered shards that stay, while the replica works, fails
// at a step, or loses the file again. A replica that fails keeps nobody from removing.
func TestANewIndexIsSentToReplicas(t *testing.T) {
	for _, failing := range []string{"", "create", "write", "sync", "stage", "commit", "confirm"} {
		t.Run("failing:"+failing, func(t *testing.T) {
			enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
				c, first := newCopied(t, db)
				unsent := c.collectWhile(failing, first)

				want := int64(1)
				if failing == "" {
					want = 0
				}
				if lacking := c.lacking(); lacking != want || unsent != want {
					t.Errorf("lacks %d files, warned %d times, want %d", lacking, unsent, want)
				}
				c.sound()
			})
		})
	}
}

// collectWhile removes an upload while a step fails in the replica. It returns how many indexes were said to be unsent.
func (c *copied) collectWhile(failing string, upload sqlrepo.Upload) (unsent int64) {
	c.tb.Helper()
	files := c.copies
	defer func() { c.copies = files }()
	if failing == "confirm" {
		c.copies = taking{files, c.dir}
	}
	c.copies = &storetest.Faulty{Store: c.copies, Fail: storetest.FailAt(failing, 1, errors.New("broken"))}

	collector := c.collector()
	collector.Log = slog.New(onLog(func(message string) {
		if message == notSent {
			unsent++
		}
	}))

	must(c.tb, removal.New(c.repo).RemoveUpload(context.Background(), upload.ID))
	sum, err := collector.Collect(context.Background(), c.space.ID)
	must(c.tb, err)
	if sum.KeptShards == 0 || sum.Shards == 0 {
		c.tb.Errorf("%+v: no shard lost its index, or none went", sum)
	}
	return unsent
}
