package sqlrepo

import (
	"context"
	"iter"

	sq "github.com/Masterminds/squirrel"
)

// spanEntries is how many entries of an upload one statement goes through.
const spanEntries = 10_000

// pathSpan is a part of an upload's entries: those behind one path, up to and including another. The first span has no
// beginning, the last one no end.
type pathSpan struct{ behind, to *Path }

// of matches the paths of a span.
func (s pathSpan) of(column string) (within sq.And) {
	if s.behind != nil {
		within = append(within, sq.Gt{column: *s.behind})
	}
	if s.to != nil {
		within = append(within, sq.LtOrEq{column: *s.to})
	}
	return within
}

// pathSpans yields spans that cover all entries of an upload, in canonical order: of spanEntries each, unless entries
// are added meanwhile. There is always one span.
func (r *Repository) pathSpans(ctx context.Context, upload int64) iter.Seq2[pathSpan, error] {
	return func(yield func(pathSpan, error) bool) {
		for span := (pathSpan{}); ; span = (pathSpan{behind: span.to}) {
			var ends []Path
			err := r.db.ReadAll(ctx, "read entries", &ends, sq.Select("path").From("entries").
				Where(sq.Eq{"upload": upload}).Where(span.of("path")).OrderBy("path").Limit(1).Offset(spanEntries-1))
			if len(ends) > 0 {
				span.to = &ends[0]
			}
			if !yield(span, err) || err != nil || span.to == nil {
				return
			}
		}
	}
}
