package conformance

import (
	"errors"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func proofs() []test {
	return []test{
		{"refuses what is neither linked nor left out", proveLinked},
		{"refuses what could not be prepared and is not skipped", proveReady},
		{"believes rows rather than a tally", proveByRows},
		{"follows the rows behind rescanning", leaveRescanning},
		{"scans again only once", scanAgainOnce},
		{"goes on from its own state alone", advanceFromState},
	}
}

// indexing returns an upload in a store, with a linked file, a shared one, a linked directory and an entry left
// out.
func (f *fixture) indexing(skip bool) (stage sqlrepo.Stage, entries []sqlrepo.Entry) {
	f.t.Helper()
	source := f.source(f.space())
	f.complete(f.begin(source))
	wanted := fresh(source)
	wanted.Store, wanted.SkipFailed = f.store("store"), skip
	stage = f.stage(must(f.OpenUpload(f.ctx, source.ID, wanted))(f.t).Upload)

	shared, pipe := file("shared", 5), file("unsupported", 0)
	shared.Origin = 1
	pipe.Kind, pipe.State, pipe.Reason = sqlrepo.Special, sqlrepo.Unsupported, "named pipe"
	entries = f.add(stage, directory("directory"), file("file", 5), shared, pipe)
	stage = must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	equal(f.t, "shared", stage.Upload.Shared, 1)
	return must(f.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{}))(f.t), entries
}

// unsettled checks that an upload can't be completed, and that the attempt changes nothing.
func (f *fixture) unsettled(what string, stage sqlrepo.Stage, want sqlrepo.UnsettledError) {
	f.t.Helper()
	before := f.everything()
	_, err := f.CompleteUpload(f.ctx, stage, nil)
	var unsettled *sqlrepo.UnsettledError
	if !errors.As(err, &unsettled) || !errors.Is(err, sqlrepo.ErrUnsettled) {
		f.t.Fatalf("%s: got %v", what, err)
	}

	want.Upload = stage.Upload.ID
	equal(f.t, what, *unsettled, want)
	equal(f.t, what, f.everything(), before)
}

// proveLinked loses roots in every possible way.
func proveLinked(f *fixture) {
	for what, lose := range map[string]func(sqlrepo.Stage, []sqlrepo.Entry){
		"a file without a root":      func(_ sqlrepo.Stage, e []sqlrepo.Entry) { f.ok(f.ForgetRoots(f.ctx, keys(e[1:2]))) },
		"a directory without a root": func(_ sqlrepo.Stage, e []sqlrepo.Entry) { f.ok(f.ForgetRoots(f.ctx, keys(e[:1]))) },
		"a file with another origin": func(_ sqlrepo.Stage, e []sqlrepo.Entry) { f.ok(f.Replan(f.ctx, keys(e[2:3]))) },
		"an entry that came late": func(stage sqlrepo.Stage, _ []sqlrepo.Entry) {
			link := entry("late", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("x")})
			f.add(stage, link)
		},
	} {
		stage, entries := f.indexing(false)
		lose(stage, entries)
		f.unsettled(what, stage, sqlrepo.UnsettledError{Unlinked: 1})
	}

	stage, _ := f.indexing(false)
	equal(f.t, "state", must(f.CompleteUpload(f.ctx, stage, nil))(f.t).State, sqlrepo.Complete)
}

// proveReady leaves entries out in every way. Changed entries are never skipped.
func proveReady(f *fixture) {
	for _, skip := range []bool{false, true} {
		for _, state := range []sqlrepo.EntryState{sqlrepo.Changed, sqlrepo.Failed, sqlrepo.Unreachable} {
			stage, _ := f.indexing(skip)
			left := file("left", 1)
			left.State = state
			if state != sqlrepo.Unreachable {
				left.Reason = "reason"
			}
			f.add(stage, left)

			if state == sqlrepo.Changed || !skip {
				f.unsettled(left.Path.String(), stage, sqlrepo.UnsettledError{Unready: 1})
				continue
			}
			equal(f.t, "state", must(f.CompleteUpload(f.ctx, stage, nil))(f.t).State, sqlrepo.Complete)
		}
	}
}

// proveByRows has a tally that was not counted, like the uploads from before there were tallies.
func proveByRows(f *fixture) {
	for _, column := range []string{"found_entries", "linked_entries", "shared_entries"} {
		stage, entries := f.indexing(false)
		f.execute("UPDATE uploads SET " + column + " = 0")
		f.ok(f.ForgetRoots(f.ctx, keys(entries[1:2])))
		f.unsettled(column, stage, sqlrepo.UnsettledError{Unlinked: 1})

		stage, _ = f.indexing(false)
		f.execute("UPDATE uploads SET " + column + " = 0")
		equal(f.t, column, must(f.CompleteUpload(f.ctx, stage, nil))(f.t).State, sqlrepo.Complete)
	}
}

// rescanning returns an upload that has one entry in the given state when everything is packed.
func (f *fixture) rescanning(state sqlrepo.EntryState, skip, again bool) sqlrepo.Stage {
	f.t.Helper()
	source := f.source(f.space())
	wanted := fresh(source)
	wanted.SkipFailed = skip
	stage := f.stage(must(f.OpenUpload(f.ctx, source.ID, wanted))(f.t).Upload)

	if again {
		stage = must(f.Advance(f.ctx, must(f.reach(stage, sqlrepo.Rescanning))(f.t), sqlrepo.Scanning))(f.t)
	}
	equal(f.t, "scanned again", stage.Upload.ScannedAgain, again)

	left := file("a", 1)
	left.State = state
	if state != sqlrepo.Ready && state != sqlrepo.Unreachable {
		left.Reason = "it is different"
	}

	f.add(stage, left, file("b", 1))
	stage = must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	return f.stage(f.packing(stage))
}

func leaveRescanning(f *fixture) {
	for _, tt := range []struct {
		state       sqlrepo.EntryState
		skip, again bool
		want        sqlrepo.UploadState
	}{
		{sqlrepo.Ready, false, false, sqlrepo.Linking},
		{sqlrepo.Unsupported, false, false, sqlrepo.Linking},
		{sqlrepo.Changed, false, false, sqlrepo.Scanning},
		{sqlrepo.Changed, true, false, sqlrepo.Scanning},
		{sqlrepo.Changed, false, true, sqlrepo.Incomplete},
		{sqlrepo.Changed, true, true, sqlrepo.Linking},
		{sqlrepo.Failed, false, false, sqlrepo.Incomplete},
		{sqlrepo.Failed, true, false, sqlrepo.Linking},
		{sqlrepo.Unreachable, false, true, sqlrepo.Incomplete},
		{sqlrepo.Unreachable, true, true, sqlrepo.Linking},
	} {
		stage := f.rescanning(tt.state, tt.skip, tt.again)
		token := stage.Upload.Token

		next := must(f.Advance(f.ctx, stage, sqlrepo.Linking))(f.t).Upload
		equal(f.t, "next", next, f.upload(stage))
		equal(f.t, "state", next.State, tt.want)
		equal(f.t, "scanned again", next.ScannedAgain, tt.again || tt.want == sqlrepo.Scanning)

		if tt.want == sqlrepo.Incomplete {
			token = 0
		}
		equal(f.t, "token", next.Token, token)

		// An entry that still differs after the second scan has failed.
		failed := tt.state == sqlrepo.Failed || tt.state == sqlrepo.Changed && tt.again
		equal(f.t, "failed", must(f.CountEntries(f.ctx, next.ID, sqlrepo.Failed))(f.t) == 1, failed)
	}
}

// scanAgainOnce starts a run after one that has scanned its source twice. The new run may scan twice, too.
func scanAgainOnce(f *fixture) {
	source := f.source(f.space())
	stage := must(f.reach(f.begin(source), sqlrepo.Rescanning))(f.t)
	stage = must(f.Advance(f.ctx, stage, sqlrepo.Scanning))(f.t)
	equal(f.t, "scanned again", f.upload(stage).ScannedAgain, true)
	equal(f.t, "another run", f.again(source).Upload.ScannedAgain, false)
}

func advanceFromState(f *fixture) {
	stage := f.newStage()
	must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	before := f.everything()
	_, err := f.Advance(f.ctx, stage, sqlrepo.Planning)
	f.fails(err, sqlrepo.ErrState)
	_, err = f.Repository.BeginIndexing(f.ctx, stage, exampleCID(), sqlrepo.Counts{})
	f.fails(err, sqlrepo.ErrLeaseLost)
	_, err = f.CompleteUpload(f.ctx, stage, nil)
	f.fails(err, sqlrepo.ErrLeaseLost)
	equal(f.t, "everything", f.everything(), before)
}
