package storetest

import (
	"bytes"
	"context"
	"io/fs"
	"time"

	"github.com/guppy-prep/guppy/internal/store"
)

// trash begins the removal of a blob. It returns the zero value if the store keeps no bytes.
func (f *fixture) trash(name string) store.Trashed {
	f.Helper()
	blob, err := f.Trash(f.Context(), "me", name)
	f.must(err)
	if none := blob == (store.Trashed{}); none == f.Keeps || f.Keeps && (blob.Name != name || blob.Owner != "me") {
		f.Errorf("%s is %+v in the trash", name, blob)
	}
	return blob
}

// end ends a removal by calling action, if the store keeps bytes.
func (f *fixture) end(blob store.Trashed, action func(context.Context, store.Trashed) error) error {
	if !f.Keeps {
		return nil
	}
	return action(f.Context(), blob)
}

// setAside sets a blob aside, if it exists.
func (f *fixture) setAside(name string) {
	f.Helper()
	blob, err := f.Trash(f.Context(), "me", name)
	f.must(err)
	if blob == (store.Trashed{}) {
		return
	}
	aside, err := f.SetAside(f.Context(), blob)
	f.must(err)
	if before, ok := store.CutAside(aside); before != name || !ok {
		f.Errorf("%s was set aside as %q", name, aside)
	}
}

// checkThere checks that a blob has the content random(length).
func (f *fixture) checkThere(name string, length int) {
	f.Helper()
	if !f.Keeps {
		return
	}

	if size, err := f.Size(f.Context(), name); size != int64(length) || err != nil {
		f.Errorf("%s has %d bytes, want %d: %v", name, size, length, err)
	}

	if !bytes.Equal(f.read(name), random(length)) {
		f.Errorf("%s is something else", name)
	}

	reading := f.openAt(name)
	got := make([]byte, length)
	_, err := reading.ReadAt(f.Context(), got, 0)
	f.must(err)
	if !bytes.Equal(got, random(length)) {
		f.Errorf("%s is something else at random", name)
	}
}

// checkNoTrash checks that nothing is left of any removal.
func (f *fixture) checkNoTrash() {
	f.Helper()
	left, err := f.Trashed(f.Context(), "")
	f.must(err)
	if len(left) > 0 {
		f.Errorf("left in the trash: %+v", left)
	}
	f.checkUnfinished("", 0)
}

// trashIsRead tests a blob whose removal has begun but may turn out to be wrong.
func (f *fixture) trashIsRead() {
	f.commit("a.car", random(5))
	blob := f.trash("a.car")
	f.checkThere("a.car", 5)
	f.checkError("confirm", f.Confirm(f.Context(), "a.car"), f.unconfirmed())
	f.checkError("trash what is not there", second(f.Trash(f.Context(), "other", "b.car")), nil)
	f.must(f.end(blob, f.Delete))
	f.checkGone("a.car")
	f.checkListed(nil)
}

func second[T any](_ T, err error) error { return err }

// unconfirmed is the error of Confirm for a blob whose removal has begun.
func (f *fixture) unconfirmed() error {
	if f.Keeps {
		return fs.ErrNotExist
	}
	return nil
}

func (f *fixture) trashIsRestored() {
	f.commit("a.car", random(5))
	f.must(f.Confirm(f.Context(), "a.car"))
	blob := f.trash("a.car")
	f.must(f.end(blob, f.Restore))
	f.checkThere("a.car", 5)
	f.must(f.Confirm(f.Context(), "a.car"))
	f.checkListed(map[string]int64{"a.car": 5})
	f.checkNoTrash()
}

// trashIsEndedAgain tests that a removal may be ended twice, in the same way or in another.
func (f *fixture) trashIsEndedAgain() {
	f.commit("a.car", random(5))
	blob := f.trash("a.car")
	f.must(f.end(blob, f.Restore))
	f.must(f.end(blob, f.Restore))
	f.checkThere("a.car", 5)

	blob = f.trash("a.car")
	f.must(f.end(blob, f.Delete))
	f.must(f.end(blob, f.Delete))
	f.checkGone("a.car")

	f.must(f.end(blob, f.Restore))
	f.checkGone("a.car")
	f.checkNoTrash()
}

// lateDeletion commits a blob again during its removal. The commit may have to wait until the removal ends.
func (f *fixture) lateDeletion() {
	f.commit("a.car", random(5))
	earlier := f.commit("b.car", random(6))
	a, b := f.trash("a.car"), f.trash("b.car")

	if f.Keeps {
		err := earlier.Commit(f.Context(), "b.car")
		f.checkError("commit what is being removed", err, fs.ErrNotExist)
	}
	f.must(f.end(b, f.Restore))

	committed := make(chan error, 1)
	again := f.begin("me", random(5))
	go func() {
		err := again.Commit(f.Context(), "a.car")
		committed <- err
	}()
	select {
	case err := <-committed:
		committed <- err
	// A commit that waits longer goes on once the removal has ended.
	case <-time.After(time.Second):
	}

	f.must(f.end(a, f.Delete))
	f.must(<-committed)

	f.checkThere("a.car", 5)
	f.must(f.Confirm(f.Context(), "a.car"))
	f.checkListed(map[string]int64{"a.car": 5, "b.car": 6})
	f.checkNoTrash()
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
