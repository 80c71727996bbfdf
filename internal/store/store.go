// Package store is where the bytes of shards go.
package store

import (
	"context"
	"io"
)

// Store keeps blobs under names that are made from their content.
type Store interface {
	// Create begins a blob. Its bytes are not to be seen before Commit, and Clean finds what is left of it by owner.
	Create(ctx context.Context, owner string) (Blob, error)
	// Clean removes what writers of this owner left unfinished, and returns how many.
	Clean(ctx context.Context, owner string) (int, error)
}

// Blob is being written. Either Commit or Abort ends it.
type Blob interface {
	io.Writer
	// Commit makes the bytes durable under name, then returns their URL. The same name stands for the same bytes, so one
	// that is there already is replaced.
	Commit(ctx context.Context, name string) (location string, err error)
	// Abort removes what was written.
	Abort() error
}
