package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// Fault is a disturbance, and the quiet time before it.
type Fault struct {
	Name          string
	Begin         func(*Proxy) (end func())
	After, Length time.Duration
}

var kinds = []struct {
	name    string
	begin   func(*Proxy) (end func())
	longest time.Duration
}{
	{"cut", func(p *Proxy) func() { p.Cut(); return p.Reconnect }, 200 * time.Millisecond},
	{"reset", func(p *Proxy) func() { return p.Begin(Reset) }, 50 * time.Millisecond},
	{"stall", func(p *Proxy) func() { return p.Begin(BlackHole) }, 800 * time.Millisecond},
	{"delay", func(p *Proxy) func() { return p.Begin(Delay(30, 25)) }, 400 * time.Millisecond},
}

// NextFault draws a fault. The same generator gives the same faults.
func NextFault(random *rand.Rand) Fault {
	kind := kinds[random.IntN(len(kinds))]
	return Fault{
		Name: kind.name, Begin: kind.begin, After: time.Duration(random.Int64N(int64(1200 * time.Millisecond))),
		Length: time.Millisecond + time.Duration(random.Int64N(int64(kind.longest))),
	}
}

// Storm causes one fault after the other until ctx ends, and counts the faults of each kind.
func (p *Proxy) Storm(ctx context.Context, seed uint64) map[string]int {
	p.tb.Helper()
	random, faults := rand.New(rand.NewPCG(seed, 1)), map[string]int{}
	for {
		fault := NextFault(random)
		if !rest(ctx, fault.After) {
			return faults
		}

		faults[fault.Name]++
		end := fault.Begin(p)
		rest(ctx, fault.Length)
		end()
	}
}

// rest waits, and reports whether ctx is still alive.
func rest(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}
