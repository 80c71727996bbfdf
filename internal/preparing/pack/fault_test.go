package pack_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/source/sourcetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// nine has small files and, as the last but one, a file of nine chunks and a bit.
var nine = sourcetest.Tree{Files: 10, Seed: 3, SizeOf: func(_, file int) int64 {
	if file == 8 {
		return 9<<20 + 5
	}
	return int64(file * 1000)
}}

const large = 8 // the file of nine chunks and a bit

// TestFilesThatChangedAreTakenOut checks that the other files stay. Entries are numbered from 1.
func TestFilesThatChangedAreTakenOut(t *testing.T) {
	for name, test := range map[string]struct {
		file    int
		disturb func(s *sourcetest.Synthetic, path string)
		state   sqlrepo.EntryState
		reason  string
	}{
		"changed before": {3, func(s *sourcetest.Synthetic, p string) { s.Change(p, 0) }, sqlrepo.Changed, "modified"},
		"changed while":  {3, func(s *sourcetest.Synthetic, p string) { s.Change(p, 1) }, sqlrepo.Changed, "modified"},
		"large, first":   {large, func(s *sourcetest.Synthetic, p string) { s.Change(p, 1) }, sqlrepo.Changed, "modified"},
		"large, midway":  {large, func(s *sourcetest.Synthetic, p string) { s.Change(p, 6) }, sqlrepo.Changed, "modified"},
		"large, last": {large, func(s *sourcetest.Synthetic, p string) { s.Change(p, 10) }, sqlrepo.Changed,
			"modified"},
		"shrinks": {large, func(s *sourcetest.Synthetic, p string) { s.Truncate(p, 5, 2<<20) }, sqlrepo.Changed,
			"changed"},
		"grows": {7, func(s *sourcetest.Synthetic, p string) { s.Truncate(p, 1, 5<<20) }, sqlrepo.Changed,
			"length"},
		"gone":              {5, func(s *sourcetest.Synthetic, p string) { s.Remove(p) }, sqlrepo.Changed, "vanished"},
		"first of the plan": {0, func(s *sourcetest.Synthetic, p string) { s.Remove(p) }, sqlrepo.Changed, "vanished"},
		"last of the plan":  {9, func(s *sourcetest.Synthetic, p string) { s.Change(p, 1) }, sqlrepo.Changed, "modified"},
		"forbidden": {5, func(s *sourcetest.Synthetic, p string) { s.Fail(p, "open", fs.ErrPermission) },
			sqlrepo.Failed, "permission"},
		"unreadable": {large, func(s *sourcetest.Synthetic, p string) { s.FailRead(p, 4, syscall.EIO) },
			sqlrepo.Failed, "input/output"},
	} {
		for _, readAhead := range []int{1, 40} {
			t.Run(name, func(t *testing.T) {
				tree := sourcetest.NewSynthetic(nine)
				f := newFixture(t, tree, planAll(t, tree, 10), readAhead)

				// Entries are numbered from 1.
				out := map[int64]bool{int64(test.file + 1): true}
				want := f.plan.blocks(t, sourcetest.NewSynthetic(nine), out)

				test.disturb(tree, tree.FilePath(0, test.file))
				packed, err := f.pack(t.Context())
				must(t, err)
				if got := packed.TakenOut; len(got) != 1 || got[0].Entry != int64(test.file+1) ||
					got[0].State != test.state || !strings.Contains(got[0].Reason, test.reason) {
					t.Errorf("taken out: %+v", got)
				}

				equal(t, "files", packed.Files, 9)
				equal(t, "files counted", f.packer.Progress.Files.Load(), 9)
				equal(t, "bytes counted", f.packer.Progress.Bytes.Load(), packed.Shard.Content)

				// Only the chunks of the entry that was taken out have no digest.
				for i, segment := range f.plan {
					zero := make([]byte, 32)
					first := packed.Digests[segment.Chunk*32:][:32]
					equal(t, "no digest", slices.Equal(first, zero), i == test.file)
				}

				checkBlocks(t, f.store, packed, want)
				must(t, packed.Abort())
				f.checkNothing(t)
			})
		}
	}
}

// TestAFileThatChangesAgainFails checks that a file fails if it changes after its second scan. After its first
// scan, it would only be scanned again.
func TestAFileThatChangesAgainFails(t *testing.T) {
	for _, disturb := range []func(s *sourcetest.Synthetic, path string){
		func(s *sourcetest.Synthetic, p string) { s.Change(p, 1) },
		(*sourcetest.Synthetic).Remove,
	} {
		tree := sourcetest.NewSynthetic(nine)
		f := newFixture(t, tree, planAll(t, tree, 10), 3)
		f.plan[4].State = sqlrepo.Rescanned
		disturb(tree, tree.FilePath(0, 4))
		packed, err := f.pack(t.Context())
		must(t, err)
		if len(packed.TakenOut) != 1 || packed.TakenOut[0].State != sqlrepo.Failed {
			t.Errorf("taken out: %+v", packed.TakenOut)
		}

		must(t, packed.Abort())
	}
}

// TestAllOfThemMayBeTakenOut checks that all files are taken out, in the order of the plan.
func TestAllOfThemMayBeTakenOut(t *testing.T) {
	tree := sourcetest.NewSynthetic(nine)
	f := newFixture(t, tree, planAll(t, tree, 10), 40)
	for i := range 10 {
		// The first file is empty, and need not be read.
		tree.Change(tree.FilePath(0, i), min(i, 1))
	}

	packed, err := f.pack(t.Context())
	must(t, err)
	equal(t, "taken out", len(packed.TakenOut), 10)
	equal(t, "in order", slices.IsSortedFunc(packed.TakenOut, func(a, b sqlrepo.TakenOut) int {
		return int(a.Entry - b.Entry)
	}), true)
	equal(t, "empty", packed.Draft.Empty(), true)
	must(t, packed.Abort())
	f.checkNothing(t)
}

// TestAShortageIsNotTheFilesFault checks that files are not blamed for a shortage or for a source that is gone.
func TestAShortageIsNotTheFilesFault(t *testing.T) {
	for want, disturb := range map[error]func(s *sourcetest.Synthetic){
		syscall.EMFILE: func(s *sourcetest.Synthetic) { s.Fail(s.FilePath(0, 6), "open", syscall.EMFILE) },
		source.ErrGone: func(s *sourcetest.Synthetic) {
			s.FailRead(s.FilePath(0, large), 4, syscall.ESTALE)
			s.Fail(sourcetest.Root, "stat", syscall.ESTALE)
		},
	} {
		tree := sourcetest.NewSynthetic(nine)
		f := newFixture(t, tree, planAll(t, tree, 10), 3)
		disturb(tree)
		if packed, err := f.pack(t.Context()); !errors.Is(err, want) {
			t.Errorf("%v, %v; want %v", packed, err, want)
		}

		f.checkNothing(t)
	}
}

// stopping calls cancel when a number of reads have begun.
type stopping struct {
	source.FS
	reads  atomic.Int64
	at     int64
	cancel context.CancelCauseFunc
}

func (s *stopping) Open(path string) (source.File, error) {
	if s.reads.Add(1) == s.at {
		s.cancel(errBroken)
	}
	return s.FS.Open(path)
}

// TestPackingEndsWithItsContext checks that packing can end anywhere, closes the files it opened, and leaves
// nothing behind.
func TestPackingEndsWithItsContext(t *testing.T) {
	tree := sourcetest.NewSynthetic(mixed)
	for at := int64(0); at <= 200; at += 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		fsys := &stopping{FS: tree, at: at, cancel: cancel}
		f := newFixture(t, fsys, planAll(t, tree, 200), 8)
		if at == 0 {
			cancel(errBroken)
		}

		packed, err := f.pack(ctx)
		if cause := context.Cause(ctx); !errors.Is(err, errBroken) && !errors.Is(err, context.Canceled) || cause == nil {
			t.Errorf("at %d: %v, %v", at, packed, err)
		}

		f.checkNothing(t)
		cancel(nil)
	}
}

// TestALargeFileIsOpenedOnce checks that many readers share one open file.
func TestALargeFileIsOpenedOnce(t *testing.T) {
	tree := sourcetest.NewSynthetic(sourcetest.Tree{Files: 1, Size: 40 * unixfs.ChunkSize, Seed: 1})
	counting := sourcetest.NewCounting(tree)
	f := newFixture(t, counting, planAll(t, tree, 1), 100)
	packed, err := f.pack(t.Context())
	must(t, err)
	must(t, packed.Abort())
	total := counting.Total()
	equal(t, "opens", total.Opens, 1)
	equal(t, "bytes read", total.BytesRead, 40*unixfs.ChunkSize)
	if peak := counting.Peak(); peak > 17 {
		t.Errorf("%d chunks of memory are in use at once", peak)
	}
}
