package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

const (
	// NoneURL is where a store that keeps no bytes is.
	NoneURL = "none:"
	// NoneIdentity is the identity of every store that keeps no bytes.
	NoneIdentity = "none"
)

// None is a store that keeps no bytes, only names. A blob is in a temporary file of this host for as long as it
// may be read again.
type None struct{ tempDir string }

// NewNone returns a store that keeps no bytes. It makes tempDir, the directory for temporary files, when it first
// needs it.
func NewNone(tempDir string) *None { return &None{tempDir} }

// Create implements Store.
func (n *None) Create(ctx context.Context, owner string) (Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, n.failure(err)
	}
	if err := checkOwner(owner); err != nil {
		return nil, n.failure(err)
	}

	file, err := newLocalFile(n.tempDir)
	if err != nil {
		return nil, n.failure(err)
	}
	return &noneBlob{localFile: file}, nil
}

// Unfinished returns nothing: a temporary file does not outlive its process.
func (n *None) Unfinished(ctx context.Context, _ string) ([]Unfinished, error) {
	return nil, n.ended(ctx)
}

// Committed yields nothing.
func (n *None) Committed(ctx context.Context) iter.Seq2[Committed, error] {
	return func(yield func(Committed, error) bool) {
		if err := n.ended(ctx); err != nil {
			yield(Committed{}, err)
		}
	}
}

// Discard implements Store.
func (n *None) Discard(ctx context.Context, unfinished Unfinished) error {
	if err := n.ended(ctx); err != nil {
		return err
	}
	return n.failure(fmt.Errorf("%q is not an unfinished blob of %q", unfinished.Name, unfinished.Owner))
}

// Identify returns NoneIdentity.
func (n *None) Identify(ctx context.Context) (string, error) { return NoneIdentity, n.ended(ctx) }

// Marker returns NoneIdentity.
func (n *None) Marker(ctx context.Context) (string, error) { return NoneIdentity, n.ended(ctx) }

// Mark returns an error for any identity but NoneIdentity.
func (n *None) Mark(ctx context.Context, identity string) error {
	if err := n.ended(ctx); err != nil {
		return err
	}
	if identity != NoneIdentity {
		return n.failure(fmt.Errorf("it can't be %s", identity))
	}
	return nil
}

// URL returns NoneURL.
func (n *None) URL() string { return NoneURL }

// Size returns ErrNotKept.
func (n *None) Size(ctx context.Context, name string) (int64, error) { return 0, n.notKept(ctx, name) }

// Open returns ErrNotKept.
func (n *None) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	return nil, n.notKept(ctx, name)
}

// OpenAt returns ErrNotKept.
func (n *None) OpenAt(ctx context.Context, name string) (Reading, error) {
	return nil, n.notKept(ctx, name)
}

// Remove checks the name, and has nothing to remove.
func (n *None) Remove(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return n.failure(err)
	}
	return n.ended(ctx)
}

// Trash checks its arguments, and has nothing to remove.
func (n *None) Trash(ctx context.Context, owner, name string) (Trashed, error) {
	if err := errors.Join(checkName(name), checkOwner(owner)); err != nil {
		return Trashed{}, n.failure(err)
	}
	return Trashed{}, n.ended(ctx)
}

// Trashed returns nothing.
func (n *None) Trashed(ctx context.Context, _ string) ([]Trashed, error) { return nil, n.ended(ctx) }

// Restore returns an error: nothing is ever in the trash.
func (n *None) Restore(ctx context.Context, blob Trashed) error { return n.notTrashed(ctx, blob) }

// Delete is like Restore.
func (n *None) Delete(ctx context.Context, blob Trashed) error { return n.notTrashed(ctx, blob) }

// SetAside is like Restore.
func (n *None) SetAside(ctx context.Context, blob Trashed) (string, error) {
	return "", n.notTrashed(ctx, blob)
}

func (n *None) notTrashed(ctx context.Context, blob Trashed) error {
	if err := n.ended(ctx); err != nil {
		return err
	}
	return n.failure(notInTrash(blob))
}

// Confirm checks the name, and has nothing to look for.
func (n *None) Confirm(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return n.failure(err)
	}
	return n.ended(ctx)
}

func (n *None) notKept(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return n.failure(err)
	}
	return n.failure(fmt.Errorf("%s: %w", name, ErrNotKept))
}

func (n *None) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return n.failure(err)
	}
	return nil
}

func (n *None) failure(err error) error { return fmt.Errorf("store %s %w", NoneURL, barred(err)) }

// noneBlob is a temporary file. It is readable until it is aborted, even after it is committed.
type noneBlob struct {
	*localFile
	name    string
	aborted bool
}

// Stage checks the name, and has nothing to send.
func (b *noneBlob) Stage(ctx context.Context, name string, _ func(n int64)) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := b.Sync(ctx); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Commit keeps only the name.
func (b *noneBlob) Commit(ctx context.Context, name string) error {
	if err := b.Sync(ctx); err != nil {
		return err
	}
	if err := b.commit(name); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (b *noneBlob) commit(name string) error {
	if err := checkName(name); err != nil {
		return err
	}

	if b.name != "" && b.name != name {
		return againAs(b.name, name)
	}

	if b.aborted {
		return os.ErrClosed
	}

	b.name = name
	return nil
}

// Abort implements Blob.
func (b *noneBlob) Abort() error {
	b.aborted = true
	return b.close()
}
