package conformance

import (
	"reflect"
	"slices"
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func fences() []test {
	return []test{
		{"keep out a worker that lost the stage", fenceStolenStage},
		{"keep out a worker that gave the stage up", fenceReleasedStage},
		{"keep out a worker that lost a shard", fenceStolenShard},
		{"keep everybody out of what is not there", fenceUnknown},
		{"guard every method of a stage", fenceEveryMethod},
	}
}

// onUnit returns calls of every method that changes something under a lease of any kind.
func (f *fixture) onUnit(unit sqlrepo.Unit) map[string]func() error {
	return map[string]func() error{
		"Renew":    func() error { return f.Renew(f.ctx, unit, time.Hour, 7) },
		"Release":  func() error { return f.Release(f.ctx, unit) },
		"Fail":     func() error { return f.Fail(f.ctx, unit, "reason", time.Hour) },
		"SetAside": func() error { return f.SetAside(f.ctx, unit, "reason") },
	}
}

// onStage returns calls of every method that changes something under the lease on a stage.
func (f *fixture) onStage(stage sqlrepo.Stage, entry sqlrepo.Entry, with sealing) map[string]func() error {
	calls := f.onUnit(stage)

	calls["Advance"] = func() error {
		_, err := f.Advance(f.ctx, stage, sqlrepo.Planning)
		return err
	}
	calls["BeginIndexing"] = func() error {
		_, err := f.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{})
		return err
	}
	calls["SaveIndexes"] = func() error { return f.SaveIndexes(f.ctx, stage, nil) }
	calls["CompleteUpload"] = func() error {
		_, err := f.CompleteUpload(f.ctx, stage, nil)
		return err
	}

	calls["ConfirmUnchanged"] = func() error {
		_, err := f.ConfirmUnchanged(f.ctx, stage, stage.Upload.ID)
		return err
	}
	calls["SaveScan"] = func() error {
		return f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{
			Added: []sqlrepo.Entry{file("new", 1)}, Changed: []sqlrepo.Entry{entry}, Vanished: []int64{entry.ID},
		})
	}

	calls["SavePlan"] = func() error {
		return f.SavePlan(f.ctx, stage, []sqlrepo.PlannedShard{planned(100, sqlrepo.Segment{Entry: entry.ID})})
	}
	calls["RememberSighting"] = func() error { return f.RememberSighting(f.ctx, stage, sqlrepo.Sighting{Path: "/seen"}) }
	calls["ResetLinks"] = func() error { return f.ResetLinks(f.ctx, stage) }

	f.onRemoval(stage, entry, with, calls)
	calls["SaveLinks"] = func() error {
		shard := packed(sqlrepo.Shard{Ordinal: 200})
		roots := []sqlrepo.Root{{Entry: entry.ID, CID: exampleCID()}}
		return f.sealLinks(stage, sqlrepo.LinkBatch{Roots: roots, Shard: &shard}, with)
	}

	return calls
}

// onShard returns calls of every method that changes something under the lease on a shard.
func (f *fixture) onShard(shard sqlrepo.Shard, entry sqlrepo.Entry, with sealing) map[string]func() error {
	calls := f.onUnit(shard)
	calls["SealShard"] = func() error {
		result := packed(shard)
		result.TakenOut = []sqlrepo.TakenOut{{Entry: entry.ID, State: sqlrepo.Failed, Reason: "reason"}}
		_, err := f.sealShard(result, with)
		return err
	}
	return calls
}

// refused checks that no call changes anything, not even what a dump leaves out.
func (f *fixture) refused(calls map[string]func() error) {
	f.t.Helper()
	before := f.everything()
	for name, call := range calls {
		f.t.Log(name)
		f.fails(call(), sqlrepo.ErrLeaseLost)
		equal(f.t, name, f.everything(), before)
	}
}

// everything returns a dump with the leases, the counts of attempts and the revisions of the spaces.
func (f *fixture) everything() string {
	f.t.Helper()
	text := f.dump()

	for _, query := range []string{
		`SELECT id || ' ' || token || ' ' || COALESCE(worker, '-') || ' ' || COALESCE(lease_ends, -1) || ' ' || progress ||
			' ' || attempts || ' ' || COALESCE(retry_at, -1) || ' ' || COALESCE(set_aside_at, -1) || ' ' ||
			COALESCE(error, '-') || ' ' || COALESCE(stage_began, -1) || ' ' || stage_bytes || ' ' ||
			COALESCE(store, '-') FROM uploads ORDER BY id`,
		`SELECT id || ' ' || token || ' ' || COALESCE(worker, '-') || ' ' || COALESCE(lease_ends, -1) || ' ' || progress ||
			' ' || attempts || ' ' || COALESCE(retry_at, -1) || ' ' || COALESCE(set_aside_at, -1) || ' ' ||
			COALESCE(error, '-') FROM shards ORDER BY id`,
		`SELECT id || ' ' || revision || ' ' || COALESCE(store, '-') FROM spaces ORDER BY id`,
		`SELECT identity || ' ' || name || ' ' || url || ' ' || COALESCE(seen_at, -1) FROM stores ORDER BY identity`,
	} {
		var rows []string
		f.ok(f.db.Writer.SelectContext(f.ctx, &rows, query))
		for _, row := range rows {
			text += row + "\n"
		}
	}

	return text
}

func fenceStolenStage(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 700), file("b", 700))
	f.plan(stage, planFor(0, files[0]))
	f.ok(f.link(stage, sqlrepo.LinkBatch{Roots: []sqlrepo.Root{{Entry: files[1].ID, CID: exampleCID()}}}))

	sealing := f.sealing(stage.Upload.ID)
	f.expire()
	thief := f.stage(stage.Upload)
	f.refused(f.onStage(stage, files[0], sealing))
	f.ok(f.Renew(f.ctx, thief, term, 1))

	for _, name := range []string{"SaveScan", "SavePlan", "ResetLinks", "SaveLinks", "Advance", "Renew", "Release"} {
		f.t.Log(name)
		f.ok(f.onStage(thief, files[0], sealing)[name]())
	}
}

func fenceReleasedStage(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 700))
	f.ok(f.Release(f.ctx, stage))
	f.refused(f.onStage(stage, files[0], f.sealing(stage.Upload.ID)))

	// A token of 0 is no lease, though the row has the same.
	nobody := stage
	nobody.Upload.Token = 0
	f.refused(f.onStage(nobody, files[0], f.sealing(stage.Upload.ID)))
}

func fenceStolenShard(f *fixture) {
	stage := f.newStage()
	files := f.add(stage, file("a", 700), file("b", 700))
	f.toPack(stage, planFor(0, files...), planned(1))
	sealing := f.sealing(stage.Upload.ID)

	// A shard that is not claimed has the token 0.
	nobody := f.shards(stage)[0]
	f.refused(f.onShard(nobody, files[0], sealing))

	shard := f.shard(stage)
	f.expire()
	thief := f.shard(stage)
	equal(f.t, "shard", thief.ID, shard.ID)

	f.refused(f.onShard(shard, files[0], sealing))
	f.ok(f.Release(f.ctx, thief))
	f.refused(f.onShard(shard, files[0], sealing))
	f.refused(f.onShard(thief, files[0], sealing))

	f.ok(f.onShard(f.shard(stage), files[0], sealing)["SealShard"]())
}

func fenceUnknown(f *fixture) {
	stage := f.newStage()
	sealing := f.sealing(stage.Upload.ID)
	unknown := sqlrepo.Stage{Upload: sqlrepo.Upload{ID: 100, State: sqlrepo.Scanning}}
	unknown.Upload.Token = stage.Upload.Token
	f.refused(f.onStage(unknown, sqlrepo.Entry{ID: 1}, sealing))
	shard := sqlrepo.Shard{ID: 100, Upload: stage.Upload.ID}
	shard.Token = stage.Upload.Token
	f.refused(f.onShard(shard, sqlrepo.Entry{ID: 1}, sealing))
	f.refused(f.onUnit(nil))
}

// unfenced lists methods for repairs, which keep all others away.
var unfenced = []string{"ReplaceNodes", "ShrinkShard"}

// fenceEveryMethod fails if a method for stages, shards or any unit is added that no test here calls.
func fenceEveryMethod(f *fixture) {
	stage := f.onStage(sqlrepo.Stage{}, sqlrepo.Entry{}, sealing{})
	shard := f.onShard(sqlrepo.Shard{}, sqlrepo.Entry{}, sealing{})

	for method := range reflect.TypeOf(f.Repository).Methods() {
		for i := range method.Type.NumIn() {
			switch method.Type.In(i) {
			case reflect.TypeFor[sqlrepo.Stage]():
				called(f, method.Name, stage)
			case reflect.TypeFor[sqlrepo.Shard](), reflect.TypeFor[sqlrepo.PackedShard]():
				called(f, method.Name, shard)
			case reflect.TypeFor[sqlrepo.Unit]():
				called(f, method.Name, stage)
				called(f, method.Name, shard)
			}
		}
	}
}

func called(f *fixture, method string, calls map[string]func() error) {
	if calls[method] == nil && !slices.Contains(unfenced, method) {
		f.t.Errorf("%s is not tested", method)
	}
}
