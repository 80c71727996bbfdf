package conformance

import (
	"fmt"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func unchanged() []test {
	return []test{
		{"is what shares everything", unchangedShared},
		{"is nothing else", changedInAnyWay},
		{"has the same recipe", changedRecipe},
		{"is no upload that is wanted anyway", unchangedAlways},
		{"leaves no row, and its tags", unchangedDropped},
		{"is told to all who were at it", unchangedSince},
		{"is fenced", unchangedFenced},
		{"drops many entries", unchangedMany},
		{"is compared some entries at a time", unchangedInParts},
	}
}

// seen are the entries of a source: a file, a directory with a time, a symlink and a pipe.
func seen() []sqlrepo.Entry {
	directory := entry("d", sqlrepo.Fingerprint{Kind: sqlrepo.Directory, ModTime: 5, Mode: 0o755})
	link := entry("l", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, ModTime: 6, Target: []byte("d")})
	pipe := entry("p", sqlrepo.Fingerprint{Kind: sqlrepo.Special})
	pipe.State, pipe.Reason = sqlrepo.Unsupported, "named pipe"
	return []sqlrepo.Entry{file("a", 5), directory, link, pipe}
}

// first is a complete upload of a source with what was seen there.
func (f *fixture) first(source sqlrepo.Source) (upload int64, entries []sqlrepo.Entry) {
	f.t.Helper()
	stage := f.again(source)
	entries = f.add(stage, seen()...)
	f.complete(stage)
	return stage.Upload.ID, entries
}

// second begins another upload of the source, in which its scan has found entries that share those of the first.
func (f *fixture) second(source sqlrepo.Source, first []sqlrepo.Entry, change func([]sqlrepo.Entry) []sqlrepo.Entry,
) sqlrepo.Stage {
	f.t.Helper()
	stage := f.again(source)
	entries := seen()
	entries[0].Origin = first[0].ID
	if change != nil {
		entries = change(entries)
	}
	f.add(stage, entries...)
	return stage
}

func (f *fixture) isUnchanged(stage sqlrepo.Stage, want int64) {
	f.t.Helper()
	previous, err := f.Unchanged(f.ctx, stage.Upload)
	if want == 0 {
		f.fails(err, sqlrepo.ErrNotFound)
		return
	}
	f.ok(err)
	equal(f.t, "previous upload", previous.ID, want)
}

func unchangedShared(f *fixture) {
	source := f.source(f.space())
	f.isUnchanged(f.begin(source), 0) // there is none before
	source = f.source(f.space())
	upload, entries := f.first(source)
	f.isUnchanged(f.second(source, entries, nil), upload)

	// The content may be that of a still earlier upload.
	source = f.source(f.space())
	_, entries = f.first(source)
	middle := f.second(source, entries, nil)
	f.complete(middle)
	f.isUnchanged(f.second(source, entries, nil), middle.Upload.ID)
}

func changedInAnyWay(f *fixture) {
	for what, change := range map[string]func([]sqlrepo.Entry) []sqlrepo.Entry{
		"another file": func(e []sqlrepo.Entry) []sqlrepo.Entry { e[0].Origin = 0; return e },
		"a file more": func(e []sqlrepo.Entry) []sqlrepo.Entry {
			return append(e, file("z", 0))
		},
		"a file less":       func(e []sqlrepo.Entry) []sqlrepo.Entry { return e[1:] },
		"a pipe less":       func(e []sqlrepo.Entry) []sqlrepo.Entry { return e[:3] },
		"another mode":      func(e []sqlrepo.Entry) []sqlrepo.Entry { e[0].Mode = 0o600; return e },
		"another name":      func(e []sqlrepo.Entry) []sqlrepo.Entry { e[1].Path = "e"; return e },
		"another time":      func(e []sqlrepo.Entry) []sqlrepo.Entry { e[1].ModTime++; return e },
		"another era":       func(e []sqlrepo.Entry) []sqlrepo.Entry { e[2].Era = 1; return e },
		"another target":    func(e []sqlrepo.Entry) []sqlrepo.Entry { e[2].Target = []byte("a"); return e },
		"another kind":      func(e []sqlrepo.Entry) []sqlrepo.Entry { e[1] = file("d", 0); return e },
		"another reason":    func(e []sqlrepo.Entry) []sqlrepo.Entry { e[3].Reason = "socket"; return e },
		"another file time": func(e []sqlrepo.Entry) []sqlrepo.Entry { e[0].ModTime++; return e },
		"failed":            func(e []sqlrepo.Entry) []sqlrepo.Entry { e[1].State = sqlrepo.Failed; return e },
		"a failed pipe":     func(e []sqlrepo.Entry) []sqlrepo.Entry { e[3].State = sqlrepo.Failed; return e },
		"changed meanwhile": func(e []sqlrepo.Entry) []sqlrepo.Entry { e[0].State = sqlrepo.Changed; return e },
	} {
		source := f.source(f.space())
		_, entries := f.first(source)
		stage := f.second(source, entries, change)
		if _, err := f.Unchanged(f.ctx, stage.Upload); err == nil {
			f.t.Errorf("%s: unchanged", what)
		}
	}

	// An entry that failed in the upload before is tried again, even if it fails once more.
	source := f.source(f.space())
	_, entries := f.first(source)
	f.execute("UPDATE entries SET state = 3 WHERE state = 4")
	f.isUnchanged(f.second(source, entries, func(e []sqlrepo.Entry) []sqlrepo.Entry {
		e[3].State = sqlrepo.Failed
		return e
	}), 0)

	// So is an upload that is planned already.
	source = f.source(f.space())
	_, entries = f.first(source)
	stage := f.second(source, entries, nil)
	f.ok(f.SavePlan(f.ctx, stage, []sqlrepo.PlannedShard{planned(0)}))
	f.isUnchanged(stage, 0)
}

func changedRecipe(f *fixture) {
	for what, change := range map[string]func(*sqlrepo.Upload){
		"profile":  func(u *sqlrepo.Upload) { u.Profile = "another" },
		"store":    func(u *sqlrepo.Upload) { u.Store = "another" },
		"excludes": func(u *sqlrepo.Upload) { u.Excludes = sqlrepo.Lines{"x"} },
		"symlinks": func(u *sqlrepo.Upload) { u.SymlinkPolicy = "skip" },
		"layout":   func(u *sqlrepo.Upload) { u.IndexLayout = "spec" },
		"slices":   func(u *sqlrepo.Upload) { u.IndexSlices++ },
		"pieces":   func(u *sqlrepo.Upload) { u.PieceCID = true },
	} {
		source := f.source(f.space())
		upload, entries := f.first(source)
		stage := f.second(source, entries, nil)
		f.isUnchanged(stage, upload)
		stage.Upload.ShardSize *= 2
		f.isUnchanged(stage, upload)
		change(&stage.Upload)
		if _, err := f.Unchanged(f.ctx, stage.Upload); err == nil {
			f.t.Errorf("another %s: unchanged", what)
		}
	}
}

func unchangedAlways(f *fixture) {
	source := f.source(f.space())
	_, entries := f.first(source)
	stage := f.second(source, entries, nil)
	for _, change := range []func(*sqlrepo.Upload){
		func(u *sqlrepo.Upload) { u.Always = true }, func(u *sqlrepo.Upload) { u.Reread = true },
		func(u *sqlrepo.Upload) { u.ScannedAgain = true },
	} {
		wanted := stage
		change(&wanted.Upload)
		f.isUnchanged(wanted, 0)
	}

	// The wish stays when the upload is opened again, and can't come to an upload that others are at.
	wish := fresh(source)
	wish.Always = true
	f.fails(second(f.OpenUpload(f.ctx, source.ID, wish)), sqlrepo.ErrAtWork)
	f.expire()
	equal(f.t, "always", must(f.OpenUpload(f.ctx, source.ID, wish))(f.t).Upload.Always, true)
	equal(f.t, "always again", f.open(source).Upload.Always, true)

	other := f.source(f.space())
	equal(f.t, "a new one", must(f.OpenUpload(f.ctx, other.ID, wish))(f.t).Upload.Always, true)
	equal(f.t, "as it is stored", f.open(other).Upload.Always, true)
}

func unchangedDropped(f *fixture) {
	source := f.source(f.space())
	upload, entries := f.first(source)
	f.ok(f.Tag(f.ctx, upload, []string{"a", "b"}, nil))
	before := f.dump()

	stage := f.second(source, entries, func(e []sqlrepo.Entry) []sqlrepo.Entry {
		e[0].Inode, e[1].Ctime, e[3].Inode = 77, 78, 79
		return e
	})
	f.isUnchanged(stage, upload)
	f.ok(f.Tag(f.ctx, stage.Upload.ID, []string{"b", "c"}, nil))
	removed := must(f.ConfirmUnchanged(f.ctx, stage, upload))(f.t)
	equal(f.t, "state", removed.Upload.State, sqlrepo.Removed)
	equal(f.t, "token", removed.Upload.Token, stage.Upload.Token)
	f.ok(f.Renew(f.ctx, removed, term, 1))
	f.fails(second(f.ClaimRemoval(f.ctx, claim("another"), removed.Upload.ID)), sqlrepo.ErrNothingToClaim)
	f.tagsAre(upload, "a", "b", "c")
	f.tagsAre(removed.Upload.ID)

	f.ok(f.DropEntries(f.ctx, removed))
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, removed))(f.t), true)
	f.ok(f.Tag(f.ctx, upload, nil, []string{"c"}))
	equal(f.t, "dump", f.dump(), before)

	confirmed := must(f.Upload(f.ctx, upload))(f.t)
	equal(f.t, "confirmed by", confirmed.ConfirmedBy, removed.Upload.ID)
	equal(f.t, "confirmed at", confirmed.ConfirmedAt, sqlrepo.NewTime(f.now))

	// It is found by the inodes and ctimes that it has now.
	found := collect(f.t, f.Entries(f.ctx, upload, sqlrepo.EntryFilter{}))
	equal(f.t, "inode and ctime", []int64{found[0].Inode, found[1].Ctime, found[3].Inode}, []int64{77, 78, 79})

	// The next upload is another one.
	equal(f.t, "next upload", f.again(source).Upload.ID, removed.Upload.ID+1)
}

func unchangedSince(f *fixture) {
	source := f.source(f.space())
	upload, entries := f.first(source)
	stage := f.second(source, entries, nil)
	f.fails(second(f.UnchangedSince(f.ctx, stage.Upload)), sqlrepo.ErrNotFound)
	removed := must(f.ConfirmUnchanged(f.ctx, stage, upload))(f.t)
	equal(f.t, "previous", must(f.UnchangedSince(f.ctx, stage.Upload))(f.t).ID, upload)
	f.ok(f.DropEntries(f.ctx, removed))
	must(f.FinishRemoval(f.ctx, removed))(f.t)
	equal(f.t, "previous", must(f.UnchangedSince(f.ctx, stage.Upload))(f.t).ID, upload)

	// A later upload is not what that run has found.
	later := f.second(source, entries, nil)
	f.fails(second(f.UnchangedSince(f.ctx, later.Upload)), sqlrepo.ErrNotFound)
}

func unchangedFenced(f *fixture) {
	source := f.source(f.space())
	upload, entries := f.first(source)
	stage := f.second(source, entries, nil)

	// The earlier upload has to be complete.
	f.fails(second(f.ConfirmUnchanged(f.ctx, stage, stage.Upload.ID)), sqlrepo.ErrState)

	// A removal of the earlier upload is refused while the scan has its lease, and comes first after that.
	f.fails(f.RemoveUpload(f.ctx, upload), sqlrepo.ErrAtWork)
	f.expire()
	other := f.stage(must(f.Upload(f.ctx, stage.Upload.ID))(f.t))
	f.fails(second(f.ConfirmUnchanged(f.ctx, stage, upload)), sqlrepo.ErrLeaseLost)
	f.fails(f.DropEntries(f.ctx, stage), sqlrepo.ErrLeaseLost)
	f.fails(f.DropEntries(f.ctx, other), sqlrepo.ErrLeaseLost) // it is not removed

	f.expire()
	f.ok(f.RemoveUpload(f.ctx, upload))
	f.fails(second(f.ConfirmUnchanged(f.ctx, other, upload)), sqlrepo.ErrLeaseLost) // the removal has ended the scan
	equal(f.t, "state", must(f.UploadState(f.ctx, other.Upload.ID))(f.t), sqlrepo.Scanning)
}

func unchangedMany(f *fixture) {
	const many = 10_001 // three transactions
	source := f.source(f.space())
	upload, _ := f.first(source)
	stage := f.again(source)
	files := make([]sqlrepo.Entry, many)
	for i := range files {
		files[i] = file(string(rune('0'+i%64))+string(rune(0x4e00+i)), 0)
	}
	slices.SortFunc(files, func(a, b sqlrepo.Entry) int { return slices.Compare([]byte(a.Path), []byte(b.Path)) })
	f.add(stage, files...)
	removed := must(f.ConfirmUnchanged(f.ctx, stage, upload))(f.t)
	f.ok(f.DropEntries(f.ctx, removed))
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, removed))(f.t), true)
}

// unchangedInParts compares uploads with more entries than one statement goes through.
func unchangedInParts(f *fixture) {
	const many = 25_000 // three statements
	source := f.source(f.space())
	files := make([]sqlrepo.Entry, many)
	for i := range files {
		files[i] = file(fmt.Sprintf("%06d", i), 0)
	}
	stage := f.again(source)
	f.add(stage, files...)
	f.complete(stage)
	upload := stage.Upload.ID

	again := slices.Clone(files)
	for i := range again {
		again[i].Origin = files[i].ID
	}
	stage = f.again(source)
	f.add(stage, again...)
	f.isUnchanged(stage, upload)

	for _, at := range []int{0, 12_345, many - 1} {
		one := fmt.Sprintf("(SELECT MIN(id) + %d FROM entries WHERE upload = %%d)", at)
		f.execute("UPDATE entries SET size = 1 WHERE id = " + fmt.Sprintf(one, stage.Upload.ID))
		f.isUnchanged(stage, 0)
		f.execute("UPDATE entries SET size = 0 WHERE id = " + fmt.Sprintf(one, stage.Upload.ID))
		f.execute("UPDATE entries SET upload = -1 WHERE id = " + fmt.Sprintf(one, upload))
		f.isUnchanged(stage, 0)
		f.execute(fmt.Sprintf("UPDATE entries SET upload = %d WHERE upload = -1", upload))
		f.execute("UPDATE entries SET upload = -1 WHERE id = " + fmt.Sprintf(one, stage.Upload.ID))
		f.isUnchanged(stage, 0)
		f.execute(fmt.Sprintf("UPDATE entries SET upload = %d WHERE upload = -1", stage.Upload.ID))
	}
	f.isUnchanged(stage, upload)

	f.execute(fmt.Sprintf("UPDATE entries SET inode = 5 WHERE upload = %d", stage.Upload.ID))
	must(f.ConfirmUnchanged(f.ctx, stage, upload))(f.t)
	for entry, err := range f.Entries(f.ctx, upload, sqlrepo.EntryFilter{}) {
		f.ok(err)
		if entry.Inode != 5 {
			f.t.Fatalf("%s has the inode %d", entry.Path, entry.Inode)
		}
	}
}
