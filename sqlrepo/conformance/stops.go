package conformance

import (
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func stops() []test {
	return []test{
		{"are kept until something goes on", stopKept},
		{"are forgotten when a shard is packed", stopPacked},
		{"are not kept of what is done", stopDone},
		{"may be any text", stopTexts},
		{"and failures have no secrets", failureTexts},
	}
}

// stopIs compares the reason that an upload has.
func (f *fixture) stopIs(upload int64, want string) {
	f.t.Helper()
	row := must(f.Upload(f.ctx, upload))(f.t)
	equal(f.t, "reason", row.StopReason, want)
	equal(f.t, "has a time", !row.StoppedAt.IsZero(), want != "")
}

func stopKept(f *fixture) {
	source := f.source(f.space())
	stage := f.begin(source)
	id := stage.Upload.ID
	f.stopIs(id, "")
	f.ok(f.NoteStop(f.ctx, id, "the store is full"))
	equal(f.t, "time", must(f.Upload(f.ctx, id))(f.t).StoppedAt, sqlrepo.NewTime(f.now))

	// It is there for the next run, which opens the upload and claims its stage.
	f.expire()
	equal(f.t, "opened", f.open(source).Upload.StopReason, "the store is full")
	stage = f.stage(must(f.Upload(f.ctx, id))(f.t))
	f.stopIs(id, "the store is full")
	f.ok(f.NoteStop(f.ctx, id, "again"))
	f.stopIs(id, "again")
	must(f.Advance(f.ctx, stage, sqlrepo.Planning))(f.t)
	f.stopIs(id, "")
}

func stopPacked(f *fixture) {
	stage := f.newStage()
	f.toPack(stage, planFor(0, f.add(stage, file("a", 5))...), planned(1))
	f.ok(f.NoteStop(f.ctx, stage.Upload.ID, "reason"))
	f.sealed(packed(f.shard(stage)))
	f.stopIs(stage.Upload.ID, "")
}

func stopDone(f *fixture) {
	source := f.source(f.space())
	upload := f.completed(source)
	f.ok(f.NoteStop(f.ctx, upload, "reason"))
	f.stopIs(upload, "")
	f.ok(f.RemoveUpload(f.ctx, upload))
	f.ok(f.NoteStop(f.ctx, upload, "reason"))
	f.stopIs(upload, "")
	f.ok(f.NoteStop(f.ctx, 77, "reason"))

	unfinished := f.again(source).Upload.ID
	f.ok(f.NoteStop(f.ctx, unfinished, "reason"))
	f.expire()
	f.ok(f.RemoveUpload(f.ctx, unfinished))
	f.stopIs(unfinished, "")
}

func stopTexts(f *fixture) {
	upload := f.newStage().Upload.ID
	f.ok(f.NoteStop(f.ctx, upload, "nul \x00 and \xff"))
	f.stopIs(upload, sqlrepo.Text("nul \x00 and \xff"))

	// A secret is not kept, not even one that begins where the text ends.
	secrets := "postgres://me:hunter2@h/db and X-Amz-Signature=hunter2"
	f.ok(f.NoteStop(f.ctx, upload, strings.Repeat("x", 3975)+" "+secrets))
	if row := must(f.Upload(f.ctx, upload))(f.t); strings.Contains(row.StopReason, "hun") {
		f.t.Errorf("a secret is kept: %s", row.StopReason[3970:])
	}
	f.ok(f.NoteStop(f.ctx, upload, strings.Repeat("é", 10_000)))
	equal(f.t, "length", len(must(f.Upload(f.ctx, upload))(f.t).StopReason), 4000)
}

// failureTexts fails and sets aside a stage with an error that has secrets.
func failureTexts(f *fixture) {
	const failure, want = "connect to postgres://me:hunter2@h/db: no", "connect to postgres://me:xxxxx@h/db: no"
	source := f.source(f.space())
	stage := f.begin(source)
	f.ok(f.Fail(f.ctx, stage, failure, 0))
	equal(f.t, "failed", must(f.Upload(f.ctx, stage.Upload.ID))(f.t).Error, want)
	f.ok(f.SetAside(f.ctx, f.stage(must(f.Upload(f.ctx, stage.Upload.ID))(f.t)), failure))
	equal(f.t, "set aside", must(f.Upload(f.ctx, stage.Upload.ID))(f.t).Error, want)
}
