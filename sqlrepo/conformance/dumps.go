package conformance

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

//go:embed dump.golden
var golden string

func dumps() []test {
	return []test{
		{"are the same on every engine", dumpGolden},
		{"are the same again", dumpAgain},
		{"do not tell workers apart", dumpWithoutLeases},
		{"stop with their writer", dumpStops},
	}
}

// scenario leaves rows of every kind in every table.
func (f *fixture) scenario() {
	source := f.source(f.space())
	options := sqlrepo.SourceOptions{Excludes: sqlrepo.Lines{"*.tmp", "\xff"}, SymlinkPolicy: "skip"}
	f.ok(f.SetSourceOptions(f.ctx, source.ID, options))

	// The first upload is complete.
	first := f.stage(f.in(source, "one"))
	f.linkedFiles(&first, "a", "a b", "a/\xff", "日本")

	first = must(f.BeginIndexing(f.ctx, first, exampleCID(), sqlrepo.Counts{}))(f.t)
	shards := collect(f.t, f.Uncovered(f.ctx, source.Space, first.Upload.ID))
	must(f.CompleteUpload(f.ctx, first, []sqlrepo.NewIndex{newIndex(1, shards[:3]...), newIndex(2, shards[3])}))(f.t)
	f.ok(f.Tag(f.ctx, first.Upload.ID, []string{"release", "日本 \xff"}, nil))

	// The second one is unfinished, and has values that are hard to encode.
	second := f.begin(f.source(f.space()))
	link, empty := entry("link", sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("\xff\n")}), file("e", 0)
	link.Origin, empty.Target = 1, []byte{}
	files := f.add(second, link, empty, file("a", 1<<29), file("a/b", 5))

	f.dag(second, 2)
	f.toPack(second, planFor(0, files[1:]...), planned(1))

	result := packed(f.shard(second))
	out := sqlrepo.TakenOut{Entry: files[3].ID, State: sqlrepo.Changed, Reason: "nul \x00, \"quotes\" & <é>"}
	result.Nodes = append(result.Nodes, sqlrepo.Node{Position: 1000, Length: 5, Codec: 0x55, Digest: digest(0xfe, 1)})
	result.TakenOut, result.Digests = append(result.TakenOut, out), append(result.Digests, make([]byte, 64)...)
	f.sealed(result)

	f.ok(f.RemoveSource(f.ctx, source.ID))
}

func dumpGolden(f *fixture) {
	f.scenario()
	got, want := strings.Split(f.dump(), "\n"), strings.Split(golden, "\n")
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			f.t.Fatalf("line %d differs from dump.golden; the dump is:\n%s", i+1, strings.Join(got, "\n"))
		}
	}
}

func dumpAgain(f *fixture) {
	f.scenario()
	first := f.dump()
	equal(f.t, "dump again", f.dump(), first)
	f.clear()
	equal(f.t, "empty dump", f.dump(), "")
	f.scenario()
	equal(f.t, "dump of the same work", f.dump(), first)
}

func dumpWithoutLeases(f *fixture) {
	source := f.source(f.space())
	stage := f.begin(source)
	before := f.dump()
	f.ok(f.Renew(f.ctx, stage, term, 7))
	f.ok(f.Fail(f.ctx, stage, "reason", 0))
	equal(f.t, "dump", f.dump(), before)
	f.again(source)
	equal(f.t, "dump", f.dump(), before)
}

// failing accepts some bytes and then fails.
type failing struct{ left int }

func (w *failing) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, fmt.Errorf("disk full: %w", errStop)
	}
	return len(p), nil
}

func dumpStops(f *fixture) {
	f.scenario()
	for _, left := range []int{0, 1000} {
		f.fails(f.Dump(f.ctx, &failing{left}), errStop)
	}
}
