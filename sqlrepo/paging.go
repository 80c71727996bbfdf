package sqlrepo

import (
	"iter"

	"github.com/Masterminds/squirrel"
)

// pageSize is how many rows one query of an iterator reads: enough to make round trips rare, few enough to hold.
const pageSize = 2000

// pages yields the rows of a query that is run again and again, each time for the page behind the last row so far. The
// next page is read while one is used. Nothing is held open between pages, so a slow reader keeps no transaction alive.
func pages[T any](query squirrel.SelectBuilder, behind func(last T) squirrel.Sqlizer,
	read func(page *[]T, query squirrel.SelectBuilder) error) iter.Seq2[T, error] {
	type result struct {
		page []T
		err  error
	}
	fetch := func(query squirrel.SelectBuilder) <-chan result {
		fetched := make(chan result, 1)
		go func() {
			var r result
			r.err = read(&r.page, query.Limit(pageSize))
			fetched <- r
		}()
		return fetched
	}
	return func(yield func(T, error) bool) {
		next := fetch(query)
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
			if len(current.page) == pageSize {
				next = fetch(query.Where(behind(current.page[pageSize-1])))
			}
			for _, row := range current.page {
				if !yield(row, nil) {
					return
				}
			}
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
