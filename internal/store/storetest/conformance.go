package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/store"
)

// Subject is a kind of store to test.
type Subject struct {
	// New makes an empty store. The function that it returns opens the store any number of times, as if from
	// several processes.
	New func(t *testing.T) (open func() store.Store)
	// Keeps is true if the store keeps bytes. Identity is the store's identity if all stores of the kind have the
	// same.
	Keeps    bool
	Identity string
}

// large is the length of a blob that no store sends as a whole.
const large = 8<<20 + 7

// Run tests that a store does what store.Store promises.
func Run(t *testing.T, subject Subject) {
	for name, test := range map[string]func(*fixture){
		"WhatIsCommittedIsRead":        (*fixture).whatIsCommittedIsRead,
		"NothingIsSeenBefore":          (*fixture).nothingIsSeenBefore,
		"CommitAgain":                  (*fixture).commitAgain,
		"CommitAfterRemoval":           (*fixture).commitAfterRemoval,
		"AbortEnds":                    (*fixture).abortEnds,
		"UnfinishedByOwner":            (*fixture).unfinishedByOwner,
		"DiscardTakesNothingElse":      (*fixture).discardTakesNothingElse,
		"CommitAfterDiscard":           (*fixture).commitAfterDiscard,
		"OneIdentity":                  (*fixture).oneIdentity,
		"MarkGivesNoOtherIdentity":     (*fixture).markGivesNoOther,
		"NamesThatAreNone":             (*fixture).namesThatAreNone,
		"OddNames":                     (*fixture).oddNames,
		"OwnersThatAreNone":            (*fixture).ownersThatAreNone,
		"RemovedAndSetAside":           (*fixture).removedAndSetAside,
		"ManyAreListed":                (*fixture).manyAreListed,
		"ContextsEnd":                  (*fixture).contextsEnd,
		"ManyAtOnce":                   (*fixture).manyAtOnce,
		"TrashIsReadUntilItIsDeleted":  (*fixture).trashIsRead,
		"TrashIsRestored":              (*fixture).trashIsRestored,
		"TrashIsEndedAgain":            (*fixture).trashIsEndedAgain,
		"ALateDeletionTakesNothingNew": (*fixture).lateDeletion,
		"ReadAtRandom":                 (*fixture).readAtRandom,
		"OneThatStagesAgainSendsIt":    (*fixture).stageAgain,
	} {
		t.Run(name, func(t *testing.T) {
			open := subject.New(t)
			test(&fixture{T: t, Subject: subject, open: open, Store: open()})
		})
	}
}

type fixture struct {
	*testing.T
	Subject
	store.Store
	open func() store.Store
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// is checks that err is want.
func (f *fixture) is(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		f.Errorf("%s: %v, want %v", what, err, want)
	}
}

// begin writes a blob that is aborted when the test ends.
func (f *fixture) begin(owner string, content []byte) store.Blob {
	f.Helper()
	blob, err := f.Create(f.Context(), owner)
	f.must(err)
	f.Cleanup(func() { f.must(blob.Abort()) })
	_, err = blob.Write(content)
	f.must(errors.Join(err, blob.Sync(f.Context())))
	return blob
}

func (f *fixture) stage(owner, name string, content []byte) store.Blob {
	f.Helper()
	blob := f.begin(owner, content)
	f.must(blob.Stage(f.Context(), name, func(int64) {}))
	return blob
}

func (f *fixture) commit(name string, content []byte) store.Blob {
	f.Helper()
	blob := f.begin("me", content)
	location, err := blob.Commit(f.Context(), name)
	f.must(err)
	if want := f.Location(name); location != want {
		f.Errorf("%s is at %s, want %s", name, location, want)
	}
	return blob
}

// listed returns the lengths of all committed blobs by name.
func (f *fixture) listed() map[string]int64 {
	f.Helper()
	found := map[string]int64{}
	for blob, err := range f.Committed(f.Context()) {
		f.must(err)
		if _, twice := found[blob.Name]; twice {
			f.Errorf("%q is listed twice", blob.Name)
		}
		found[blob.Name] = blob.Size
	}
	return found
}

func (f *fixture) checkListed(want map[string]int64) {
	f.Helper()
	if !f.Keeps {
		want = nil
	}
	if got := f.listed(); !maps.Equal(got, want) {
		f.Errorf("%d are listed, want %d: %v", len(got), len(want), got)
	}
}

// gone is the error of a store for a blob that does not exist.
func (f *fixture) gone() error {
	if f.Keeps {
		return fs.ErrNotExist
	}
	return store.ErrNotKept
}

func (f *fixture) checkGone(name string) {
	f.Helper()
	_, err := f.Size(f.Context(), name)
	f.is("size", err, f.gone())
	_, err = f.Open(f.Context(), name)
	f.is("open", err, f.gone())
	_, err = f.OpenAt(f.Context(), name)
	f.is("open at random", err, f.gone())
}

// random returns bytes that depend only on the length.
func random(length int) []byte {
	content := make([]byte, length)
	_, _ = rand.NewChaCha8([32]byte{byte(length)}).Read(content) // never fails
	return content
}

func (f *fixture) read(name string) []byte {
	f.Helper()
	in, err := f.Open(f.Context(), name)
	f.must(err)
	content, err := io.ReadAll(in)
	f.must(errors.Join(err, in.Close()))
	return content
}

func (f *fixture) whatIsCommittedIsRead() {
	// The lengths are on both sides of the limits of requests and parts.
	for _, length := range []int{0, 1, 4 << 20, 4<<20 + 1, large} {
		name, content := fmt.Sprintf("%d.car", length), random(length)
		blob := f.commit(name, content)

		got, err := io.ReadAll(io.NewSectionReader(blob, 0, large+1))
		if err != nil || !bytes.Equal(got, content) {
			f.Errorf("%s reads as %d other bytes after it was committed: %v", name, len(got), err)
		}

		if !f.Keeps {
			f.checkGone(name)
			continue
		}

		if size, err := f.Size(f.Context(), name); size != int64(length) || err != nil {
			f.Errorf("%s has %d bytes: %v", name, size, err)
		}

		if got := f.read(name); !bytes.Equal(got, content) {
			f.Errorf("%s was stored as %d other bytes", name, len(got))
		}

		if location := f.Location(name); path.Base(location) != name {
			f.Errorf("%s is at %s", name, location)
		}
	}
}

func (f *fixture) nothingIsSeenBefore() {
	var blobs []store.Blob
	for i, length := range []int{5, large} {
		blobs = append(blobs, f.stage("me", fmt.Sprintf("%d.car", i), random(length)))
	}

	f.checkListed(nil)
	f.checkGone("0.car")
	f.checkGone("1.car")

	for i, blob := range blobs {
		_, err := blob.Commit(f.Context(), fmt.Sprintf("%d.car", i))
		f.must(err)
	}

	f.checkListed(map[string]int64{"0.car": 5, "1.car": large})
}

func (f *fixture) commitAgain() {
	for i, length := range []int{5, large} {
		name := fmt.Sprintf("%d.car", i)
		blob := f.commit(name, random(length))

		again, err := blob.Commit(f.Context(), name)
		if err != nil || again != f.Location(name) {
			f.Errorf("committed again to %q: %v", again, err)
		}

		if _, err := blob.Commit(f.Context(), "other.car"); err == nil {
			f.Error("it was committed under another name")
		}

		f.must(blob.Stage(f.Context(), name, func(int64) {}))
		f.commit(name, random(length)) // the same name stands for the same bytes
	}

	f.checkListed(map[string]int64{"0.car": 5, "1.car": large})
}

// commitAfterRemoval tests that a second commit reports a removal, so that nobody records a blob that is gone.
func (f *fixture) commitAfterRemoval() {
	for _, length := range []int{5, large} {
		blob := f.commit("name.car", random(length))
		f.must(f.Remove(f.Context(), "name.car"))
		_, err := blob.Commit(f.Context(), "name.car")
		if f.Keeps {
			f.is("commit", err, fs.ErrNotExist)
		} else {
			f.is("commit", err, nil)
		}
	}
}

func (f *fixture) abortEnds() {
	for i, length := range []int{5, large} {
		name := fmt.Sprintf("%d.car", i)
		committed, aborted := f.commit(name, random(length)), f.stage("me", "aborted.car", random(length))

		for range 2 {
			f.must(errors.Join(committed.Abort(), aborted.Abort()))
		}

		if _, err := aborted.Commit(f.Context(), "aborted.car"); err == nil {
			f.Error("what was aborted is committed")
		}
	}

	f.checkListed(map[string]int64{"0.car": 5, "1.car": large})
	f.checkUnfinished("", 0)
}

func (f *fixture) checkUnfinished(prefix string, want int) []store.Unfinished {
	f.Helper()
	found, err := f.Unfinished(f.Context(), prefix)
	f.must(err)
	if !f.Keeps {
		want = 0
	}
	if len(found) != want {
		f.Errorf("%d are unfinished of %q, want %d: %v", len(found), prefix, want, found)
	}
	return found
}

func (f *fixture) unfinishedByOwner() {
	for _, owner := range []string{"me-1", "me-1", "me-11", "you-1"} {
		f.stage(owner, "name.car", random(large))
	}

	f.commit("kept.car", random(large))

	for prefix, want := range map[string]int{"me-": 3, "me-1": 3, "me-11": 1, "he": 0} {
		for _, found := range f.checkUnfinished(prefix, want) {
			if !strings.HasPrefix(found.Owner, prefix) {
				f.Errorf("%+v is unfinished of %q", found, prefix)
			}
		}
	}

	elsewhere := f.open()
	for _, found := range f.checkUnfinished("me-1", 3) {
		for range 2 { // the second time it is gone
			f.must(elsewhere.Discard(f.Context(), found))
		}
	}

	f.checkUnfinished("me-1", 0)
	f.checkUnfinished("you-", 1)
	f.checkListed(map[string]int64{"kept.car": large})
}

func (f *fixture) discardTakesNothingElse() {
	f.commit("kept.car", random(5))
	f.stage("other", "name.car", random(large))
	f.identify(f.Store)

	name := "other.tmp"
	for _, found := range f.checkUnfinished("other", 1) {
		name = found.Name
	}

	// These are committed blobs, blobs of other owners, files outside the store and the marker.
	for _, wrong := range []store.Unfinished{
		{}, {Owner: "me", Name: "kept.car"}, {Owner: "me", Name: name}, {Owner: "outside", Name: "../outside-1.tmp"},
		{Owner: "..", Name: ".guppy-../outside-1.tmp"}, {Owner: "store", Name: ".guppy-store"}, {Name: "kept.car"},
		{Name: ".guppy-store"},
	} {
		if err := f.Discard(f.Context(), wrong); err == nil {
			f.Errorf("discarded %+v", wrong)
		}
	}

	f.checkListed(map[string]int64{"kept.car": 5})
	f.checkUnfinished("other", 1)
}

// commitAfterDiscard tests that a commit reports that somebody else took the blob for abandoned.
func (f *fixture) commitAfterDiscard() {
	if !f.Keeps {
		return // there is nothing to discard
	}

	blob := f.stage("me", "name.car", random(large))
	for _, found := range f.checkUnfinished("me", 1) {
		f.must(f.Discard(f.Context(), found))
	}

	for range 2 {
		_, err := blob.Commit(f.Context(), "name.car")
		f.is("commit", err, fs.ErrNotExist)
	}

	f.must(blob.Abort())
	f.checkListed(nil)
	f.checkUnfinished("", 0)
}

func (f *fixture) identify(of store.Store) string {
	f.Helper()
	identity, err := of.Identify(f.Context())
	f.must(err)
	return identity
}

// oneIdentity tests that processes that identify a new store at the same time agree, and that two stores differ.
func (f *fixture) oneIdentity() {
	marker, err := f.Marker(f.Context())
	f.is("marker", err, nil)
	if marker != f.Identity {
		f.Errorf("before it has one, its identity is %q", marker)
	}

	var running sync.WaitGroup
	var mu sync.Mutex
	// All processes wait for begin, so that they identify the store at the same time.
	begin, seen := make(chan struct{}), map[string]bool{}
	for range 8 {
		running.Go(func() {
			from := f.open()
			<-begin
			identity, err := from.Identify(f.Context())
			mu.Lock()
			defer mu.Unlock()
			f.is("identify", err, nil)
			seen[identity] = true
		})
	}

	close(begin)
	running.Wait()

	identity := f.identify(f.Store)
	if marker, err := f.open().Marker(f.Context()); len(seen) != 1 || !seen[identity] || marker != identity || err != nil {
		f.Errorf("it has the identities %v, %q and %q: %v", slices.Collect(maps.Keys(seen)), identity, marker, err)
	}

	f.checkListed(nil)
	f.checkUnfinished("", 0)

	other := &fixture{T: f.T, Subject: f.Subject, Store: f.New(f.T)()}
	if got := other.identify(other.Store); (got == identity) != (f.Identity != "") {
		f.Errorf("two stores have the identities %q and %q", got, identity)
	}
}

func (f *fixture) markGivesNoOther() {
	identity := f.identify(f.Store)
	if err := f.Mark(f.Context(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); err == nil {
		f.Error("it got another identity")
	}

	if got := f.identify(f.open()); got != identity {
		f.Errorf("its identity is %q, and was %q", got, identity)
	}

	if f.Identity != "" {
		return
	}

	// A store without an identity takes any.
	fresh := f.New(f.T)()
	f.must(fresh.Mark(f.Context(), identity))
	if got := f.identify(fresh); got != identity {
		f.Errorf("marked with %q, its identity is %q", identity, got)
	}
}

func (f *fixture) namesThatAreNone() {
	identity := f.identify(f.Store)
	for _, name := range []string{"", ".", "..", ".guppy-store", "../name.car", "x/name.car", "/name.car", "a\x00.car"} {
		blob := f.begin("me", []byte("content"))

		for op, call := range map[string]func() error{
			"stage":          func() error { return blob.Stage(f.Context(), name, func(int64) {}) },
			"commit":         func() error { _, err := blob.Commit(f.Context(), name); return err },
			"size":           func() error { _, err := f.Size(f.Context(), name); return err },
			"open":           func() error { _, err := f.Open(f.Context(), name); return err },
			"open at random": func() error { _, err := f.OpenAt(f.Context(), name); return err },
			"remove":         func() error { return f.Remove(f.Context(), name) },
			"trash":          func() error { _, err := f.Trash(f.Context(), "me", name); return err },
			"confirm":        func() error { return f.Confirm(f.Context(), name) },
		} {
			f.is(fmt.Sprintf("%s %q", op, name), call(), fs.ErrInvalid)
		}

		f.must(blob.Abort())
	}

	if got := f.identify(f.Store); got != identity {
		f.Errorf("its identity is %q, and was %q", got, identity)
	}
	f.checkListed(nil)
}

func (f *fixture) oddNames() {
	want := map[string]int64{}
	for i, name := range []string{"a b.car", "ä€.car", "%2F.car", "a+b&c=d;e?f#g.car", "~!@$^*()[]{}'\"<>|,.car", "-",
		strings.Repeat("n", 200), "a..b", "a\\b.car"} {
		f.commit(name, random(i))
		want[name] = int64(i)

		if !f.Keeps {
			continue
		}
		if size, err := f.Size(f.Context(), name); size != int64(i) || err != nil {
			f.Errorf("%q has %d bytes, want %d: %v", name, size, i, err)
		}
		if got := f.read(name); !bytes.Equal(got, random(i)) {
			f.Errorf("%q reads as %q", name, got)
		}
	}
	f.checkListed(want)
	for name := range want {
		f.setAside(name)
		f.must(f.Remove(f.Context(), name+".damaged"))
	}
	f.checkListed(nil)
}

func (f *fixture) ownersThatAreNone() {
	for _, owner := range []string{"", "a/b", "..\x00", "a b", "ä", "a_b", "a*"} {
		if blob, err := f.Create(f.Context(), owner); err == nil {
			f.Errorf("%q has begun %v", owner, blob)
		}
	}
	f.checkUnfinished("", 0)
}

func (f *fixture) removedAndSetAside() {
	f.commit("a.car", random(5))
	f.commit("b.car", random(large))
	for range 2 { // the second time they are gone
		f.must(f.Remove(f.Context(), "a.car"))
		f.setAside("b.car")
	}
	f.checkGone("a.car")
	f.checkGone("b.car")
	f.checkListed(map[string]int64{"b.car.damaged": large})
}

// manyAreListed commits more blobs than fit in one page of any server's list.
func (f *fixture) manyAreListed() {
	const many = 1_101

	var committing errgroup.Group
	committing.SetLimit(16)

	want := map[string]int64{}
	for i := range many {
		name := fmt.Sprintf("%04d.car", i)
		want[name] = int64(i % 7)
		committing.Go(func() error {
			blob, err := f.Create(f.Context(), "me")
			if err != nil {
				return err
			}
			_, err = blob.Write(random(i % 7))
			if err == nil {
				_, err = blob.Commit(f.Context(), name)
			}
			return errors.Join(err, blob.Abort())
		})
	}

	f.must(committing.Wait())
	f.checkListed(want)

	for _, err := range f.Committed(f.Context()) {
		f.must(err)
		// A caller may stop before the end of the list.
		break
	}
}

func (f *fixture) contextsEnd() {
	f.commit("there.car", random(5))
	blob, staged := f.begin("me", random(large)), f.stage("me", "staged.car", random(large))
	found, err := f.Unfinished(f.Context(), "me")
	f.must(err)

	reading := f.openAt("there.car")
	f.commit("trash.car", random(6))
	trashed := f.trash("trash.car")

	// The context ends before each call.
	ctx, cancel := context.WithCancel(f.Context())
	cancel()

	calls := map[string]func() error{
		"create":         func() error { _, err := f.Create(ctx, "me"); return err },
		"sync":           func() error { return blob.Sync(ctx) },
		"stage":          func() error { return blob.Stage(ctx, "name.car", func(int64) {}) },
		"commit":         func() error { _, err := blob.Commit(ctx, "name.car"); return err },
		"commit staged":  func() error { _, err := staged.Commit(ctx, "staged.car"); return err },
		"unfinished":     func() error { _, err := f.Unfinished(ctx, ""); return err },
		"discard":        func() error { return f.Discard(ctx, store.Unfinished{Owner: "me", Name: ".guppy-me-1.tmp"}) },
		"identify":       func() error { _, err := f.Identify(ctx); return err },
		"marker":         func() error { _, err := f.Marker(ctx); return err },
		"mark":           func() error { return f.Mark(ctx, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") },
		"size":           func() error { _, err := f.Size(ctx, "there.car"); return err },
		"open":           func() error { _, err := f.Open(ctx, "there.car"); return err },
		"open at random": func() error { _, err := f.OpenAt(ctx, "there.car"); return err },
		"remove":         func() error { return f.Remove(ctx, "there.car") },
		"trash":          func() error { _, err := f.Trash(ctx, "me", "there.car"); return err },
		"trashed":        func() error { _, err := f.Trashed(ctx, ""); return err },
		"delete":         func() error { return f.Delete(ctx, trashed) },
		"restore":        func() error { return f.Restore(ctx, trashed) },
		"set aside":      func() error { _, err := f.SetAside(ctx, trashed); return err },
		"confirm":        func() error { return f.Confirm(ctx, "there.car") },
		"committed": func() error {
			for _, err := range f.Committed(ctx) {
				return err
			}
			return nil
		},
	}

	if reading != nil {
		calls["read at random"] = func() error { _, err := reading.ReadAt(ctx, make([]byte, 1), 0); return err }
	}

	for op, call := range calls {
		f.is(op, call(), context.Canceled)
	}

	f.must(f.end(trashed, f.Restore))
	f.checkListed(map[string]int64{"there.car": 5, "trash.car": 6})
	if len(found) > 0 {
		f.checkUnfinished("me", len(found))
	}
}

func (f *fixture) openAt(name string) store.Reading {
	f.Helper()
	if !f.Keeps {
		return nil
	}
	reading, err := f.OpenAt(f.Context(), name)
	f.must(err)
	f.Cleanup(func() { f.must(reading.Close()) })
	return reading
}

// manyAtOnce commits and reads blobs of the same and of different names concurrently.
func (f *fixture) manyAtOnce() {
	var running errgroup.Group
	for i := range 8 {
		// Blobs with the same name have the same content.
		content := random(4<<20 + 1 + i%4)
		name := fmt.Sprintf("%d.car", i%4)

		running.Go(func() error {
			from := f.open()
			blob, err := from.Create(f.Context(), fmt.Sprintf("me-%d", i))
			if err != nil {
				return err
			}

			if _, err := blob.Write(content); err != nil {
				return errors.Join(err, blob.Abort())
			}
			if _, err = blob.Commit(f.Context(), name); err != nil || !f.Keeps {
				return errors.Join(err, blob.Abort())
			}

			reading, err := from.OpenAt(f.Context(), name)
			if err != nil {
				return errors.Join(err, blob.Abort())
			}

			got := make([]byte, len(content))
			if _, err = reading.ReadAt(f.Context(), got, 0); err == nil && !bytes.Equal(got, content) {
				err = fmt.Errorf("%s reads as other bytes", name)
			}
			return errors.Join(err, reading.Close(), blob.Abort())
		})
	}

	f.must(running.Wait())
	f.checkListed(map[string]int64{"0.car": 4<<20 + 1, "1.car": 4<<20 + 2, "2.car": 4<<20 + 3, "3.car": 4<<20 + 4})
	f.checkUnfinished("", 0)
}

func (f *fixture) readAtRandom() {
	content := random(1<<20 + 3)
	f.commit("name.car", content)
	if !f.Keeps {
		return
	}

	reading := f.openAt("name.car")
	var readers errgroup.Group
	readers.SetLimit(8)
	for i := range 100 {
		// Some reads begin or end beyond the end of the blob.
		chance := rand.New(rand.NewPCG(1, uint64(i)))
		begin, length := chance.IntN(len(content)+2), chance.IntN(70_000)

		readers.Go(func() error {
			p := make([]byte, length)
			n, err := reading.ReadAt(f.Context(), p, int64(begin))
			want := content[min(begin, len(content)):min(begin+length, len(content))]
			if !bytes.Equal(p[:n], want) || n == length && err != nil && !errors.Is(err, io.EOF) ||
				n < length && !errors.Is(err, io.EOF) {
				return fmt.Errorf("%d bytes at %d: got %d: %w", length, begin, n, err)
			}
			return nil
		})
	}

	f.must(readers.Wait())

	if _, err := reading.ReadAt(f.Context(), make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		f.Errorf("read before the beginning: %v", err)
	}
}

// stageAgain tests that Stage reports the bytes that it sends, and that nothing is sent twice.
func (f *fixture) stageAgain() {
	blob := f.begin("me", random(large))
	var mu sync.Mutex
	sent := int64(0)
	alive := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		sent += n
	}

	f.must(blob.Stage(f.Context(), "name.car", alive))
	// A store that sends nothing ahead reports nothing.
	first := sent
	if first != 0 && first != large {
		f.Errorf("%d bytes were sent", first)
	}

	f.must(blob.Stage(f.Context(), "name.car", alive))
	_, err := blob.Commit(f.Context(), "name.car")
	f.must(err)

	if sent != first {
		f.Errorf("%d bytes were sent, then %d more", first, sent-first)
	}

	f.checkListed(map[string]int64{"name.car": large})
}
