package conformance

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func locks() []test {
	return []test{
		{"have one holder", lockHolder},
		{"have one winner", lockWinner},
	}
}

func lockHolder(f *fixture) {
	source := f.source(f.space())
	lock := must(f.LockSource(f.ctx, source.ID))(f.t)
	_, err := f.LockSource(f.ctx, source.ID)
	f.fails(err, sqlrepo.ErrLocked)
	if holder := fmt.Sprintf("process %d on", os.Getpid()); err == nil || !strings.Contains(err.Error(), holder) {
		f.t.Errorf("%v doesn't name %s", err, holder)
	}
	must(f.AddSource(f.ctx, sqlrepo.Source{Space: source.Space, Name: "meanwhile", Path: []byte("/meanwhile")}))(f.t)
	f.ok(lock.Release())
	f.ok(must(f.LockSource(f.ctx, source.ID))(f.t).Release())
}

func lockWinner(f *fixture) {
	source := f.source(f.space())
	var winners atomic.Int32
	var group sync.WaitGroup
	held := make(chan dialect.Lock, 4)
	for range cap(held) {
		group.Go(func() {
			lock, err := f.LockSource(f.ctx, source.ID)
			if err != nil {
				f.fails(err, sqlrepo.ErrLocked)
				return
			}
			winners.Add(1)
			held <- lock
		})
	}
	group.Wait()
	equal(f.t, "winners", winners.Load(), 1)
	f.ok((<-held).Release())
}
