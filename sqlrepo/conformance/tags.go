package conformance

import (
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

func tags() []test {
	return []test{
		{"are added and removed", tagUpload},
		{"are listed by space and source", listTags},
		{"go with what is removed", tagRemoved},
		{"are any text", tagTexts},
	}
}

// tagsAre compares the tags of an upload.
func (f *fixture) tagsAre(upload int64, want ...string) {
	f.t.Helper()
	equal(f.t, "tags", must(f.TagsOf(f.ctx, upload))(f.t), want)
}

func tagUpload(f *fixture) {
	upload := f.newStage().Upload.ID // unfinished, and at work
	f.tagsAre(upload)
	f.ok(f.Tag(f.ctx, upload, []string{"b", "a", "b"}, nil))
	f.tagsAre(upload, "a", "b")
	f.ok(f.Tag(f.ctx, upload, []string{"a", "c"}, []string{"b", "missing"}))
	f.tagsAre(upload, "a", "c")
	f.ok(f.Tag(f.ctx, upload, []string{"a"}, []string{"a"})) // what is added wins
	f.tagsAre(upload, "a", "c")
	f.fails(f.Tag(f.ctx, 77, []string{"a"}, nil), sqlrepo.ErrNotFound)
}

func listTags(f *fixture) {
	space := f.space()
	one, other, elsewhere := f.source(space), f.source(space), f.source(f.space())
	first, second, third := f.begin(one).Upload.ID, f.begin(other).Upload.ID, f.begin(elsewhere).Upload.ID
	f.ok(f.Tag(f.ctx, first, []string{"B", "a", "é"}, nil))
	f.ok(f.Tag(f.ctx, third, []string{"a"}, nil))

	list := func(filter sqlrepo.UploadFilter) map[int64][]string { return must(f.Tags(f.ctx, filter))(f.t) }
	of, elsewhereOf := []string{"B", "a", "é"}, []string{"a"}
	equal(f.t, "all", list(sqlrepo.UploadFilter{}), map[int64][]string{first: of, third: elsewhereOf})
	equal(f.t, "of the space", list(sqlrepo.UploadFilter{Space: &space.ID}), map[int64][]string{first: of})
	equal(f.t, "of a source", list(sqlrepo.UploadFilter{Source: &elsewhere.ID}), map[int64][]string{third: elsewhereOf})
	equal(f.t, "of uploads", must(f.TagsOfUploads(f.ctx, []int64{third, first}))(f.t), list(sqlrepo.UploadFilter{}))
	equal(f.t, "of one upload", must(f.TagsOfUploads(f.ctx, []int64{third}))(f.t), map[int64][]string{third: elsewhereOf})
	equal(f.t, "of none", list(sqlrepo.UploadFilter{Source: &other.ID}), map[int64][]string{})
	f.tagsAre(second)
}

func tagRemoved(f *fixture) {
	stage := f.newStage()
	f.ok(f.Tag(f.ctx, stage.Upload.ID, []string{"a"}, nil))
	removing := f.removed(stage)
	f.tagsAre(stage.Upload.ID)
	f.fails(f.Tag(f.ctx, stage.Upload.ID, []string{"b"}, nil), sqlrepo.ErrState)
	equal(f.t, "gone", must(f.FinishRemoval(f.ctx, removing))(f.t), true)
	f.fails(f.Tag(f.ctx, stage.Upload.ID, nil, []string{"a"}), sqlrepo.ErrNotFound)
}

func tagTexts(f *fixture) {
	upload := f.newStage().Upload.ID
	long := strings.Repeat("x", 255)
	f.ok(f.Tag(f.ctx, upload, []string{"nul\x00", "\xff", "' --", long}, nil))
	want := []string{"' --", "nul" + sqlrepo.Text("\x00"), long, sqlrepo.Text("\xff")}
	equal(f.t, "number of tags", len(must(f.TagsOf(f.ctx, upload))(f.t)), len(want))
	f.ok(f.Tag(f.ctx, upload, nil, []string{"nul\x00", "\xff", "' --"}))
	f.tagsAre(upload, long)
}

// completed makes a complete upload of a source.
func (f *fixture) completed(source sqlrepo.Source) int64 {
	f.t.Helper()
	stage := f.again(source)
	f.complete(stage)
	return stage.Upload.ID
}

func removeDecided(f *fixture) {
	source := f.source(f.space())
	first, second, third := f.completed(source), f.completed(source), f.completed(source)
	f.ok(f.Tag(f.ctx, first, []string{"b", "a"}, nil))
	decided := removal.Decision{Tags: []string{"a", "b"}, Kept: []int64{third}}

	// A tag that came, or went, makes another decision.
	for _, tags := range [][]string{nil, {"a"}, {"a", "b", "c"}} {
		f.fails(f.RemoveDecided(f.ctx, first, removal.Decision{Tags: tags, Kept: []int64{third}}), removal.ErrOutdated)
	}

	// So does the loss of what was to stay.
	f.fails(f.RemoveDecided(f.ctx, first, removal.Decision{Tags: decided.Tags, Kept: []int64{third, 77}}),
		removal.ErrOutdated)
	equal(f.t, "state", must(f.UploadState(f.ctx, first))(f.t), sqlrepo.Complete)
	f.tagsAre(first, "a", "b")

	// The end of another one that goes does not.
	f.ok(f.RemoveDecided(f.ctx, second, removal.Decision{Kept: []int64{third}}))
	f.ok(f.RemoveDecided(f.ctx, first, decided))
	f.fails(f.RemoveDecided(f.ctx, first, removal.Decision{Kept: []int64{third}}), removal.ErrOutdated)

	// An unfinished upload is no candidate.
	unfinished := f.again(source).Upload.ID
	f.expire()
	f.fails(f.RemoveDecided(f.ctx, unfinished, removal.Decision{Kept: []int64{third}}), removal.ErrOutdated)
	f.ok(f.RemoveUpload(f.ctx, third))
	f.fails(f.RemoveDecided(f.ctx, third, removal.Decision{}), removal.ErrOutdated)
}
