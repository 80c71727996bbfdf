package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/guppy-prep/guppy/internal/preparing/index"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/delivery"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// blame leaves a store alone if an error is one of the store as a whole, or if its work has stalled.
func (t *target) blame(ctx context.Context, identity string, err error) {
	switch {
	case errors.Is(context.Cause(ctx), ErrStalled):
		t.leave(identity, fmt.Errorf("%w: %w", store.ErrUnusable, context.Cause(ctx)))
	case ctx.Err() == nil && isHost(err):
		t.leave(identity, err)
	}
}

// discard removes a file from the replica that was removed from its store while it was sent.
func (t *target) discard(ctx context.Context, sending sqlrepo.Sending, name string) error {
	to, err := t.crew.Sending.Open(ctx, sending.Store)
	if err != nil {
		return err
	}
	replica, others := index.Replica{Identity: sending.Store, Files: to}, &trash.Others{Open: t.crew.Sending.Open}
	return index.RemoveCopies(ctx, t.crew.Repo, []index.Replica{replica}, others, sending.Space, []string{name})
}

// notSent handles a file that could not be sent. The work of uploads goes on. If notSent returns an error, this worker
// has to stop.
func (t *target) notSent(ctx context.Context, l *lease, sending sqlrepo.Sending, failure error) error {
	l.stop()
	failure = l.blame(failure)

	switch {
	case errors.Is(failure, sqlrepo.ErrLeaseLost):
		return t.lost(ctx, sending)
	case errors.Is(failure, sqlrepo.ErrUnavailable):
		return failure // the file can't be given back either
	case errors.Is(context.Cause(ctx), errHangs):
		return t.crew.giveBack(ctx, l)
	case ctx.Err() != nil, isDatabase(failure):
		return errors.Join(failure, t.crew.giveBack(ctx, l))
	case isHost(failure):
		// The store that failed is left alone, so nobody here tries the file again at once.
		return t.settled(ctx, l, t.crew.Repo.Postpone(ctx, sending, failure.Error()))
	}
	return t.retry(ctx, l, sending, failure)
}

// lost says why a file is not sent by this worker any longer: another worker has it, or the store is no replica of the
// space any longer. In that case nothing would tell later that a file which has arrived is this repository's.
func (t *target) lost(ctx context.Context, sending sqlrepo.Sending) error {
	replicas, err := t.crew.Repo.SpaceReplicas(ctx, []int64{sending.Space})
	if err != nil {
		return unlessEnded(ctx, err)
	}

	name := FileName(sending)
	if slices.Contains(replicas, sending.SpaceReplica) {
		t.crew.Log.Warn("lost the lease: another worker has taken over", "file", name)
		return nil
	}
	t.crew.Log.Info("a file is no longer to be sent: the space has this replica no longer", "store", t.name(ctx),
		"file", name)
	if err := t.discard(ctx, sending, name); err != nil {
		t.crew.Log.Warn("a file that is no longer to be sent may be left in a store", "store", t.name(ctx), "file", name,
			"reason", err)
	}
	return nil
}

// settled returns the error of recording what becomes of a file. If the context has ended, the file is given back. A
// lost lease is no error: the worker that has it goes on.
func (t *target) settled(ctx context.Context, l *lease, err error) error {
	switch {
	case errors.Is(err, sqlrepo.ErrLeaseLost):
		return nil
	case err != nil && ctx.Err() != nil:
		return errors.Join(err, t.crew.giveBack(ctx, l))
	}
	return err
}

// retry gives a file back for another attempt. A file of which no store has a good copy is set aside at once.
func (t *target) retry(ctx context.Context, l *lease, sending sqlrepo.Sending, failure error) error {
	attempts := l.attempts + 1
	t.crew.Log.Warn("a file was not sent to a replica", "attempt", attempts, "error", failure)

	lost := errors.Is(failure, delivery.ErrDiffers) || errors.Is(failure, fs.ErrNotExist)
	if lost || attempts >= int64(t.crew.limits.MaxAttempts) {
		return t.settled(ctx, l, t.crew.Repo.SetAside(ctx, sending, failure.Error()))
	}
	return t.settled(ctx, l, t.crew.Repo.Fail(ctx, sending, failure.Error(), pause(t.crew.limits.Pause, attempts)))
}
