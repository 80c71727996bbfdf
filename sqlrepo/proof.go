package sqlrepo

import (
	"context"
	"errors"
	"fmt"

	"github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
)

// ErrUnsettled is returned for an upload that can't be complete, since some of its entries are neither linked nor
// listed as left out; see UnsettledError.
var ErrUnsettled = errors.New("entries are neither linked nor left out")

// UnsettledError says how many entries keep an upload from being complete. It is an ErrUnsettled.
type UnsettledError struct {
	Upload int64
	// Unlinked entries belong under the root and have none of their own. Unready ones are Changed, Failed or Unreachable,
	// and not to be skipped.
	Unlinked, Unready int64
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("upload %d: %d %s: %d without a root, %d that could not be prepared; run it again to have it scanned again",
		e.Upload, e.Unlinked+e.Unready, ErrUnsettled, e.Unlinked, e.Unready)
}

// Unwrap returns ErrUnsettled.
func (e *UnsettledError) Unwrap() error { return ErrUnsettled }

// errMiscounted is returned when the tally of an upload does not prove that it is linked: then its rows are counted.
var errMiscounted = errors.New("the tally is not what was linked")

// proof is how an upload is proved to be settled before it is complete.
type proof int

const (
	// byTally looks at no more than the entries that are not Ready, of which there is an index: all that were found are
	// left out, or have a root, or share one.
	byTally proof = iota
	// byRows goes through all entries of the upload.
	byRows
)

// proved completes an upload with a proof that each of its entries is linked or left out. The tally is asked first. If
// it proves nothing, since it is not what was linked or the upload is from before there were tallies, the rows are.
func proved(complete func(proof) error) error {
	err := complete(byTally)
	if errors.Is(err, errMiscounted) {
		err = complete(byRows)
	}
	return err
}

// prove returns an UnsettledError, in the transaction that completes an upload, if one of its entries is neither linked
// nor left out, and errMiscounted if the tally does not tell.
func (r *Repository) prove(ctx context.Context, tx *dialect.Tx, upload int64, by proof) error {
	unready := func(which squirrel.Sqlizer) squirrel.Sqlizer {
		return squirrel.ConcatExpr("(", squirrel.Select("COUNT(*)").From("entries").
			Where("upload = uploads.id AND state <> 0").Where(which), ")")
	}
	leftOut := squirrel.Eq{"state": []EntryState{Changed, Failed, Unsupported, Unreachable}, "origin": nil}
	counts := make([]int64, 3)
	query := squirrel.Select("found_entries - linked_entries - shared_entries").Column(unready(leftOut)).
		Column(squirrel.ConcatExpr(unready(squirrel.Eq{"state": Changed}), " + CASE WHEN ", skipping, " THEN 0 ELSE ",
			unready(squirrel.Eq{"state": []EntryState{Failed, Unreachable}}), " END")).
		From("uploads").Where(squirrel.Eq{"id": upload})
	err := r.laterRead(ctx, tx, counts, query, func(int64) error {
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

	var unlinked int64
	err = r.get(ctx, tx, &unlinked, squirrel.Select("COUNT(*)").From("entries").
		LeftJoin("roots ON roots.entry = entries.id").
		Where(squirrel.Eq{"upload": upload, "state": linkable, "origin": nil, "roots.entry": nil}))
	if err == nil && unlinked > 0 {
		err = &UnsettledError{Upload: upload, Unlinked: unlinked}
	}
	return err
}

// skipping is true of uploads that are completed without what could not be prepared. Before uploads knew their store,
// they did not tell.
var skipping = squirrel.Expr("(skip_failed <> 0 OR store IS NULL)")
