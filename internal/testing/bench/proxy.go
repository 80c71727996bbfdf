package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// proxy forwards TCP connections to a server and delivers all bytes late, in each direction. It delays but does not
// limit: any amount may be on its way, up to what a queue holds. A connection takes a round trip to begin, as it does
// over a network.
type proxy struct {
	listener net.Listener
	target   string
	delay    time.Duration
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
	seen   traffic
}

const (
	proxyRead  = 64 << 10
	proxyQueue = 1024
)

// newProxy listens on a free port of this host. The caller must close it.
func newProxy(ctx context.Context, target string, delay time.Duration) (*proxy, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, target: target, delay: delay}
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.keep(client) {
			opened := time.Now()
			p.running.Go(func() { p.pass(client, opened) })
		}
	}
}

// keep registers a connection to be closed with the proxy. If the proxy is closed already, keep closes the
// connection and returns false.
func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return false
	}
	p.conns = append(p.conns, conn)
	return true
}

// pass serves a connection in both directions until it ends.
func (p *proxy) pass(client net.Conn, opened time.Time) {
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(server) {
		_ = client.Close()
		return
	}

	// What the client sends before it could know of the connection counts as sent when it does.
	begins, turn := opened.Add(2*p.delay), newTurn(p)
	var directions sync.WaitGroup
	directions.Go(func() { p.direct(client, server, begins, turn.asks, func() {}) })
	directions.Go(func() { p.direct(server, client, begins, func([]byte) {}, turn.answered) })
	directions.Wait()
	_ = errors.Join(client.Close(), server.Close())
}

// packet is the data that arrived at one time.
type packet struct {
	data    []byte
	arrived time.Time
}

// direct forwards everything from one side to the other, including its end. It calls sent with what it reads, and
// delivered before it writes.
func (p *proxy) direct(from, to net.Conn, begins time.Time, sent func([]byte), delivered func()) {
	queue := make(chan packet, proxyQueue)
	var reading sync.WaitGroup
	reading.Go(func() { read(from, queue, begins, sent) })

	// After an error, packets are dropped until the reader has ended: it must not block on a full queue.
	broken := false
	for late := range queue {
		time.Sleep(time.Until(late.arrived.Add(p.delay)))
		if broken {
			continue
		}
		if len(late.data) > 0 {
			delivered()
		}
		if _, err := to.Write(late.data); err != nil {
			broken = true
			_ = from.Close()
		}
	}

	reading.Wait()
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// read queues what arrives. Nothing counts as arrived before the connection begins.
func read(from net.Conn, queue chan<- packet, begins time.Time, sent func([]byte)) {
	defer close(queue)
	for {
		data := make([]byte, proxyRead)
		n, err := from.Read(data)
		if n > 0 {
			sent(data[:n])
		}
		if n > 0 || err != nil {
			arrived := time.Now()
			if arrived.Before(begins) {
				arrived = begins
			}
			queue <- packet{data[:n], arrived}
		}
		if err != nil {
			return
		}
	}
}

// close breaks all connections and returns once they have ended. It may be called more than once.
func (p *proxy) close() (err error) {
	p.mu.Lock()
	p.closed = true
	err = closeOnce(p.listener)
	for _, conn := range p.conns {
		err = errors.Join(err, closeOnce(conn))
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

// closeOnce ignores that something is closed already.
func closeOnce(c io.Closer) error {
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
