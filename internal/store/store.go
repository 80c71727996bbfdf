// Package store is where the bytes of shards go.
package store

import (
	"context"
	"io"
	"iter"
)

// Store keeps blobs under names that are made from their content. Any number of processes, on any hosts, may use one at
// once.
type Store interface {
	// Create begins a blob of an owner, whose name holds letters, digits, "-" and "." alone. Its bytes are not to be seen
	// before Commit, and Unfinished finds what is left of it by owner.
	Create(ctx context.Context, owner string) (Blob, error)
	// Unfinished returns the blobs that were neither committed nor aborted yet and whose owner begins with prefix.
	Unfinished(ctx context.Context, prefix string) ([]Unfinished, error)
	// Committed yields the blobs that were committed, and what somebody else has put there.
	Committed(ctx context.Context) iter.Seq2[Committed, error]
	// Discard removes an unfinished blob. One that is gone already is no error.
	Discard(ctx context.Context, unfinished Unfinished) error
	// Identify returns the store's identity, which is the same from wherever the store is seen, and gives it one if it has
	// none. It returns ErrDamagedMarker when the identity can't be told.
	Identify(ctx context.Context) (string, error)
	// Marker returns the store's identity, or "" if it has none. It returns ErrDamagedMarker as Identify does.
	Marker(ctx context.Context) (string, error)
}

// Unfinished is a blob under its temporary name.
type Unfinished struct{ Owner, Name string }

// Committed is a blob under its own name.
type Committed struct {
	Name string
	Size int64
}

// Blob is being written. Either Commit or Abort ends it. But for ReadAt it is not safe for concurrent use.
type Blob interface {
	io.Writer
	// ReaderAt reads what was written, after Commit too, until Abort.
	io.ReaderAt
	// Sync makes what was written so far durable, so that Commit has less to do. Commit fails after a Sync that failed.
	Sync(ctx context.Context) error
	// Commit makes the bytes durable under name, then returns their URL. The same name stands for the same bytes, so one
	// that is there already is replaced. Called again, it returns the same URL, or tries again what failed. It returns
	// fs.ErrNotExist when somebody else has discarded the blob, or removed it since it was committed.
	Commit(ctx context.Context, name string) (location string, err error)
	// Abort removes what was written, unless it is committed. It may be called more than once.
	Abort() error
}
