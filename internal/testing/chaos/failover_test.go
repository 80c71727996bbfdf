//go:build long

package chaos_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// bothHosts returns one URL for two servers. Clients take the one that can be written to.
func bothHosts(t *testing.T, first, second *pgtest.Server) string {
	t.Helper()
	u, err := url.Parse(first.URL())
	must(t, err)
	other, err := url.Parse(second.URL())
	must(t, err)

	u.Host += "," + other.Host
	query := u.Query()
	query.Set("target_session_attrs", "read-write")
	u.RawQuery = query.Encode()
	return u.String()
}

// TestAStandbyTakesOver checks that a standby takes over when the server crashes in the middle of packing.
func TestAStandbyTakesOver(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	primary := pgtest.Start(t)
	standby := primary.StartStandby(t)
	settings := dialect.Settings{URL: dialect.Secret(bothHosts(t, primary, standby))}
	f := newFixture(t, enginetest.MustOpen(t, settings))

	var failover sync.WaitGroup
	defer failover.Wait()
	f.store = &calling{Store: f.store, at: 10, call: func() {
		primary.Stop(pgtest.Immediate)
		failover.Go(standby.Promote)
	}}

	f.together(enginetest.MustOpen(t, settings), enginetest.MustOpen(t, settings))
	failover.Wait()

	f.requireOutcome(want)
	f.requireReads()
	f.requireTidy(enginetest.MustOpen(t, settings))
}

// calling calls a function once, at a certain commit of a blob.
type calling struct {
	store.Store
	at   int
	call func()

	mu    sync.Mutex
	count int
}

type callingBlob struct {
	store.Blob
	store *calling
}

// Create implements store.Store.
func (c *calling) Create(ctx context.Context, owner string) (store.Blob, error) {
	blob, err := c.Store.Create(ctx, owner)
	return &callingBlob{blob, c}, err
}

// Commit implements store.Blob.
func (b *callingBlob) Commit(ctx context.Context, name string) error {
	b.store.mu.Lock()
	b.store.count++
	now := b.store.count == b.store.at
	b.store.mu.Unlock()
	if now {
		b.store.call()
	}
	return b.Blob.Commit(ctx, name)
}

// TestAServerThatStaysAwayStopsTheWorker checks that a worker stops after a time, and logs the outage once. The
// next run goes on with what was done.
func TestAServerThatStaysAwayStopsTheWorker(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	server := pgtest.Start(t)
	var log bytes.Buffer
	settings := dialect.Settings{URL: dialect.Secret(server.URL())}
	db := enginetest.MustOpen(t, settings)
	f := newFixture(t, db)
	f.store = &calling{Store: f.store, at: 10, call: func() { server.Stop(pgtest.Immediate) }}

	job := f.job(db)
	db.Log = slog.New(slog.NewTextHandler(&log, nil))
	job.Repo = sqlrepo.New(db, sqlrepo.WithRetryFor(time.Second))

	if _, err := job.Run(t.Context()); !errors.Is(err, sqlrepo.ErrUnavailable) {
		t.Errorf("got %v", err)
	}

	if away := strings.Count(log.String(), "is away"); away != 1 || strings.Contains(log.String(), "is back") {
		t.Errorf("the log tells of %d outages: %s", away, &log)
	}

	server.Start()
	f.together(enginetest.MustOpen(t, settings))
	f.requireOutcome(want)
	f.requireTidy(enginetest.MustOpen(t, settings))
}
