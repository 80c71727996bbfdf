package conformance

import "github.com/guppy-prep/guppy/sqlrepo"

func sources() []test {
	return []test{
		{"are found by name and path", findSources},
		{"are unique within their space", uniqueSources},
		{"belong to a space", sourceNeedsSpace},
		{"have any path", sourcePaths},
		{"change their options", sourceOptions},
		{"are removed and taken back in", removeSources},
		{"are moved to another path", moveSource},
		{"are remembered where they were seen", sourceSightings},
	}
}

func findSources(f *fixture) {
	space, other := f.space(), f.space()
	a, b, c := f.source(space), f.source(space), f.source(other)
	equal(f.t, "list", must(f.Sources(f.ctx, space.ID))(f.t), []sqlrepo.Source{a, b})
	equal(f.t, "by key", must(f.Source(f.ctx, c.ID))(f.t), c)
	equal(f.t, "by name", must(f.FindSource(f.ctx, space.ID, a.Name))(f.t), a)
	equal(f.t, "by path", must(f.FindSource(f.ctx, space.ID, string(b.Path)))(f.t), b)

	for _, unknown := range []string{"", "other", c.Name, string(c.Path)} {
		_, err := f.FindSource(f.ctx, space.ID, unknown)
		f.fails(err, sqlrepo.ErrNotFound)
	}

	_, err := f.Source(f.ctx, c.ID+1)
	f.fails(err, sqlrepo.ErrNotFound)
}

func uniqueSources(f *fixture) {
	space, other := f.space(), f.space()
	a := f.source(space)
	for _, taken := range []sqlrepo.Source{
		{Space: space.ID, Name: a.Name, Path: []byte("/another")},
		{Space: space.ID, Name: "another", Path: a.Path},
	} {
		_, err := f.AddSource(f.ctx, taken)
		f.fails(err, sqlrepo.ErrExists)
	}
	must(f.AddSource(f.ctx, sqlrepo.Source{Space: other.ID, Name: a.Name, Path: a.Path}))(f.t)
	equal(f.t, "sources", must(f.Sources(f.ctx, space.ID))(f.t), []sqlrepo.Source{a})
}

func sourceNeedsSpace(f *fixture) {
	_, err := f.AddSource(f.ctx, sqlrepo.Source{Space: 7, Name: "name", Path: []byte("/path")})
	f.fails(err, sqlrepo.ErrMissingReference)
}

func sourcePaths(f *fixture) {
	space := f.space()
	for _, path := range []string{"/", "/a b\n", "/\xff\xfe", `/'"; --`, "/日本"} {
		added := must(f.AddSource(f.ctx, sqlrepo.Source{Space: space.ID, Name: path, Path: []byte(path)}))(f.t)
		equal(f.t, "name", added.Name, sqlrepo.Text(path))
		equal(f.t, "found", must(f.FindSource(f.ctx, space.ID, path))(f.t), added)
	}
}

func sourceOptions(f *fixture) {
	space := f.space()
	a, b := f.source(space), f.source(space)
	for _, options := range []sqlrepo.SourceOptions{
		{Excludes: sqlrepo.Lines{"*.tmp", "", "\xff ?", "\r"}, SymlinkPolicy: "skip"},
		{SymlinkPolicy: "follow"},
	} {
		f.ok(f.SetSourceOptions(f.ctx, a.ID, options))
		equal(f.t, "options", must(f.Source(f.ctx, a.ID))(f.t).SourceOptions, options)
	}

	equal(f.t, "the other source", must(f.Source(f.ctx, b.ID))(f.t), b)
	f.fails(f.SetSourceOptions(f.ctx, b.ID+1, sqlrepo.SourceOptions{}), sqlrepo.ErrNotFound)
	if err := f.SetSourceOptions(f.ctx, a.ID, sqlrepo.SourceOptions{Excludes: sqlrepo.Lines{"a\nb"}}); err == nil {
		f.t.Error("a line with a newline was taken")
	}
}

func removeSources(f *fixture) {
	f.source(f.space()) // so that keys are not 1
	space := f.space()
	a := f.source(space)
	stage := f.begin(a)
	f.ok(f.RemoveSource(f.ctx, a.ID))
	f.fails(f.RemoveSource(f.ctx, a.ID), sqlrepo.ErrNotFound)
	_, err := f.FindSource(f.ctx, space.ID, a.Name)
	f.fails(err, sqlrepo.ErrNotFound)
	equal(f.t, "sources", len(must(f.Sources(f.ctx, space.ID))(f.t)), 0)
	equal(f.t, "time", must(f.Source(f.ctx, a.ID))(f.t).RemovedAt, sqlrepo.NewTime(started))
	equal(f.t, "upload", must(f.Upload(f.ctx, stage.Upload.ID))(f.t), stage.Upload)

	back := sqlrepo.Source{Space: space.ID, Name: "new name", Path: a.Path,
		SourceOptions: sqlrepo.SourceOptions{Excludes: sqlrepo.Lines{"x"}, SymlinkPolicy: "skip"}}
	again := must(f.AddSource(f.ctx, back))(f.t)
	equal(f.t, "key", again.ID, a.ID)
	equal(f.t, "source", must(f.FindSource(f.ctx, space.ID, "new name"))(f.t), again)
}

func moveSource(f *fixture) {
	space, other := f.space(), f.space()
	a, b, removed, elsewhere := f.source(space), f.source(space), f.source(space), f.source(other)
	f.ok(f.RemoveSource(f.ctx, removed.ID))

	f.fails(f.MoveSource(f.ctx, a, b.Path), sqlrepo.ErrExists)
	f.fails(f.MoveSource(f.ctx, a, removed.Path), sqlrepo.ErrExists)
	f.fails(f.MoveSource(f.ctx, removed, []byte("/new")), sqlrepo.ErrNotFound)
	f.ok(f.MoveSource(f.ctx, a, elsewhere.Path))

	moved := a
	moved.Path = elsewhere.Path
	equal(f.t, "sources", must(f.Sources(f.ctx, space.ID))(f.t), []sqlrepo.Source{moved, b})
	equal(f.t, "the other space", must(f.Sources(f.ctx, other.ID))(f.t), []sqlrepo.Source{elsewhere})

	// The caller knows a path that the source no longer has.
	f.fails(f.MoveSource(f.ctx, a, []byte("/new")), sqlrepo.ErrNotFound)
	f.ok(f.MoveSource(f.ctx, moved, []byte("/\xff")))
	f.ok(f.MoveSource(f.ctx, b, elsewhere.Path))
}

// sourceSightings records one sighting of a source for each path.
func sourceSightings(f *fixture) {
	a, b := f.source(f.space()), f.source(f.space())
	nas := sqlrepo.Sighting{
		Path:  "/nas",
		Mount: sqlrepo.Mount{Point: "/nas", Kind: "nfs4", Origin: "nas:/photos", Root: "/", Inner: "/"},
		Below: []sqlrepo.Mount{{Point: "2024", Kind: "ext4", Origin: "/dev/sda1", ID: "id", Root: "/", Inner: "/"}},
	}

	// Strings may hold bytes that neither JSON nor a text column takes.
	odd := sqlrepo.Sighting{Path: "/\xff\x00\\5c", Empty: true, Below: []sqlrepo.Mount{{Point: "\xfe"}, {Point: "\xff"}}}

	stage := f.begin(a)
	f.ok(f.RememberSighting(f.ctx, stage, nas))
	f.ok(f.AcceptSighting(f.ctx, a.ID, odd))
	f.ok(f.RememberSighting(f.ctx, stage, nas))

	known := must(f.Source(f.ctx, a.ID))(f.t).Sightings
	equal(f.t, "sightings", len(known), 2)
	for path, want := range map[string]sqlrepo.Sighting{nas.Path: nas,
		odd.Path: odd} {
		got, ok := known.At(path)
		equal(f.t, "known", ok, true)
		equal(f.t, "sighting", got, want)
	}

	_, ok := known.At("/other")
	equal(f.t, "another path", ok, false)

	changed := sqlrepo.Sighting{Path: nas.Path, Mount: sqlrepo.Mount{Point: "/", Kind: "xfs", Origin: "/dev/sdb",
		Root: "/", Inner: "/nas"}}
	f.ok(f.AcceptSighting(f.ctx, a.ID, changed))
	got, _ := must(f.Source(f.ctx, a.ID))(f.t).Sightings.At(nas.Path)
	equal(f.t, "accepted", got, changed)

	// A process that can't see mounts keeps what others know of them.
	f.ok(f.RememberSighting(f.ctx, stage, sqlrepo.Sighting{Path: nas.Path, Empty: true}))
	got, _ = must(f.Source(f.ctx, a.ID))(f.t).Sightings.At(nas.Path)
	changed.Empty = true
	equal(f.t, "what is known of mounts when a process can't tell", got, changed)
	equal(f.t, "the other source", must(f.Source(f.ctx, b.ID))(f.t), b)
	f.fails(f.AcceptSighting(f.ctx, b.ID+1, nas), sqlrepo.ErrNotFound)

	f.ok(f.RemoveSource(f.ctx, a.ID))

	// A source that is taken back in keeps its sightings.
	taken := must(f.AddSource(f.ctx, sqlrepo.Source{Space: a.Space, Name: "again", Path: a.Path}))(f.t)
	equal(f.t, "taken back in", len(taken.Sightings), 2)
}
