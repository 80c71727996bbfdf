package storetest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/store"
)

// Vanishing passes calls on to another store until it is lost: operation number At, counted from 1, and all later ones
// fail with store.ErrUnusable. Calls of its blobs and reads of its files count as operations.
type Vanishing struct {
	store.Store
	At int64
	// Late carries operation number At out, so that only its answer is lost.
	Late bool
	// ListsAtOnce makes a list one operation. Otherwise each of its files is one.
	ListsAtOnce bool

	operations atomic.Int64
}

// Lost reports whether the store was lost.
func (v *Vanishing) Lost() bool { return v.operations.Load() >= v.At }

// fail returns an error if the store is lost. The operation is carried out if only its answer is.
func (v *Vanishing) fail(operate func()) error {
	n := v.operations.Add(1)
	if n < v.At {
		return nil
	}
	if n == v.At && v.Late {
		operate()
	}
	return fmt.Errorf("%w: it is lost", store.ErrUnusable)
}

// pass carries out an operation unless the store is lost.
func (v *Vanishing) pass(operate func() error) error {
	if err := v.fail(func() { _ = operate() }); err != nil {
		return err
	}
	return operate()
}

// result is pass for operations with a result.
func result[T any](v *Vanishing, operate func() (T, error)) (got T, err error) {
	if err := v.fail(func() { _, _ = operate() }); err != nil {
		return got, err
	}
	return operate()
}

// Create implements store.Store.
func (v *Vanishing) Create(ctx context.Context, owner string) (store.Blob, error) {
	blob, err := result(v, func() (store.Blob, error) { return v.Store.Create(ctx, owner) })
	if err != nil {
		return nil, err
	}
	return &vanishingBlob{blob, v}, nil
}

// Unfinished implements store.Store.
func (v *Vanishing) Unfinished(ctx context.Context, prefix string) ([]store.Unfinished, error) {
	return result(v, func() ([]store.Unfinished, error) { return v.Store.Unfinished(ctx, prefix) })
}

// Committed implements store.Store. Each blob is an operation, unless lists are.
func (v *Vanishing) Committed(ctx context.Context) iter.Seq2[store.Committed, error] {
	return func(yield func(store.Committed, error) bool) {
		for blob, err := range v.Store.Committed(ctx) {
			if v.ListsAtOnce {
				if !yield(blob, err) {
					return
				}
				continue
			}
			if lost := v.pass(func() error { return err }); !yield(blob, lost) || lost != nil {
				return
			}
		}
		if err := v.pass(func() error { return nil }); err != nil {
			yield(store.Committed{}, err)
		}
	}
}

// Discard implements store.Store.
func (v *Vanishing) Discard(ctx context.Context, unfinished store.Unfinished) error {
	return v.pass(func() error { return v.Store.Discard(ctx, unfinished) })
}

// Identify implements store.Store.
func (v *Vanishing) Identify(ctx context.Context) (string, error) {
	return result(v, func() (string, error) { return v.Store.Identify(ctx) })
}

// Marker implements store.Store.
func (v *Vanishing) Marker(ctx context.Context) (string, error) {
	return result(v, func() (string, error) { return v.Store.Marker(ctx) })
}

// Mark implements store.Store.
func (v *Vanishing) Mark(ctx context.Context, identity string) error {
	return v.pass(func() error { return v.Store.Mark(ctx, identity) })
}

// Size implements store.Store.
func (v *Vanishing) Size(ctx context.Context, name string) (int64, error) {
	return result(v, func() (int64, error) { return v.Store.Size(ctx, name) })
}

// Open implements store.Store.
func (v *Vanishing) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	file, err := result(v, func() (io.ReadCloser, error) { return v.Store.Open(ctx, name) })
	if err != nil {
		return nil, err
	}
	return &vanishingFile{file, v}, nil
}

// OpenAt implements store.Store.
func (v *Vanishing) OpenAt(ctx context.Context, name string) (store.Reading, error) {
	file, err := result(v, func() (store.Reading, error) { return v.Store.OpenAt(ctx, name) })
	if err != nil {
		return nil, err
	}
	return &vanishingReading{file, v}, nil
}

// Remove implements store.Store.
func (v *Vanishing) Remove(ctx context.Context, name string) error {
	return v.pass(func() error { return v.Store.Remove(ctx, name) })
}

// Trash implements store.Store.
func (v *Vanishing) Trash(ctx context.Context, owner, name string) (store.Trashed, error) {
	return result(v, func() (store.Trashed, error) { return v.Store.Trash(ctx, owner, name) })
}

// Trashed implements store.Store.
func (v *Vanishing) Trashed(ctx context.Context, owner string) ([]store.Trashed, error) {
	return result(v, func() ([]store.Trashed, error) { return v.Store.Trashed(ctx, owner) })
}

// Restore implements store.Store.
func (v *Vanishing) Restore(ctx context.Context, blob store.Trashed) error {
	return v.pass(func() error { return v.Store.Restore(ctx, blob) })
}

// Delete implements store.Store.
func (v *Vanishing) Delete(ctx context.Context, blob store.Trashed) error {
	return v.pass(func() error { return v.Store.Delete(ctx, blob) })
}

// SetAside implements store.Store.
func (v *Vanishing) SetAside(ctx context.Context, blob store.Trashed) (string, error) {
	return result(v, func() (string, error) { return v.Store.SetAside(ctx, blob) })
}

// Confirm implements store.Store.
func (v *Vanishing) Confirm(ctx context.Context, name string) error {
	return v.pass(func() error { return v.Store.Confirm(ctx, name) })
}

type vanishingBlob struct {
	store.Blob
	store *Vanishing
}

func (b *vanishingBlob) Write(p []byte) (int, error) {
	return result(b.store, func() (int, error) { return b.Blob.Write(p) })
}

func (b *vanishingBlob) ReadAt(p []byte, off int64) (int, error) {
	return result(b.store, func() (int, error) { return b.Blob.ReadAt(p, off) })
}

func (b *vanishingBlob) Sync(ctx context.Context) error {
	return b.store.pass(func() error { return b.Blob.Sync(ctx) })
}

func (b *vanishingBlob) Stage(ctx context.Context, name string, alive func(n int64)) error {
	return b.store.pass(func() error { return b.Blob.Stage(ctx, name, alive) })
}

func (b *vanishingBlob) Commit(ctx context.Context, name string) error {
	return b.store.pass(func() error { return b.Blob.Commit(ctx, name) })
}

func (b *vanishingBlob) Abort() error { return b.store.pass(b.Blob.Abort) }

type vanishingFile struct {
	io.ReadCloser
	store *Vanishing
}

func (f *vanishingFile) Read(p []byte) (int, error) {
	return result(f.store, func() (int, error) { return f.ReadCloser.Read(p) })
}

type vanishingReading struct {
	store.Reading
	store *Vanishing
}

func (r *vanishingReading) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return result(r.store, func() (int, error) { return r.Reading.ReadAt(ctx, p, off) })
}
