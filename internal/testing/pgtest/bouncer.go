package pgtest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

const howToGetBouncer = "these tests need PgBouncer: apt-get install pgbouncer"

// Bouncer is a PgBouncer in front of the server that URL makes databases on.
type Bouncer struct {
	tb      testing.TB
	bouncer *cluster.Bouncer
}

// StartBouncer starts a PgBouncer in transaction mode for a test. It ends when the test does.
func StartBouncer(tb testing.TB) *Bouncer {
	tb.Helper()
	return startBouncer(tb, cluster.Transactions)
}

// StartSessionBouncer starts a PgBouncer in session mode, with this many connections to the server for a database.
func StartSessionBouncer(tb testing.TB, sessions int) *Bouncer {
	tb.Helper()
	return startBouncer(tb, cluster.Pooling{Mode: "session", Size: sessions})
}

func startBouncer(tb testing.TB, pooling cluster.Pooling) *Bouncer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout/4)
	defer cancel()

	server, err := shared.url(ctx)
	if err != nil {
		fatal(tb, err)
	}

	started, err := cluster.NewBouncer(ctx, server, pooling)
	if err != nil {
		fatal(tb, err)
	}

	tb.Cleanup(func() {
		if err := started.Close(); err != nil {
			tb.Errorf("end PgBouncer: %v", err)
		}
	})
	return &Bouncer{tb, started}
}

// URL returns the URL, through the pooler, of a database that URL returned. It sets no exec mode and nothing else.
func (b *Bouncer) URL(direct string) string {
	b.tb.Helper()
	database, err := url.Parse(direct)
	if err != nil {
		b.tb.Fatal(errors.New("not a database's URL"))
	}
	pooled, err := url.Parse(b.bouncer.URL(strings.TrimPrefix(database.Path, "/")))
	if err != nil {
		b.tb.Fatal(err)
	}
	pooled.RawQuery = "sslmode=disable"
	return pooled.String()
}
