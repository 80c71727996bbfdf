package sqlrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/enginetest"
	"github.com/guppy-prep/guppy/internal/pgtest"
)

// fault is what a proxy does to the next commits.
type fault int32

const (
	none fault = iota
	loseRequest
	loseAnswer
)

// proxy stands between a client and a server and loses commits, or the answers to them.
type proxy struct {
	net.Listener
	server string
	faults chan fault
	open   sync.WaitGroup
}

func startProxy(t *testing.T, server string, faults ...fault) *proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: listener, server: server, faults: make(chan fault, len(faults))}
	for _, f := range faults {
		p.faults <- f
	}
	p.open.Go(p.serve)
	t.Cleanup(func() {
		_ = p.Close()
		p.open.Wait()
		if len(p.faults) > 0 {
			t.Errorf("%d faults went unused", len(p.faults))
		}
	})
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			return
		}
		p.open.Go(func() { p.forward(client, server) })
		p.open.Go(func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		})
	}
}

// forward passes on what the client sends. A commit is a message of its own.
func (p *proxy) forward(client, server net.Conn) {
	defer func() { _, _ = client.Close(), server.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		switch p.fault(buffer[:n]) {
		case loseRequest:
			return
		case loseAnswer:
			_ = client.Close()
			_, _ = server.Write(buffer[:n])
			time.Sleep(50 * time.Millisecond)
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) fault(message []byte) fault {
	if !bytes.Contains(message, []byte("commit\x00")) {
		return none
	}
	select {
	case f := <-p.faults:
		return f
	default:
		return none
	}
}

// through opens a database through a proxy.
func through(t *testing.T, faults ...fault) *dialect.DB {
	t.Helper()
	location, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(location.String())})
	location.Host = startProxy(t, location.Host, faults...).Addr().String()
	location.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	db, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret(location.String())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestCommitWithoutAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		faults   []fault
		attempts int
	}{
		"answer lost":        {[]fault{loseAnswer}, 1},
		"request lost":       {[]fault{loseRequest}, 2},
		"request lost twice": {[]fault{loseRequest, loseRequest}, 3},
		"both lost":          {[]fault{loseRequest, loseAnswer}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarks(t, through(t, append([]fault{none, none}, tt.faults...)...))
			for n := range 2 {
				err := m.withTx(t.Context(), "test", func(tx *dialect.Tx) error { return insertMark(t.Context(), tx, n) })
				if err != nil {
					t.Fatal(err)
				}
			}
			attempts := 0
			err := m.withTx(t.Context(), "test", func(tx *dialect.Tx) error {
				attempts++
				return insertMark(t.Context(), tx, 10*attempts)
			})
			if err != nil || attempts != tt.attempts {
				t.Errorf("%d attempts, %v", attempts, err)
			}
			m.requireMarks(0, 1, 10*tt.attempts)
		})
	}
}

// A server that crashes gives the numbers of transactions that it lost to others.
func TestReceiptOutlivesCrash(t *testing.T) {
	server := pgtest.Start(t)
	m := newMarks(t, enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(server.URL())}))
	attempts := 0
	err := m.withTx(t.Context(), "test", func(tx *dialect.Tx) error {
		if attempts++; attempts > 1 {
			return insertMark(t.Context(), tx, attempts)
		}
		if err := insertMark(t.Context(), tx, attempts); err != nil {
			return err
		}
		server.Stop(pgtest.Immediate)
		server.Start()
		return m.withTx(t.Context(), "another", func(tx *dialect.Tx) error { return insertMark(t.Context(), tx, 100) })
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
	m.requireMarks(2, 100)
}

func TestReceiptsAreUsedAgainAndForgotten(t *testing.T) {
	db := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(pgtest.URL(t))})
	count := func() (n int) {
		const query = "SELECT COUNT(*) FROM counters WHERE name LIKE 'receipt-%'"
		if err := db.Reader.GetContext(t.Context(), &n, query); err != nil {
			t.Fatal(err)
		}
		return n
	}
	now := time.Now()
	early, late := New(db), New(db, WithClock(func() time.Time { return now.AddDate(0, 0, receiptLifetime+1) }))
	use := func(r *Repository, want error) {
		t.Helper()
		if err := r.withTx(t.Context(), "test", func(*dialect.Tx) error { return want }); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	for range 5 {
		use(early, nil)
		use(early, ErrExists)
	}
	if n := count(); n != 1 {
		t.Errorf("%d receipts after one transaction at a time", n)
	}
	use(late, nil)
	if n := count(); n != 1 {
		t.Errorf("%d receipts, the old one among them", n)
	}
	for range 2 {
		use(early, nil)
	}
	if n := count(); n != 2 {
		t.Errorf("%d receipts once the old one was used again", n)
	}
}

func TestReceiptIsDroppedWhenTheOutcomeIsUnknown(t *testing.T) {
	m := newMarks(t, through(t, none, loseAnswer), WithRetryFor(0))
	ctx := context.Background()
	for n := range 3 {
		err := m.withTx(ctx, "test", func(tx *dialect.Tx) error { return insertMark(ctx, tx, n) })
		if wanted := n == 1; errors.Is(err, ErrUnavailable) != wanted {
			t.Errorf("transaction %d: %v", n, err)
		}
	}
	m.eventually(3) // the commit without an answer may still be under way
	m.requireMarks(0, 1, 2)
}

// TestReceiptIsDroppedWhenARetryFailsForAnotherReason loses the answer to a commit, and has the server refuse the next
// connection in a way that is final. A transaction that comes later must not be taken for the one that was committed.
func TestReceiptIsDroppedWhenARetryFailsForAnotherReason(t *testing.T) {
	m := newMarks(t, through(t, none, loseAnswer))
	var name string
	if err := m.db.Reader.GetContext(t.Context(), &name, "SELECT current_database()"); err != nil {
		t.Fatal(err)
	}
	location, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	admin := enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(location.String())})
	allow := func(allowed bool) {
		t.Helper()
		statement := fmt.Sprintf("ALTER DATABASE %q ALLOW_CONNECTIONS %t", name, allowed)
		if _, err := admin.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	for n := range 4 {
		err := m.withTx(ctx, "test", func(tx *dialect.Tx) error {
			if n == 1 {
				allow(false)
			}
			return insertMark(ctx, tx, n)
		})
		if refused := n == 1; (err != nil) != refused || errors.Is(err, ErrUnavailable) {
			t.Errorf("transaction %d: %v", n, err)
		}
		allow(true)
	}
	m.eventually(4)
	m.requireMarks(0, 1, 2, 3)
}
