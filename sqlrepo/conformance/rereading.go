package conformance

import "github.com/guppy-prep/guppy/sqlrepo"

func rereading() []test {
	return []test{
		{"doubts what is read when it begins", rereadBegins},
		{"goes on with what it has read", rereadGoesOn},
		{"is not joined by who asks for it", rereadJoins},
	}
}

// unproven counts the unproven entries of an upload.
func (f *fixture) unproven(upload int64) (n int) {
	f.t.Helper()
	for _, entry := range collect(f.t, f.Entries(f.ctx, upload, sqlrepo.EntryFilter{})) {
		if entry.Unproven {
			n++
		}
	}
	return n
}

func rereadBegins(f *fixture) {
	source := f.source(f.space())
	stage := f.begin(source)
	f.add(stage, file("a", 1), file("b", 2), directory("d"))
	f.expire()

	wanted := fresh(source)
	wanted.Rereading = sqlrepo.Rereading{Reread: true, IgnoreInode: true, IgnoreCtime: true, MtimeWindow: 5}
	again := must(f.OpenUpload(f.ctx, source.ID, wanted))(f.t)
	equal(f.t, "kept", again.Upload.Rereading, wanted.Rereading)
	equal(f.t, "doubted", f.unproven(stage.Upload.ID), 2)
}

func rereadGoesOn(f *fixture) {
	source := f.source(f.space())
	wanted := fresh(source)
	wanted.Reread = true
	stage := f.stage(must(f.OpenUpload(f.ctx, source.ID, wanted))(f.t).Upload)
	f.add(stage, file("a", 1))
	f.expire()
	for _, wanted.Reread = range []bool{true, false} {
		again := must(f.OpenUpload(f.ctx, source.ID, wanted))(f.t)
		equal(f.t, "rereading", again.Upload.Reread, true)
		equal(f.t, "doubted", f.unproven(stage.Upload.ID), 0)
	}
}

func rereadJoins(f *fixture) {
	source := f.source(f.space())
	f.begin(source)
	for _, other := range []sqlrepo.Rereading{{Reread: true}, {IgnoreInode: true}, {IgnoreCtime: true}, {MtimeWindow: 1}} {
		wanted := fresh(source)
		wanted.Rereading = other
		_, err := f.OpenUpload(f.ctx, source.ID, wanted)
		f.fails(err, sqlrepo.ErrAtWork)
	}
}
