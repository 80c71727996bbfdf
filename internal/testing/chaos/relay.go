package chaos

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Relay stands between clients and a PostgreSQL server and understands their unencrypted protocol. It counts round
// trips and loses answers.
type Relay struct {
	url      *url.URL
	listener net.Listener
	turns    atomic.Int64
	running  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]struct{}
	over  bool
	loses func(statements []string) Loss
}

// Loss is the part of a commit that a relay loses. The relay breaks the connection then.
type Loss int

// The losses.
const (
	// Nothing is lost, and the connection stays.
	Nothing Loss = iota
	// Request keeps the commit from the server.
	Request
	// Answer lets the server commit and keeps its answer from the client.
	Answer
)

// StartRelay starts a relay in front of the server of a postgres:// URL. It ends when the test does.
func StartRelay(tb testing.TB, location string) *Relay {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{url: parse(tb, location), listener: listener, open: map[net.Conn]struct{}{}}
	r.running.Go(r.accept)
	tb.Cleanup(r.stop)
	return r
}

// URL returns the URL of the server through the relay.
func (r *Relay) URL() string { return through(r.url, r.listener.Addr().String()) }

// Turns returns how often a client has waited for the server so far.
func (r *Relay) Turns() int64 { return r.turns.Load() }

// Lose makes the relay call loses at each commit to learn what is lost. loses gets the statements of the
// transaction, or the single statement outside of a transaction.
func (r *Relay) Lose(loses func(statements []string) Loss) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loses = loses
}

func (r *Relay) loss(statements []string) Loss {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loses == nil {
		return Nothing
	}
	return r.loses(statements)
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}

		server, err := net.Dial("tcp", r.url.Host)
		if err != nil {
			_ = client.Close()
			continue
		}

		if r.admit(client, server) {
			r.running.Go(func() {
				(&conversation{relay: r, client: client, server: server}).run()
				r.dismiss(client, server)
			})
		}
	}
}

// admit registers connections. If the relay is about to end, admit closes them and returns false.
func (r *Relay) admit(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range conns {
		r.open[conn] = struct{}{}
		if r.over {
			_ = conn.Close()
		}
	}
	return !r.over
}

func (r *Relay) dismiss(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range conns {
		delete(r.open, conn)
	}
}

func (r *Relay) stop() {
	_ = r.listener.Close()
	r.mu.Lock()
	r.over = true
	for conn := range r.open {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}
