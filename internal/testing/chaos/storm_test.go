package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/testing/chaos"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// envSeeds names the variable with the number of seeds to try.
const envSeeds = "GUPPY_TEST_CHAOS_SEEDS"

// quick is the number of seeds to try unless the variable says another.
const quick = 1

func seeds(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(envSeeds)
	if text == "" {
		return quick
	}
	count, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", envSeeds, err)
	}
	return count
}

// TestWorkersWeatherAnyStorm lets three workers share an upload while the network fails in random ways.
func TestWorkersWeatherAnyStorm(t *testing.T) { weatherStorms(t, 0, seeds(t)) }

// weatherStorms lets workers weather the storms of a number of seeds.
func weatherStorms(t *testing.T, first, count uint64) {
	t.Helper()
	want := undisturbed(t)
	pgtest.URL(t) // start the server that all storms share
	leaks := goleak.IgnoreCurrent()

	var storms errgroup.Group
	storms.SetLimit(atOnce)
	for seed := first; seed < first+count; seed++ {
		storms.Go(func() error {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { weatherStorm(t, seed, want) })
			return nil
		})
	}

	_ = storms.Wait()
	if err := goleak.Find(append(ownGoroutines(), leaks)...); err != nil {
		t.Error(err)
	}
}

// atOnce is how many storms run at once: workers wait most of the time.
const atOnce = 3

// ownGoroutines returns the goroutines of toxiproxy, which leaves some running, and coroutines that never ran.
func ownGoroutines() []goleak.Option {
	ignored := []goleak.Option{goleak.IgnoreTopFunction("runtime.corostart")}
	for _, name := range []string{".(*Proxy).server", ".(*Proxy).freeBlocker", ".(*ToxicLink).read", ".(*ToxicLink).write",
		".(*ToxicLink).RemoveToxic.func1", "/toxics.(*ToxicStub).Run"} {
		ignored = append(ignored, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2"+name))
	}
	return ignored
}

func weatherStorm(t *testing.T, seed uint64, want outcome) {
	url := pgtest.URL(t)
	direct := dialect.Settings{URL: dialect.Secret(url)}
	db := enginetest.MustOpen(t, direct)
	boundLocks(t, db)
	f := newFixture(t, db)

	began := time.Now()
	faults := f.weather(chaos.StartProxy(t, url), seed)
	t.Logf("seed %d: %v with the faults %v", seed, time.Since(began), faults)

	f.requireOutcome(want)
	f.requireReads()
	f.requireTidy(enginetest.MustOpen(t, direct))
}

// boundLocks makes the server soon end transactions whose clients are gone: the proxy forgets some of its
// connections.
func boundLocks(t *testing.T, db *dialect.DB) {
	t.Helper()
	var name string
	must(t, db.Writer.GetContext(t.Context(), &name, "SELECT current_database()"))
	_, err := db.Writer.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET idle_in_transaction_session_timeout = '2s'")
	must(t, err)
}

// weather lets workers complete the upload in a storm.
func (f *fixture) weather(proxy *chaos.Proxy, seed uint64) map[string]int {
	f.t.Helper()
	var dbs []*dialect.DB
	for range 3 {
		dbs = append(dbs, f.openThrough(proxy))
	}

	ctx, calm := context.WithCancel(f.t.Context())
	storm := make(chan map[string]int)
	go func() { storm <- proxy.Storm(ctx, seed) }()

	f.together(dbs...)
	calm()
	faults := <-storm

	for _, db := range dbs {
		must(f.t, db.Close())
	}
	return faults
}

// openThrough opens the database with limits that suit a storm. A busy machine may exceed them in calm weather, too.
func (f *fixture) openThrough(proxy *chaos.Proxy) *dialect.DB {
	f.t.Helper()
	settings := dialect.Settings{
		URL:     dialect.Secret(proxy.URL()),
		Options: []any{postgres.Options{SilenceLimit: 500 * time.Millisecond, ConnectTimeout: time.Second}},
	}

	const attempts = 30
	var failures []error
	for range attempts {
		db, err := dialect.Open(f.t.Context(), settings)
		if err == nil {
			return db
		}
		failures = append(failures, err)
	}
	f.t.Fatal(errors.Join(failures...))
	return nil
}
