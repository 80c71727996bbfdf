package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// ErrUnsettled is returned for an upload that can't be completed because some of its entries are neither linked nor
// listed as left out. See UnsettledError.
var ErrUnsettled = errors.New("entries are neither linked nor left out")

// UnsettledError says how many entries keep an upload from being completed. It wraps ErrUnsettled.
type UnsettledError struct {
	Upload int64
	// Unlinked entries belong under the root and have no root of their own. Unready entries are Changed, Failed or
	// Unreachable, and not to be skipped.
	Unlinked, Unready int64
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("upload %d: %d %s: %d without a root, %d that could not be prepared; run it again to "+
		"have it scanned again",
		e.Upload, e.Unlinked+e.Unready, ErrUnsettled, e.Unlinked, e.Unready)
}

// Unwrap returns ErrUnsettled.
func (e *UnsettledError) Unwrap() error { return ErrUnsettled }

// errMiscounted is returned if the tally of an upload does not prove that it is linked. Its rows are counted then.
var errMiscounted = errors.New("the tally is not what was linked")

// proof is a way to prove that an upload is settled before it is completed.
type proof int

const (
	// byTally reads only the entries that are not Ready, for which there is an index. The tally must show that every
	// entry found is left out, has a root, or shares one.
	byTally proof = iota
	// byRows reads all entries of the upload.
	byRows
)

// proved completes an upload with a proof that each of its entries is linked or left out. It tries the tally first.
// The tally proves nothing if it does not agree with what was linked, or if the upload is from before there were
// tallies: proved then counts the rows.
func proved(complete func(proof) error) error {
	err := complete(byTally)
	if errors.Is(err, errMiscounted) {
		err = complete(byRows)
	}
	return err
}

// prove returns, in the transaction that completes an upload, an UnsettledError if an entry is neither linked nor
// left out, and errMiscounted if the tally does not prove it.
func prove(ctx context.Context, tx *core.Tx, upload int64, by proof) error {
	// With this condition the index of entries that are not Ready serves the query.
	unready := func(which sq.Sqlizer) sq.Sqlizer {
		return sq.ConcatExpr("(", sq.Select("COUNT(*)").From("entries").
			Where("upload = uploads.id AND state <> 0").Where(which), ")")
	}

	// Entries with an origin count as shared, whatever their state.
	leftOut := sq.Eq{"state": []EntryState{Changed, Failed, Unsupported, Unreachable}, "origin": nil}
	counts := make([]int64, 3)
	query := sq.Select("found_entries - linked_entries - shared_entries").Column(unready(leftOut)).
		Column(sq.ConcatExpr(unready(sq.Eq{"state": Changed}), " + CASE WHEN ", skipping, " THEN 0 ELSE ",
			unready(sq.Eq{"state": []EntryState{Failed, Unreachable}}), " END")).
		From("uploads").Where(sq.Eq{"id": upload})

	err := tx.LaterRead(ctx, counts, query, func(int64) error {
		switch rest, out, waiting := counts[0], counts[1], counts[2]; {
		case waiting > 0:
			return &UnsettledError{Upload: upload, Unready: waiting}
		case by == byTally && rest != out:
			return errMiscounted
		}
		return nil
	})
	if err != nil || by == byTally {
		return err
	}

	// The tally has proved nothing: look at all entries.
	var unlinked int64
	err = tx.Get(ctx, &unlinked, sq.Select("COUNT(*)").From("entries").
		LeftJoin("roots ON roots.entry = entries.id").
		Where(sq.Eq{"upload": upload, "state": LinkableStates, "origin": nil, "roots.entry": nil}))
	if err == nil && unlinked > 0 {
		err = &UnsettledError{Upload: upload, Unlinked: unlinked}
	}
	return err
}

// skipping matches uploads that are completed without the entries that could not be prepared. Uploads from before
// they had a store do not record whether they are.
var skipping = sq.Expr("(skip_failed <> 0 OR store IS NULL)")
