package conformance

import (
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// leases checks each promise on the stage of an upload, on a shard, and on a file that is sent to a replica.
func leases() []test {
	return []test{
		{"are claimed and renewed", onEach(claimAndRenew)},
		{"end, and others take over", onEach(stealLease)},
		{"are renewed after their end if nobody took over", onEach(renewEnded)},
		{"are released as if never claimed", onEach(releaseLease)},
		{"pause after a failure", onEach(failLease)},
		{"are set aside", onEach(setAside)},
		{"go by the database's clock", onEach(databaseClock)},
		{"tell no two claims apart by their worker", onEach(sameWorker)},
		{"are on the upload that the worker knows", onEach(claimKnown)},
		{"end when the clock steps back behind their term", onEach(clockStepsBack)},
		{"pause no longer than any when the clock steps back", onEach(clockStepsBackInPause)},
	}
}

// leased is work of one kind, and how to claim it.
type leased struct {
	*fixture
	take func(repo *sqlrepo.Repository, claim sqlrepo.Claim) (sqlrepo.Unit, error)
	look func() sqlrepo.Lease
}

func onEach(try func(*leased)) func(*fixture) {
	return func(f *fixture) {
		stage := f.newStage()
		f.ok(f.Release(f.ctx, stage))
		try(&leased{f,
			func(repo *sqlrepo.Repository, claim sqlrepo.Claim) (sqlrepo.Unit, error) {
				return repo.ClaimStage(f.ctx, claim, stage.Upload.ID)
			},
			func() sqlrepo.Lease { return f.upload(stage).Lease },
		})

		stage = f.newStage()
		f.toPack(stage, planned(0))
		try(&leased{f,
			func(repo *sqlrepo.Repository, claim sqlrepo.Claim) (sqlrepo.Unit, error) {
				return repo.ClaimShard(f.ctx, claim, stage.Upload.ID, unlimited)
			},
			func() sqlrepo.Lease { return f.shards(stage)[0].Lease },
		})

		to := f.replicated("replica", 1)
		f.planned(to)
		try(&leased{f,
			func(repo *sqlrepo.Repository, claim sqlrepo.Claim) (sqlrepo.Unit, error) {
				sending, _, err := repo.ClaimSending(f.ctx, claim, to, nil)
				return sending, err
			},
			func() sqlrepo.Lease { return f.sending(to) },
		})
	}
}

func leaseOf(unit sqlrepo.Unit) sqlrepo.Lease {
	switch unit := unit.(type) {
	case sqlrepo.Stage:
		return unit.Upload.Lease
	case sqlrepo.Shard:
		return unit.Lease
	case sqlrepo.Sending:
		return unit.Lease
	}
	return sqlrepo.Lease{}
}

func (l *leased) claim(worker string) sqlrepo.Unit {
	l.t.Helper()
	return must(l.take(l.Repository, claim(worker)))(l.t)
}

func (l *leased) nothing() {
	l.t.Helper()
	_, err := l.take(l.Repository, claim("another"))
	l.fails(err, sqlrepo.ErrNothingToClaim)
}

// times returns the times of a lease that was claimed and last renewed some time ago.
func (l *leased) times(claimed, renewed time.Duration) (began, seen, ends sqlrepo.Time) {
	return sqlrepo.NewTime(l.now.Add(-claimed)), sqlrepo.NewTime(l.now.Add(-renewed)),
		sqlrepo.NewTime(l.now.Add(term - renewed))
}

func claimAndRenew(l *leased) {
	unit := l.claim("wörker \x00")
	want := sqlrepo.Lease{Token: leaseOf(unit).Token, Worker: "wörker \uFFFD"}
	want.Began, want.Seen, want.Ends = l.times(0, 0)
	equal(l.t, "claimed", leaseOf(unit), want)
	equal(l.t, "stored", l.look(), want)

	if want.Token <= 0 {
		l.t.Errorf("token %d", want.Token)
	}
	l.nothing()

	l.pass(term / 2)
	l.ok(l.Renew(l.ctx, unit, term, 7))
	want.Progress = 7
	want.Began, want.Seen, want.Ends = l.times(term/2, 0)
	equal(l.t, "renewed", l.look(), want)

	l.pass(term)
	l.nothing()
}

func stealLease(l *leased) {
	unit := l.claim("first")
	l.ok(l.Renew(l.ctx, unit, term, 7))
	for attempts := range int64(3) {
		l.expire()
		thief := l.claim("second")
		want := sqlrepo.Lease{Token: leaseOf(thief).Token, Worker: "second", Attempts: attempts + 1}
		want.Began, want.Seen, want.Ends = l.times(0, 0)
		equal(l.t, "stolen", l.look(), want)
		if want.Token == leaseOf(unit).Token {
			l.t.Error("the token of two claims")
		}
		l.fails(l.Renew(l.ctx, unit, term, 0), sqlrepo.ErrLeaseLost)
		unit = thief
	}
}

// clockStepsBack lets a worker die before the clock steps back by a day. Others don't wait for a day.
func clockStepsBack(l *leased) {
	dead := l.claim("dead")
	l.pass(-term / 2)
	l.nothing()
	l.pass(-24 * time.Hour)
	l.ok(l.AtWork(l.ctx))
	l.ok(l.Release(l.ctx, l.claim("another")))
	l.fails(l.Renew(l.ctx, dead, term, 0), sqlrepo.ErrLeaseLost)

	alive := l.claim("alive")
	l.pass(-24 * time.Hour)
	l.ok(l.Renew(l.ctx, alive, term, 0))
	l.nothing()
	l.fails(l.AtWork(l.ctx), sqlrepo.ErrAtWork)
	l.ok(l.Release(l.ctx, alive))
}

func clockStepsBackInPause(l *leased) {
	l.ok(l.Fail(l.ctx, l.claim("first"), "too bad", time.Second))
	l.nothing()
	l.pass(-24 * time.Hour)
	l.ok(l.Release(l.ctx, l.claim("second")))
}

func renewEnded(l *leased) {
	unit := l.claim("first")
	l.pass(10 * term)
	l.ok(l.Renew(l.ctx, unit, term, 7))
	l.nothing()
	want := leaseOf(unit)
	want.Progress = 7
	want.Began, want.Seen, want.Ends = l.times(10*term, 0)
	equal(l.t, "renewed", l.look(), want)
}

func releaseLease(l *leased) {
	l.ok(l.Release(l.ctx, l.claim("first")))
	equal(l.t, "released", l.look(), sqlrepo.Lease{})
	unit := l.claim("second")
	equal(l.t, "attempts", leaseOf(unit).Attempts, 0)
	l.expire()
	l.ok(l.Release(l.ctx, unit)) // late, but nobody took it
	equal(l.t, "released", l.look(), sqlrepo.Lease{})
}

func failLease(l *leased) {
	const pause = sqlrepo.LongestPause
	unit := l.claim("first")

	for attempts := range int64(2) {
		l.ok(l.Fail(l.ctx, unit, "nul \x00", pause))
		want := sqlrepo.Lease{Attempts: attempts + 1, RetryAt: sqlrepo.NewTime(l.now.Add(pause)), Error: "nul \uFFFD"}
		equal(l.t, "failed", l.look(), want)
		l.nothing()
		l.pass(pause - time.Microsecond)
		l.nothing()
		l.pass(time.Microsecond)
		unit = l.claim("second")
		equal(l.t, "attempts", leaseOf(unit).Attempts, attempts+1)
		equal(l.t, "error", leaseOf(unit).Error, "nul \uFFFD")
	}

	l.expire()
	equal(l.t, "attempts", leaseOf(l.claim("third")).Attempts, 3)
}

func setAside(l *leased) {
	l.ok(l.SetAside(l.ctx, l.claim("first"), "nul \x00"))
	equal(l.t, "set aside", l.look(),
		sqlrepo.Lease{Attempts: 1, SetAside: sqlrepo.NewTime(l.now), Error: "nul \uFFFD"})
	l.nothing()
	l.pass(100 * term)
	l.nothing()
}

// databaseClock checks two workers whose hosts disagree on the time. The term is by the database's clock.
func databaseClock(l *leased) {
	repo := sqlrepo.New(l.db)
	began := time.Now()
	unit := must(l.take(repo, sqlrepo.Claim{Worker: "first", Term: 400 * time.Millisecond}))(l.t)

	// The database's clock, which gives the times, may differ a little from this host's.
	lease := leaseOf(unit)
	if d := lease.Began.Sub(began); d < -time.Second || d > 5*time.Second || lease.Seen != lease.Began {
		l.t.Errorf("claimed at %v, %v later by the database", began, d)
	}
	equal(l.t, "term", lease.Ends.Sub(lease.Began.Time).Round(time.Second/10), 400*time.Millisecond)

	second := sqlrepo.Claim{Worker: "second", Term: time.Hour}
	_, err := l.take(repo, second)
	l.fails(err, sqlrepo.ErrNothingToClaim)

	time.Sleep(time.Until(began.Add(600 * time.Millisecond)))
	thief := must(l.take(repo, second))(l.t)
	equal(l.t, "attempts", leaseOf(thief).Attempts, 1)
	l.fails(repo.Renew(l.ctx, unit, time.Hour, 0), sqlrepo.ErrLeaseLost)

	l.ok(repo.Fail(l.ctx, thief, "reason", time.Hour))
	_, err = l.take(repo, second)
	l.fails(err, sqlrepo.ErrNothingToClaim)
}

func sameWorker(l *leased) {
	unit := l.claim("same")
	l.expire()
	l.claim("same")
	l.fails(l.Release(l.ctx, unit), sqlrepo.ErrLeaseLost)
}

// claimKnown has other uploads than the one that the worker knows: they got its key after the database went back to
// an earlier state.
func claimKnown(l *leased) {
	known := must(l.Upload(l.ctx, 1))(l.t)
	later, elsewhere := known, known
	later.StartedAt = sqlrepo.NewTime(known.StartedAt.Add(time.Microsecond))
	elsewhere.Source++

	for _, other := range []sqlrepo.Upload{later, elsewhere} {
		claim := claim("worker")
		claim.Known = &other
		_, err := l.take(l.Repository, claim)
		l.fails(err, sqlrepo.ErrNothingToClaim)
	}

	claim := claim("worker")
	claim.Known = &known
	must(l.take(l.Repository, claim))(l.t)
}
