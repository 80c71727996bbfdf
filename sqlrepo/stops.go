package sqlrepo

import (
	"context"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// longestReason bounds the reason of a stop, in bytes.
const longestReason = 4000

// kept returns the text of an error as it is kept in a row, where anybody with a dump or a backup can read it.
func kept(reason string) string { return dialect.RedactWithin(Text(reason)) }

// NoteStop keeps with an unfinished upload why a run of it ended. The next stage or shard that succeeds clears that.
// NoteStop does nothing to an upload that is complete or removed.
func (r *Repository) NoteStop(ctx context.Context, upload int64, reason string) error {
	// A secret must not be cut before it is recognized.
	reason = kept(reason)
	reason = Text(reason[:min(len(reason), longestReason)])
	return r.db.Transact(ctx, fmt.Sprintf("note why upload %d stopped", upload), func(tx *core.Tx) error {
		return tx.Later(ctx, sq.Update("uploads").Set("stopped_at", NewTime(r.db.Now())).Set("stop_reason", reason).
			Where(sq.Eq{"id": upload}).Where(sq.NotEq{"state": ClosedStates}), nil)
	})
}
