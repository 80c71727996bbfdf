package core

import (
	"context"
	"iter"

	sq "github.com/Masterminds/squirrel"
)

// Pages grow from the first one, which has few rows and is there soon, to the largest that can be held, which keeps
// round trips rare.
const (
	firstPage   = 2000
	largestPage = 8000
	pageGrowth  = 4
)

// KeysAtOnce is the most keys in one statement.
const KeysAtOnce = 10_000

// Rows yields the rows of a query page by page, as Pages does, and retries while the database is away.
func Rows[T any](ctx context.Context, db *DB, doing string, query sq.SelectBuilder,
	behind func(last T) sq.Sqlizer) iter.Seq2[T, error] {
	return Pages(query, behind, func(page *[]T, query sq.SelectBuilder) error {
		return db.ReadAll(ctx, doing, page, query)
	})
}

// Pages yields the rows of a query page by page, each time behind the last row so far. It reads the next page while
// one is used. Nothing is held open between pages, so a slow reader keeps no transaction alive.
func Pages[T any](query sq.SelectBuilder, behind func(last T) sq.Sqlizer,
	read func(page *[]T, query sq.SelectBuilder) error) iter.Seq2[T, error] {
	return PagesFrom(firstPage, query, behind, read)
}

// PagesFrom is like Pages, with another length of the first page.
func PagesFrom[T any](first uint64, query sq.SelectBuilder, behind func(last T) sq.Sqlizer,
	read func(page *[]T, query sq.SelectBuilder) error) iter.Seq2[T, error] {
	type result struct {
		page []T
		err  error
	}

	fetch := func(query sq.SelectBuilder, size uint64) <-chan result {
		fetched := make(chan result, 1)
		go func() {
			var r result
			r.err = read(&r.page, query.Limit(size))
			fetched <- r
		}()
		return fetched
	}

	return func(yield func(T, error) bool) {
		size := first
		next := fetch(query, size)

		// A caller that stops early must not leave a query running.
		defer func() {
			if next != nil {
				<-next
			}
		}()

		for next != nil {
			current := <-next
			next = nil
			if current.err != nil {
				var none T
				yield(none, current.err)
				return
			}

			// A full page may not be the last one.
			if n := len(current.page); n == int(size) {
				size = max(size, min(size*pageGrowth, largestPage))
				next = fetch(query.Where(behind(current.page[n-1])), size)
			}

			for _, row := range current.page {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}
