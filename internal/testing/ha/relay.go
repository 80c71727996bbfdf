package ha

import (
	"net"
	"sync"
)

// relay is a network between two programs that can be cut or stalled.
type relay struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	state relayState
	moved *sync.Cond
	open  map[net.Conn]struct{}
}

type relayState int

const (
	// connected passes everything on.
	connected relayState = iota
	// stalled accepts connections and keeps what is sent.
	stalled
	// cut has no connections and refuses new ones. What was kept is lost.
	cut
	closed
)

func newRelay(target string) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{target: target, listener: listener, open: map[net.Conn]struct{}{}}
	r.moved = sync.NewCond(&r.mu)
	r.running.Go(r.accept)
	return r, nil
}

func (r *relay) port() int {
	return r.listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
}

// set changes what the relay does, also with its connections.
func (r *relay) set(state relayState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state
	r.moved.Broadcast()
	if state == cut || state == closed {
		for conn := range r.open {
			_ = conn.Close()
		}
	}
}

func (r *relay) close() {
	r.set(closed)
	_ = r.listener.Close()
	r.running.Wait()
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}

		if !r.admit(client, server) {
			continue
		}
		var both sync.WaitGroup
		both.Go(func() { r.pass(client, server) })
		both.Go(func() { r.pass(server, client) })
		r.running.Go(func() {
			both.Wait()
			r.dismiss(client, server)
		})
	}
}

// admit registers connections, or closes them and returns false.
func (r *relay) admit(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused := r.state == cut || r.state == closed
	for _, conn := range conns {
		if refused {
			_ = conn.Close()
		} else {
			r.open[conn] = struct{}{}
		}
	}
	return !refused
}

func (r *relay) dismiss(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range conns {
		delete(r.open, conn)
	}
}

// pass copies one direction of a connection, and closes both directions at its end.
func (r *relay) pass(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !r.mayPass() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
		if err != nil {
			return // mostly io.EOF
		}
	}
}

// mayPass waits while the relay is stalled.
func (r *relay) mayPass() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.state == stalled {
		r.moved.Wait()
	}
	return r.state == connected
}
