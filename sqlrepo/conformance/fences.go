package conformance

import (
	"reflect"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func fences() []test {
	return []test{
		{"keep an earlier run out", fenceEarlierRun},
		{"keep a run out of an upload that is not there", fenceUnknownUpload},
		{"guard every method of a run", fenceEveryMethod},
	}
}

// fenced calls every method that changes something in the name of a run.
func (f *fixture) fenced(run sqlrepo.Run, entry sqlrepo.Entry, shard sqlrepo.Shard) map[string]func() error {
	return map[string]func() error{
		"SetState": func() error { return f.SetState(f.ctx, run, sqlrepo.Linking) },
		"CompleteUpload": func() error {
			return f.CompleteUpload(f.ctx, run, exampleCID(), sqlrepo.Counts{})
		},
		"SaveScan": func() error {
			return f.SaveScan(f.ctx, run, sqlrepo.ScanBatch{
				Added: []sqlrepo.Entry{file("new", 1)}, Changed: []sqlrepo.Entry{entry}, Vanished: []int64{entry.ID},
			})
		},
		"SavePlan": func() error {
			return f.SavePlan(f.ctx, run, []sqlrepo.PlannedShard{planned(100, sqlrepo.Segment{Entry: entry.ID})})
		},
		"ClaimShard": func() error {
			_, err := f.ClaimShard(f.ctx, run)
			return err
		},
		"SavePacked": func() error {
			result := packed(shard)
			result.TakenOut = []sqlrepo.TakenOut{{Entry: entry.ID, State: sqlrepo.Failed, Reason: "reason"}}
			return f.SavePacked(f.ctx, run, result)
		},
		"ResetLinks": func() error { return f.ResetLinks(f.ctx, run) },
		"SaveLinks": func() error {
			return f.SaveLinks(f.ctx, run, sqlrepo.LinkBatch{
				Roots:  []sqlrepo.Root{{Entry: entry.ID, CID: exampleCID()}},
				Shards: []sqlrepo.PackedShard{packed(sqlrepo.Shard{Ordinal: 100})},
			})
		},
	}
}

func fenceEarlierRun(f *fixture) {
	source := f.source(f.space())
	first := f.begin(source)
	files := f.add(first, file("a", 700), file("b", 700))
	f.ok(f.SaveLinks(f.ctx, first, sqlrepo.LinkBatch{Roots: []sqlrepo.Root{{Entry: files[1].ID, CID: exampleCID()}}}))
	f.plan(first, planned(1))
	shard := f.claimOnly(first, 0, files...)
	second := f.begin(source)
	before := f.dump()
	for name, call := range f.fenced(first, files[0], shard) {
		f.t.Log(name)
		f.fails(call(), sqlrepo.ErrLeaseLost)
		equal(f.t, name, f.dump(), before)
	}
	taken := must(f.ClaimShard(f.ctx, second))(f.t)
	equal(f.t, "taken over", taken.ID, shard.ID)
	f.fails(f.SavePacked(f.ctx, first, packed(shard)), sqlrepo.ErrLeaseLost)
	f.ok(f.SavePacked(f.ctx, second, packed(taken)))
}

func fenceUnknownUpload(f *fixture) {
	unknown := sqlrepo.Run{Upload: sqlrepo.Upload{ID: 100, Token: 1}}
	before := f.dump()
	for name, call := range f.fenced(unknown, sqlrepo.Entry{ID: 1}, sqlrepo.Shard{ID: 1}) {
		f.t.Log(name)
		f.fails(call(), sqlrepo.ErrLeaseLost)
		equal(f.t, name, f.dump(), before)
	}
}

// fenceEveryMethod fails when a method for runs is added that no test here calls.
func fenceEveryMethod(f *fixture) {
	calls := f.fenced(sqlrepo.Run{}, sqlrepo.Entry{}, sqlrepo.Shard{})
	for method := range reflect.TypeOf(f.Repository).Methods() {
		for i := range method.Type.NumIn() {
			if method.Type.In(i) == reflect.TypeFor[sqlrepo.Run]() && calls[method.Name] == nil {
				f.t.Errorf("%s is not tested", method.Name)
			}
		}
	}
}
