package ha

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Fault is something that happens to a leader, after which another server leads.
type Fault string

const (
	// Killed ends all processes of the leader at once.
	Killed Fault = "killed"
	// Frozen stops all processes of the leader, which go on when another one leads.
	Frozen Fault = "frozen"
	// Orphaned stops the leader's Patroni alone. The server goes on as if it still led.
	Orphaned Fault = "orphaned"
	// CutOff takes the leader's network to etcd away. Patroni makes it a standby.
	CutOff Fault = "cut off"
	// Switched has Patroni hand over to another server.
	Switched Fault = "switched"
)

// Faults are all faults.
var Faults = []Fault{Killed, Frozen, Orphaned, CutOff, Switched}

// silences reports whether nobody can ask the leader how far it is. A server that is asked and has more than the others
// keeps them from taking over.
func (f Fault) silences() bool { return f == Killed || f == Frozen || f == Orphaned }

// Strike does something to the leader, and returns once another server leads and the others follow it. If the fault
// silences the leader, doomed is called before, unless it is nil: nothing that the leader commits meanwhile reaches the
// standbys, and all that is lost.
func (c *Cluster) Strike(fault Fault, doomed func()) {
	c.tb.Helper()
	leader, before := c.leader(c.tb.Context())
	if leader == nil {
		c.tb.Fatal("there is no leader")
	}

	loses := doomed != nil && fault.silences()
	if loses {
		leader.wal.set(stalled)
		doomed()
	}
	c.begin(fault, leader)
	if loses {
		leader.wal.set(cut)
	}

	c.awaitOther(leader, before.Timeline)
	leader.wal.set(connected)
	c.end(fault, leader)
	c.AwaitWhole()
}

func (c *Cluster) begin(fault Fault, leader *node) {
	c.tb.Helper()
	switch fault {
	case Killed:
		c.signal(syscall.SIGKILL, leader, true)
	case Frozen:
		c.signal(syscall.SIGSTOP, leader, true)
	case Orphaned:
		c.signal(syscall.SIGSTOP, leader, false)
	case CutOff:
		leader.etcd.set(cut)
	case Switched:
		c.switchOver(leader)
	}
}

// end has the former leader go on. Its Patroni begins again: Patroni 3.0 that was stopped may take the lead back from
// the new leader, as it last had it. The server goes on as the leader that it was, until Patroni has seen to it.
func (c *Cluster) end(fault Fault, leader *node) {
	c.tb.Helper()
	switch fault {
	case Switched:
		return
	case CutOff:
		leader.etcd.set(connected)
		return
	case Frozen, Orphaned:
		c.signal(syscall.SIGKILL, leader, false)
		c.signal(syscall.SIGCONT, leader, true)
	case Killed:
	}

	if err := c.startPatroni(leader); err != nil {
		c.tb.Fatal(err)
	}
}

// signal sends a signal to a node's Patroni, and to its server if whole is true.
func (c *Cluster) signal(signal syscall.Signal, n *node, whole bool) {
	c.tb.Helper()
	if err := c.host.signal(signal, n.name, whole); err != nil {
		c.tb.Error(err)
	}
}

// switchOver asks for a switchover until Patroni agrees: right after another fault it may have no candidate.
func (c *Cluster) switchOver(leader *node) {
	c.tb.Helper()
	body, err := json.Marshal(map[string]string{"leader": leader.name})
	if err != nil {
		c.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.tb.Context(), startLimit)
	defer cancel()
	for {
		_, err := c.ask(ctx, http.MethodPost, leader, "/switchover", body)
		if err == nil || os.IsTimeout(err) { // Patroni answers when it is done
			return
		}
		select {
		case <-ctx.Done():
			c.tb.Fatalf("no switchover: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// awaitOther returns once a server leads on a later timeline.
func (c *Cluster) awaitOther(old *node, timeline int) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), startLimit)
	defer cancel()
	for {
		for _, n := range c.nodes {
			if v, err := c.view(ctx, n); n != old && err == nil && v.isLeader() && v.Timeline > timeline {
				return
			}
		}
		select {
		case <-ctx.Done():
			c.fatalf("nobody took over from %s", old.name)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
