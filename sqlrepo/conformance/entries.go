package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func entries() []test {
	return []test{
		{"come in canonical order", canonicalOrder},
		{"come page by page", pageEntries},
		{"come once while others go", entriesVanishMeanwhile},
		{"are filtered by state", filterEntries},
		{"are measured when they have content to plan", largestToPlan},
		{"may have the longest path", longestPath},
		{"store an empty target apart from none", emptyTarget},
	}
}

// nastyNames are names that break collations, text columns, separators and patterns.
func nastyNames() []string {
	return []string{"a", "a b", "a-b", "a.b", "a!", "a\nb", "a\x01", "ab", "A", "B", "b", " ", "\t", "-", "..a", "\\", "%",
		"?", "é", "e\u0301", "ß", "日本", "\xff", "\xfe\xff", "\x80a", "'", `"`,
		strings.Repeat("n", 255), strings.Repeat("\xff", 255)}
}

func canonicalOrder(f *fixture) {
	want := []sqlrepo.Entry{directory("")}
	for _, name := range nastyNames() {
		want = append(want, directory(name), directory(name+"/a"), file(name+"/a/a", 1), file(name+"/a-b", 1))
	}

	stage := f.newStage()

	// The order of insertion must not matter.
	shuffled := slices.Clone(want)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	f.add(stage, shuffled...)

	slices.SortFunc(want, func(a, b sqlrepo.Entry) int { return slices.Compare(a.Path.Components(), b.Path.Components()) })
	equal(f.t, "order", paths(collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))), paths(want))

	for _, name := range nastyNames() {
		below := sqlrepo.EntryFilter{Below: sqlrepo.Path(name)}
		got := paths(collect(f.t, f.Entries(f.ctx, stage.Upload.ID, below)))
		equal(f.t, "below", got, paths([]sqlrepo.Entry{directory(name + "/a"), file(name+"/a/a", 1), file(name+"/a-b", 1)}))
	}

	// Behind an entry comes the next one that is not below it.
	for i, before := range want[1:] {
		behind := want[i+2:]
		for len(behind) > 0 && before.Path.Contains(behind[0].Path) {
			behind = behind[1:]
		}
		filter := sqlrepo.EntryFilter{Behind: before.Path}
		equal(f.t, "behind", paths(collect(f.t, f.Entries(f.ctx, stage.Upload.ID, filter))), paths(behind))
	}
}

// many returns n entries in canonical order.
func many(n int) (entries []sqlrepo.Entry) {
	for i := range n {
		entries = append(entries, file(fmt.Sprintf("%05d", i), int64(i)))
	}
	return entries
}

func pageEntries(f *fixture) {
	stage, other := f.newStage(), f.newStage()
	added := f.add(stage, many(5000)...)
	f.add(other, many(3)...)
	got := collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))
	equal(f.t, "entries", got, added)

	n := 0
	for _, err := range f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}) {
		f.ok(err)
		if n++; n == 2000 {
			break
		}
	}

	// These sizes are at the limits of pages.
	for _, size := range []int{0, 1, 2000, 4000} {
		stage := f.newStage()
		f.add(stage, many(size)...)
		got := collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))
		equal(f.t, "entries", len(got), size)
	}
}

func entriesVanishMeanwhile(f *fixture) {
	stage := f.newStage()
	added := f.add(stage, many(4500)...)

	last, n, kept := sqlrepo.Path(""), 0, 0
	for entry, err := range f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}) {
		f.ok(err)
		if entry.Path <= last {
			f.t.Fatalf("%q after %q", entry.Path, last)
		}

		// The entries that vanish lie on both sides of the end of the page.
		if n++; n == 1000 {
			f.ok(f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Vanished: keys(added[:2500])}))
		}

		if last = entry.Path; entry.ID > added[2499].ID {
			kept++
		}
	}

	equal(f.t, "entries that stayed", kept, 2000)
}

func filterEntries(f *fixture) {
	stage := f.newStage()

	var all []sqlrepo.Entry
	for state := sqlrepo.Ready; state <= sqlrepo.Unreachable; state++ {
		e := file(fmt.Sprintf("%d", state), 1)
		e.State = state
		if state != sqlrepo.Ready && state != sqlrepo.Rescanned && state != sqlrepo.Unreachable {
			e.Reason = "a reason"
		}
		all = append(all, e)
	}

	all = f.add(stage, all...)
	for _, list := range []struct {
		states []sqlrepo.EntryState
		want   []sqlrepo.Entry
	}{
		{nil, all},
		{[]sqlrepo.EntryState{}, nil},
		{[]sqlrepo.EntryState{sqlrepo.Ready}, all[:1]},
		{[]sqlrepo.EntryState{sqlrepo.Unsupported, sqlrepo.Failed}, all[3:5]},
		{[]sqlrepo.EntryState{sqlrepo.Unreachable}, all[5:]},
	} {
		filter := sqlrepo.EntryFilter{States: list.states}
		equal(f.t, "entries", collect(f.t, f.Entries(f.ctx, stage.Upload.ID, filter)), list.want)
	}
}

// largestToPlan adds larger and larger files. Only those that can be planned count.
func largestToPlan(f *fixture) {
	stage := f.newStage()
	for i, step := range []struct {
		state  sqlrepo.EntryState
		origin int64
		want   int64
	}{
		{sqlrepo.Failed, 0, 0},
		{sqlrepo.Ready, 0, 2},
		{sqlrepo.Ready, 100, 2},
		{sqlrepo.Changed, 0, 2},
		{sqlrepo.Rescanned, 0, 5},
		{sqlrepo.Unreachable, 0, 5},
		{sqlrepo.Unsupported, 0, 5},
	} {
		e := file(fmt.Sprintf("%d", i), int64(i+1))
		e.State, e.Origin = step.state, step.origin
		f.add(stage, e)
		equal(f.t, fmt.Sprintf("largest file after step %d", i), must(f.LargestFile(f.ctx, stage.Upload.ID))(f.t), step.want)
	}
}

// longestPath draws random bytes, since a server may compress the keys of its indexes.
func longestPath(f *fixture) {
	var path strings.Builder
	for path.Len() < sqlrepo.MaxPathLength {
		if path.Len()%200 == 199 {
			path.WriteByte(0)
			continue
		}
		path.WriteByte(byte(1 + rand.IntN(255)))
	}

	stage := f.newStage()
	added := f.add(stage, sqlrepo.Entry{Path: sqlrepo.Path(path.String())})
	got := collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{}))
	equal(f.t, "entries", got, added)
}

func emptyTarget(f *fixture) {
	stage := f.newStage()
	targets := [][]byte{nil, {}, {0}, []byte("\xff/ ")}

	var links []sqlrepo.Entry
	for i, target := range targets {
		links = append(links, entry(fmt.Sprintf("%d", i), sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: target}))
	}

	f.add(stage, links...)
	for i, got := range collect(f.t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})) {
		equal(f.t, "target", string(got.Target), string(targets[i]))
	}

	for i, row := range f.rows("entries") {
		if stored, isThere := row["target"].(string); isThere != (targets[i] != nil) {
			f.t.Errorf("target %#v is stored as %q, %t", targets[i], stored, isThere)
		}
	}
}

// errStop is the error that a caller stops with.
var errStop = errors.New("stop")
