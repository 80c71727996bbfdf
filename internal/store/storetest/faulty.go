// Package storetest provides tests that every store must pass, and a store that fails on request.
package storetest

import (
	"context"
	"sync/atomic"

	"github.com/guppy-prep/guppy/internal/store"
)

// Faulty passes calls on to another store unless Fail returns an error for the operation. The operations are
// create, write, read, sync, stage and commit.
type Faulty struct {
	store.Store
	Fail func(op string) error
	// Unended is the number of blobs that were created and neither committed nor aborted.
	Unended atomic.Int64
}

// FailAt returns a Fail function that makes call number k of an operation, counted from 1, and all later ones
// fail with err.
func FailAt(op string, k int64, err error) func(op string) error {
	var calls atomic.Int64
	return func(called string) error {
		if called == op && calls.Add(1) >= k {
			return err
		}
		return nil
	}
}

func (f *Faulty) failure(op string) error {
	if f.Fail == nil {
		return nil
	}
	return f.Fail(op)
}

// Create implements store.Store.
func (f *Faulty) Create(ctx context.Context, owner string) (store.Blob, error) {
	if err := f.failure("create"); err != nil {
		return nil, err
	}
	blob, err := f.Store.Create(ctx, owner)
	if err != nil {
		return nil, err
	}
	f.Unended.Add(1)
	return &faultyBlob{Blob: blob, store: f}, nil
}

type faultyBlob struct {
	store.Blob
	store *Faulty
	ended bool
}

func (b *faultyBlob) end() {
	if !b.ended {
		b.store.Unended.Add(-1)
	}
	b.ended = true
}

// Write writes only half of p if it fails.
func (b *faultyBlob) Write(p []byte) (int, error) {
	if err := b.store.failure("write"); err != nil {
		n, _ := b.Blob.Write(p[:len(p)/2])
		return n, err
	}
	return b.Blob.Write(p)
}

func (b *faultyBlob) ReadAt(p []byte, off int64) (int, error) {
	if err := b.store.failure("read"); err != nil {
		return 0, err
	}
	return b.Blob.ReadAt(p, off)
}

func (b *faultyBlob) Sync(ctx context.Context) error {
	if err := b.store.failure("sync"); err != nil {
		return err
	}
	return b.Blob.Sync(ctx)
}

func (b *faultyBlob) Stage(ctx context.Context, name string, alive func(n int64)) error {
	if err := b.store.failure("stage"); err != nil {
		return err
	}
	return b.Blob.Stage(ctx, name, alive)
}

func (b *faultyBlob) Commit(ctx context.Context, name string) error {
	if err := b.store.failure("commit"); err != nil {
		return err
	}
	err := b.Blob.Commit(ctx, name)
	if err == nil {
		b.end()
	}
	return err
}

func (b *faultyBlob) Abort() error {
	b.end()
	return b.Blob.Abort()
}
