package sqlrepo

import (
	"iter"

	"github.com/Masterminds/squirrel"
)

// pageSize is how many rows one query of an iterator reads: enough to make round trips rare, few enough to hold.
const pageSize = 2000

// pages yields the rows of a query that is run again and again, each time for the page behind the last row so far.
// Nothing is held open between pages, so a slow reader keeps no transaction alive.
func pages[T any](query squirrel.SelectBuilder, behind func(last T) squirrel.Sqlizer,
	read func(page *[]T, query squirrel.SelectBuilder) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for next := query.Limit(pageSize); ; {
			var page []T
			if err := read(&page, next); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			next = query.Limit(pageSize).Where(behind(page[len(page)-1]))
		}
	}
}

// batches cuts a list into parts of at most size.
func batches[T any](all []T, size int) (parts [][]T) {
	for ; len(all) > size; all = all[size:] {
		parts = append(parts, all[:size])
	}
	if len(all) > 0 {
		parts = append(parts, all)
	}
	return parts
}
