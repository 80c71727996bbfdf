package main

import (
	"bytes"
	"maps"
	"slices"
	"sync/atomic"
)

// traffic counts what went through a proxy.
type traffic struct {
	// connections were opened by clients.
	connections int64
	// turns is how often a client began to send after it had an answer, or for the first time: each such turn is a
	// round trip. A client that sends many statements at once has one turn.
	turns int64
	// requests counts the turns that begin with an HTTP method.
	requests map[string]int64
}

// methods are those that clients of S3 servers use.
var methods = []string{"DELETE", "GET", "HEAD", "POST", "PUT"}

// traffic returns what the proxy has counted so far.
func (p *proxy) traffic() traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	counted := p.seen
	counted.requests = maps.Clone(counted.requests)
	return counted
}

// turn follows whose turn it is on one connection.
type turn struct {
	proxy *proxy
	// clients is true while the client has all answers that were sent so far.
	clients atomic.Bool
}

func newTurn(p *proxy) *turn {
	t := &turn{proxy: p}
	t.clients.Store(true)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.connections++
	return t
}

// asks is called with what the client sends.
func (t *turn) asks(data []byte) {
	if !t.clients.Swap(false) {
		return
	}

	p := t.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.turns++

	word, _, _ := bytes.Cut(data, []byte(" "))
	if !slices.Contains(methods, string(word)) {
		return
	}
	if p.seen.requests == nil {
		p.seen.requests = map[string]int64{}
	}
	p.seen.requests[string(word)]++
}

// answered is called when the client gets a part of an answer.
func (t *turn) answered() { t.clients.Store(true) }
