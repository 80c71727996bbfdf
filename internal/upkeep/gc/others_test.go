package gc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/conformance"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

// onLog calls a function with each message.
type onLog func(message string)

func (onLog) Enabled(context.Context, slog.Level) bool             { return true }
func (l onLog) Handle(_ context.Context, record slog.Record) error { l(record.Message); return nil }
func (l onLog) WithAttrs([]slog.Attr) slog.Handler                 { return l }
func (l onLog) WithGroup(string) slog.Handler                      { return l }

// look is logged after a space was viewed, before its uploads are walked.
const look = "finding the shards that other uploads need"

// twins prepares the same content from two sources.
func (f *fixture) twins() (first, second sqlrepo.Upload) {
	f.tb.Helper()
	for job := range 2 {
		for i := range 3 {
			content := make([]byte, 2<<20)
			content[0] = byte(i)
			f.write(job, fmt.Sprint(i), 0, content...)
		}
		f.write(job, "own", 1<<20)
	}
	return f.prepare(0), f.prepare(1)
}

// TestAnUploadThatIsRemovedDuringTheLookIsNoDamage removes an upload completely just before it is walked.
func TestAnUploadThatIsRemovedDuringTheLookIsNoDamage(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 2), t.Context()
		first, second := f.twins()
		looks, collector := 0, f.collector()
		collector.Log = slog.New(onLog(func(message string) {
			if message != look {
				return
			}
			if looks++; looks > 1 {
				return
			}
			must(t, removal.New(f.repo).RemoveUpload(ctx, second.ID))

			_, err := f.collector().Collect(ctx, f.space.ID)
			must(t, err)
		}))
		must(t, removal.New(f.repo).RemoveUpload(ctx, first.ID))
		if sum, err := collector.Collect(ctx, f.space.ID); err != nil || sum.Uploads != 1 || sum.KeptShards != 0 {
			t.Errorf("%+v, %v", sum, err)
		}

		if looks != 2 {
			t.Errorf("looked %d times", looks)
		}
		f.empty()
	})
}

// TestDamageIsToldAsDamage has a remaining upload that lacks a root.
func TestDamageIsToldAsDamage(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 2), t.Context()
		first, second := f.twins()
		stored := f.stored()
		statement := fmt.Sprintf("DELETE FROM entries WHERE upload = %d", second.ID)
		_, err := db.Writer.ExecContext(ctx, statement)
		must(t, err)
		must(t, removal.New(f.repo).RemoveUpload(ctx, first.ID))

		_, err = f.collector().Collect(ctx, f.space.ID)
		if err == nil || errors.Is(err, sqlrepo.ErrSpaceChanged) || !strings.Contains(err.Error(), "guppy check") {
			t.Errorf("%v", err)
		}
		if left := f.stored(); len(left) != len(stored) {
			t.Errorf("%q are left of %q", left, stored)
		}
	})
}

// TestALinkerWhoseLeaseHasEndedIsInNobodysWay has a linker on another host, which may be alive or not.
func TestALinkerWhoseLeaseHasEndedIsInNobodysWay(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 2), t.Context()
		f.write(0, "file", 3<<20)
		removed := f.prepare(0)
		f.write(1, "other", 10)
		stage := f.linking(1, time.Hour)
		must(t, removal.New(f.repo).RemoveUpload(ctx, removed.ID))
		if _, err := f.collector().Collect(ctx, f.space.ID); !errors.Is(err, sqlrepo.ErrAtWork) {
			t.Errorf("beside a linker: %v", err)
		}
		must(t, f.repo.Renew(ctx, stage, time.Microsecond, 0))
		if sum, err := f.collector().Collect(ctx, f.space.ID); err != nil || sum.Files == 0 {
			t.Errorf("%+v, %v", sum, err)
		}

		if _, err := f.repo.Advance(ctx, stage, sqlrepo.Incomplete); !errors.Is(err, sqlrepo.ErrLeaseLost) {
			t.Errorf("the linker goes on: %v", err)
		}
		f.prepare(1)
		f.sound()
	})
}

// linking returns an upload that a process is linking.
func (f *fixture) linking(job int, term time.Duration) sqlrepo.Stage {
	f.tb.Helper()
	ctx := context.Background()
	opened, err := f.repo.OpenUpload(ctx, f.jobs[job].Source.ID, f.jobs[job].Fresh)
	must(f.tb, err)
	claim := sqlrepo.Claim{Worker: "otherhost/1", Term: term}
	stage, err := f.repo.ClaimStage(ctx, claim, opened.Upload.ID)
	must(f.tb, err)
	stage, err = conformance.Reach(ctx, f.repo, claim, stage, sqlrepo.Linking)
	must(f.tb, err)
	return stage
}

// TestRemovalsBesideEachOther removes several uploads, each twice at once, while others collect and prepare.
func TestRemovalsBesideEachOther(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db, 3)
		var gone []int64
		for round := range 4 {
			f.write(round%2, fmt.Sprint(round), 1<<20)
			first, second := f.twins()
			gone = append(gone, first.ID, second.ID)
		}

		f.write(2, "own", 1<<20)
		var all sync.WaitGroup
		for i, id := range append(gone, gone...) {
			all.Go(func() { f.removeBeside(id, i%2 == 0) })
		}

		all.Go(func() { f.prepare(2) })
		all.Wait()
		f.collectAll()
		f.sound()
		if left := f.remaining(); len(left) != 1 {
			t.Errorf("%d uploads remain", len(left))
		}

		f.rm(f.remaining()[0].ID)
		f.empty()
	})
}

// removeBeside removes an upload that others may be removing too.
func (f *fixture) removeBeside(id int64, collect bool) {
	ctx := context.Background()
	err := removal.New(f.repo).RemoveUpload(ctx, id)
	if collect || err != nil {
		_, collected := f.collector().Collect(ctx, f.space.ID)
		err = errors.Join(err, collected)
	}
	if err != nil && !errors.Is(err, sqlrepo.ErrAtWork) && !errors.Is(err, sqlrepo.ErrNotFound) {
		f.tb.Errorf("upload %d: %v", id, err)
	}
}

// TestWhatWasPlannedIsNotLookedUpAgain counts the look-ups of blocks.
func TestWhatWasPlannedIsNotLookedUpAgain(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			recorder := &enginetest.Recorder{}
			f, ctx := newFixture(t, engine.Record(t, recorder), 2), t.Context()
			lookUps := func(planned bool) (n int) {
				f.write(0, "new", 2<<20)
				upload, collector := f.prepare(0), f.collector()
				if planned {
					_, err := collector.Plan(ctx, f.space.ID, []sqlrepo.Upload{upload})
					must(t, err)
				}
				must(t, removal.New(f.repo).RemoveUpload(ctx, upload.ID))

				recorder.Reset()
				_, err := collector.Collect(ctx, f.space.ID)
				must(t, err)
				for statement, times := range recorder.Statements() {
					if strings.Contains(statement, "prefix") {
						n += times
					}
				}
				return n
			}

			f.write(1, "remains", 3<<20)
			f.prepare(1)
			if without, with := lookUps(false), lookUps(true); without == 0 || with != 0 {
				t.Errorf("looked %d times without a plan, %d times with one", without, with)
			}
			f.sound()
		})
	}
}

// TestAPlanIsForgottenOnceAnUploadIsGone removes another upload completely between a plan and the removal.
func TestAPlanIsForgottenOnceAnUploadIsGone(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 2), t.Context()
		first, second := f.twins()
		collector := f.collector()
		plan, err := collector.Plan(ctx, f.space.ID, []sqlrepo.Upload{first})
		if err != nil || plan.KeptShards == 0 {
			t.Errorf("%+v, %v", plan, err)
		}

		f.rm(second.ID)
		must(t, removal.New(f.repo).RemoveUpload(ctx, first.ID))
		if sum, err := collector.Collect(ctx, f.space.ID); err != nil || sum.KeptShards != 0 {
			t.Errorf("%+v, %v", sum, err)
		}
		f.empty()
	})
}

// TestWhatANewUploadTakesOverMeanwhileStays: while the entries of an older upload are deleted, a new upload takes
// content over from a later one, which is then removed. The entries of the older upload are what both share.
func TestWhatANewUploadTakesOverMeanwhileStays(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f, ctx := newFixture(t, db, 1), t.Context()
		for i := range 1200 {
			f.write(0, fmt.Sprintf("%04d", i), 10)
		}
		first := f.prepare(0)
		f.write(0, "0000", 20)
		second := f.prepare(0)

		var meanwhile sync.Once
		collector := f.collector()
		collector.Deleted = func(int64) {
			meanwhile.Do(func() {
				f.write(0, "0001", 20)
				f.prepare(0)
				must(t, removal.New(f.repo).RemoveUpload(ctx, second.ID))

				_, err := f.collector().Collect(ctx, f.space.ID)
				must(t, err)
			})
		}
		must(t, removal.New(f.repo).RemoveUpload(ctx, first.ID))

		sum, err := collector.Collect(ctx, f.space.ID)
		must(t, err)
		// The first page was classified before the third upload took over all but one of its files.
		if sum.KeptEntries < 1198 || sum.Entries+sum.KeptEntries != 1201 {
			t.Errorf("%+v", sum)
		}
		f.sound()
	})
}
