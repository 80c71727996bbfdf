package shard_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

type held = map[sqlrepo.Digest]struct{}

func holding(blocks ...[]byte) held {
	digests := held{}
	for _, data := range blocks {
		digests[sha256.Sum256(data)] = struct{}{}
	}
	return digests
}

// drawBlocks draws different blocks, some of them longer than the read buffer.
func drawBlocks(t *rapid.T) (blocks [][]byte) {
	sizes := rapid.OneOf(rapid.IntRange(1, 200), rapid.IntRange(1, 200), rapid.IntRange(1, 600<<10))
	for i, size := range rapid.SliceOfN(sizes, 1, 30).Draw(t, "sizes") {
		blocks = append(blocks, append(bytes.Repeat([]byte{1}, size), byte(i)))
	}
	return blocks
}

// TestWithoutIsAsIfTheRestAloneHadBeenAdded leaves blocks out of a draft, and other blocks out of the result.
func TestWithoutIsAsIfTheRestAloneHadBeenAdded(t *testing.T) {
	to, _ := newStore(t)
	rapid.Check(t, func(rt *rapid.T) {
		blocks := drawBlocks(rt)
		drafts := []*shard.Draft{build(t, to, blocks...)}
		rest := [][][]byte{blocks}

		for range rapid.IntRange(1, 4).Draw(rt, "times") {
			// A draft may be made of one that was made of another.
			from := rapid.IntRange(0, len(drafts)-1).Draw(rt, "from")
			gone := rapid.SliceOf(rapid.SampledFrom(blocks)).Draw(rt, "held")
			smaller, err := drafts[from].Without(t.Context(), holding(append(gone, []byte("not in it"))...))
			must(t, err)
			drafts = append(drafts, smaller)
			rest = append(rest, slices.DeleteFunc(slices.Clone(rest[from]), func(data []byte) bool {
				_, out := holding(gone...)[sha256.Sum256(data)]
				return out
			}))
		}

		for i, draft := range drafts {
			checkSame(t, draft, build(t, to, rest[i]...))
		}

		// The drafts still hold what they held before others were made of them.
		for i, draft := range drafts {
			if !draft.Empty() {
				check(t, to, draft, rest[i])
			}
		}
	})
}

// checkSame compares two drafts and aborts the second one.
func checkSame(t *testing.T, got, want *shard.Draft) {
	t.Helper()
	var a, b sqlrepo.Shard
	got.Describe(&a)
	want.Describe(&b)
	if !slices.Equal(got.Nodes(), want.Nodes()) || !bytes.Equal(a.Digest, b.Digest) || a.State != b.State ||
		!bytes.Equal(a.Piece, b.Piece) ||
		a.Size != b.Size || a.Nodes != b.Nodes {
		t.Errorf("described as %+v, want %+v", a, b)
	}
	must(t, want.Abort())
}

var (
	one, two, three = bytes.Repeat([]byte("1"), 300<<10), []byte("two"), bytes.Repeat([]byte("3"), 300<<10)
)

func TestWithoutNothingIsTheDraftItself(t *testing.T) {
	to, _ := newStore(t)
	draft := build(t, to, one, two)
	to.Fail = storetest.FailAt("create", 1, errors.New("something is written"))
	for _, digests := range []held{nil, {}, holding(three)} {
		if same, err := draft.Without(t.Context(), digests); same != draft || err != nil {
			t.Errorf("%v, %v", same, err)
		}
	}
	must(t, draft.Abort())
}

func TestWithoutEverythingNothingIsWritten(t *testing.T) {
	to, directory := newStore(t)
	draft := build(t, to, one, two)
	to.Fail = storetest.FailAt("create", 1, errors.New("something is written"))
	empty, err := draft.Without(t.Context(), holding(one, two))
	must(t, errors.Join(err, draft.Abort()))
	if again, err := empty.Without(t.Context(), holding(one)); err != nil || again != empty {
		t.Errorf("%v, %v", again, err)
	}
	checkIsNowhere(t, empty, directory)
}

// TestADraftMayBeCommittedAgain also makes another draft of the committed one: a retried transaction may find that
// more blocks are held.
func TestADraftMayBeCommittedAgain(t *testing.T) {
	to, _ := newStore(t)
	draft := build(t, to, one, two, three)
	must(t, draft.Publish(t.Context()))
	must(t, draft.Publish(t.Context()))

	smaller, err := draft.Without(t.Context(), holding(two))
	must(t, err)
	check(t, to, smaller, [][]byte{one, three})
	check(t, to, draft, [][]byte{one, two, three})

	// What is committed stays.
	var row sqlrepo.Shard
	draft.Describe(&row)
	must(t, errors.Join(draft.Abort(), smaller.Abort()))
	if size, err := to.Size(t.Context(), shard.Name([32]byte(row.Digest))); err != nil || size != draft.Size() {
		t.Errorf("%d bytes stay: %v", size, err)
	}
}

func TestAnAbortedDraftLeavesNothing(t *testing.T) {
	to, directory := newStore(t)
	draft := build(t, to, one, two)
	smaller, err := draft.Without(t.Context(), holding(one))
	must(t, err)
	for range 2 {
		must(t, errors.Join(draft.Abort(), smaller.Abort()))
	}
	checkEmpty(t, directory)
}

func TestADraftThatSomebodyElseDiscarded(t *testing.T) {
	to, directory := newStore(t)
	draft := build(t, to, one, two)
	discardAll(t, to)
	if err := draft.Publish(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit: %v", err)
	}
	must(t, draft.Abort())
	checkEmpty(t, directory)
}

func discardAll(t *testing.T, from *storetest.Faulty) {
	t.Helper()
	found, err := from.Unfinished(t.Context(), "me")
	must(t, err)
	for _, unfinished := range found {
		must(t, from.Discard(t.Context(), unfinished))
	}
}

var errBroken = errors.New("broken")

// TestWhateverFailsLeavesNothing makes each call of each operation fail in turn, until all of them succeed.
func TestWhateverFailsLeavesNothing(t *testing.T) {
	for _, op := range []string{"create", "write", "read", "sync", "stage", "commit"} {
		failed := int64(0)

		// Each round lets one more call succeed.
		for {
			to, directory := newStore(t)
			to.Fail = storetest.FailAt(op, failed+1, errBroken)
			err := prepare(t.Context(), to)
			if err == nil {
				break
			}
			failed++
			if !errors.Is(err, errBroken) {
				t.Errorf("%s: %v", op, err)
			}
			checkEmpty(t, directory)
		}

		if failed == 0 {
			t.Errorf("%s was never called", op)
		}
	}
}

// prepare does everything that is done with a shard.
func prepare(ctx context.Context, to *storetest.Faulty) (err error) {
	b, err := shard.NewBuilder(ctx, to, "me", shard.WithPiece(true))
	if err != nil {
		return err
	}

	for _, data := range [][]byte{one, two, three} {
		if err := b.Add(cid.Raw, sha256.Sum256(data), data); err != nil {
			return errors.Join(err, b.Abort())
		}
	}

	draft, err := b.Finish(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, draft.Abort()) }()

	smaller, err := draft.Without(ctx, holding(two))
	if err != nil {
		return err
	}

	if err := smaller.Stage(ctx, func(int64) {}); err != nil {
		return errors.Join(err, smaller.Abort())
	}
	if err := smaller.Publish(ctx); err != nil {
		return errors.Join(err, smaller.Abort())
	}

	return nil
}

func TestWithoutEndsWithItsContext(t *testing.T) {
	to, directory := newStore(t)
	draft := build(t, to, one, two, three)
	ctx, cancel := context.WithCancelCause(t.Context())
	to.Fail = func(op string) error {
		if op == "read" {
			cancel(errBroken)
		}
		return nil
	}

	if smaller, err := draft.Without(ctx, holding(two)); !errors.Is(err, errBroken) {
		t.Errorf("%v, %v", smaller, err)
	}
	must(t, draft.Abort())
	checkEmpty(t, directory)
}

// TestBytesThatChangedInTheStoreAreNotCopied changes the temporary file behind the draft's back.
func TestBytesThatChangedInTheStoreAreNotCopied(t *testing.T) {
	for name, damage := range map[string]func(path string, size int64) error{
		"changed": func(path string, size int64) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte("?"), size-1)
			return errors.Join(err, file.Close())
		},
		"cut":     func(path string, size int64) error { return os.Truncate(path, size-1) },
		"cut off": func(path string, size int64) error { return os.Truncate(path, size/2) },
	} {
		t.Run(name, func(t *testing.T) {
			to, directory := newStore(t)
			draft := build(t, to, one, two, three)

			found, err := to.Unfinished(t.Context(), "")
			must(t, err)
			must(t, damage(filepath.Join(directory, found[0].Name), draft.Size()))

			if smaller, err := draft.Without(t.Context(), holding(two)); !errors.Is(err, shard.ErrDamaged) {
				t.Errorf("%v, %v", smaller, err)
			}

			must(t, draft.Abort())
			checkEmpty(t, directory)
		})
	}
}
