package storetest

import (
	"context"

	"github.com/guppy-prep/guppy/internal/store"
)

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
		"commit":         func() error { return blob.Commit(ctx, "name.car") },
		"commit staged":  func() error { return staged.Commit(ctx, "staged.car") },
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
		f.checkError(op, call(), context.Canceled)
	}

	f.must(f.end(trashed, f.Restore))
	f.checkListed(map[string]int64{"there.car": 5, "trash.car": 6})
	if len(found) > 0 {
		f.checkUnfinished("me", len(found))
	}
}
