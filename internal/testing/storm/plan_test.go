//go:build linux

package storm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// plan is everything that is decided about a storm. The same seed gives the same plan.
type plan struct {
	seed   uint64
	engine string
	// cold begins the storm before anything is prepared. Nobody knows yet what the sources are, so their mounts
	// stay.
	cold bool
	// replicated sends all shards to a second store.
	replicated bool
	length     time.Duration
	// slots are processes that run side by side. Each runs one command after the other.
	slots [][]step
	// lanes are disturbances that run side by side. In each lane one follows the other.
	lanes []lane
}

// step is a command and the pause before it.
type step struct {
	pause  time.Duration
	what   string
	source int
	pick   uint64
}

// lane is a kind of disturbance.
type lane struct {
	name   string
	events []event
}

// event is a disturbance and the quiet time before it.
type event struct {
	after, length time.Duration
	what          string
	target        int
	pick          uint64
}

// kind is a choice and its weight among others.
type kind struct {
	what  string
	often int
}

var commands = []kind{
	{"prepare", 38}, {"upload all", 8}, {"upload one", 8}, {"worker", 16}, {"gc", 6}, {"gc strays", 4}, {"rm", 10},
	{"backup", 3}, {"transfer", 3}, {"check", 4}, {"repair", 3},
}

// disturbances has the kinds of each lane, the longest quiet before one, and the longest time that one lasts.
var disturbances = []struct {
	name            string
	kinds           []kind
	quiet, longest  time.Duration
	postgres, mount bool // whether the lane needs a PostgreSQL server, or mounts that may go
}{
	{"kill", []kind{{"kill", 5}, {"terminate", 1}, {"interrupt", 1}}, 1500 * time.Millisecond, 0, false, false},
	{"stop", []kind{{"stop", 1}}, 600 * time.Millisecond, 3 * time.Second, false, false},
	{"network", []kind{{"network", 2}, {"cut off", 1}}, 1500 * time.Millisecond, 500 * time.Millisecond, true, false},
	{"sessions", []kind{{"sessions", 1}}, 1500 * time.Millisecond, 0, true, false},
	{"disk", []kind{{"store full", 1}, {"data full", 1}}, 1500 * time.Millisecond, 700 * time.Millisecond, false, false},
	{"mount", []kind{{"unmount", 1}}, 1200 * time.Millisecond, 1200 * time.Millisecond, false, true},
	{"change", changes, 80 * time.Millisecond, 0, false, false},
}

const (
	sourceCount = 3
	stepCount   = 60
	eventCount  = 1500
)

// draw makes a plan. It draws unwanted lanes too, so that the others stay the same.
func draw(seed uint64, wanted []string) plan {
	random := rand.New(rand.NewPCG(seed, 9))
	p := plan{
		seed: seed, engine: []string{"sqlite", "postgres"}[seed%2], cold: random.IntN(3) == 0,
		replicated: seed%4 < 2, length: 5*time.Second + upTo(random, 2*time.Second),
	}

	for range 3 + random.IntN(4) {
		steps := make([]step, stepCount)
		for i := range steps {
			pause := upTo(random, 300*time.Millisecond)
			steps[i] = step{pause, choose(random, commands), random.IntN(sourceCount), random.Uint64()}
		}
		p.slots = append(p.slots, steps)
	}

	for _, d := range disturbances {
		l := lane{name: d.name, events: make([]event, eventCount)}
		for i := range l.events {
			after, length := upTo(random, d.quiet), upTo(random, d.longest)
			l.events[i] = event{after, length, choose(random, d.kinds), random.IntN(6), random.Uint64()}
		}

		possible := (!d.postgres || p.engine == "postgres") && (!d.mount || !p.cold)
		if possible && slices.Contains(wanted, d.name) {
			p.lanes = append(p.lanes, l)
		}
	}
	return p
}

func choose(random *rand.Rand, kinds []kind) string {
	all := 0
	for _, k := range kinds {
		all += k.often
	}
	at := random.IntN(all)
	for _, k := range kinds {
		if at -= k.often; at < 0 {
			return k.what
		}
	}
	panic("no choices")
}

func upTo(random *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(longest) + 1)).Round(time.Millisecond)
}

// String returns the part of the plan that there may be time for.
func (p plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s, %d processes, %v, cold %t, replicated %t\n", p.seed, p.engine, len(p.slots), p.length,
		p.cold, p.replicated)
	for _, l := range p.lanes {
		fmt.Fprintf(&b, "%s:", l.name)
		at := time.Duration(0)
		for _, e := range l.events {
			if at += e.after; at > p.length || l.name == "change" && at > p.length/8 {
				break
			}
			fmt.Fprintf(&b, " %v %s %d for %v,", at, e.what, e.target, e.length)
			at += e.length
		}
		b.WriteByte('\n')
	}
	return b.String()
}
