package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo/copying"
)

// transferView is the output of transfer, backup and restore.
type transferView struct {
	From    string         `json:"from"`      // database or file that was read
	To      string         `json:"to"`        // database or file that was written
	Tables  []tableContent `json:"tables"`    // what was copied
	Rows    int64          `json:"row_count"` // number of rows of all tables
	Seconds float64        `json:"seconds"`   // how long that took
}

func newTransferView(from, to string, content copying.Content, took time.Duration) transferView {
	view := transferView{From: from, To: to, Tables: []tableContent{}, Seconds: took.Seconds()}
	for _, table := range content {
		view.Tables = append(view.Tables, tableContent(table))
		view.Rows += table.Rows
	}
	return view
}

func (v transferView) text(w io.Writer) {
	fmt.Fprintf(w, "from      %s\nto        %s\n", v.From, v.To)
	fmt.Fprintf(w, "rows      %d, the same on both sides, in %.1f s\n", v.Rows, v.Seconds)
	fmt.Fprintln(w)
	writeTable(w, []display.Column{{Title: "TABLE"}, {Title: "ROWS", Right: true}, {Title: "DIGEST"}}, len(v.Tables),
		func(i int) []string {
			table := v.Tables[i]
			return []string{table.Table, fmt.Sprint(table.Rows), fmt.Sprintf("%.16s", table.Digest)}
		})
}

// transferring is the progress of rows that are copied or read.
type transferring struct {
	// doing says what is done with the rows, such as "copying".
	doing  string
	began  time.Time
	latest atomic.Pointer[copying.TransferProgress]
}

func newTransferring(doing string) *transferring {
	return &transferring{doing: doing, began: time.Now()}
}

func (t *transferring) report(p copying.TransferProgress) { t.latest.Store(&p) }

// showTransfer calls fn and shows the progress that fn reports. On a terminal, next is the next step.
func (a *app) showTransfer(ctx context.Context, from, to, next string,
	fn func(progress copying.Progress) (copying.Content, error)) error {
	shown := newTransferring("copying")
	stop := a.showProgress(ctx, shown.state)

	content, err := fn(shown.report)
	stop()
	if err != nil {
		return err
	}

	view := newTransferView(from, to, content, time.Since(shown.began))
	return a.printWithNext(view, view.text, next)
}

func (t *transferring) state() progress.State {
	p := t.latest.Load()
	if p == nil {
		return progress.State{Doing: t.doing}
	}

	doing := t.doing
	if p.Checking {
		doing = "checking"
	}
	if p.Table == "" {
		return progress.State{Doing: doing + " pages", Item: "page", Items: p.Rows, ItemsTotal: p.Of}
	}
	// Each pass over the rows counts all of them.
	whole := t.doing
	if p.Comparing {
		whole = "comparing"
	}
	return progress.State{
		Doing: whole, Item: "row", Items: p.Done, ItemsTotal: p.Total,
		Parts: []progress.State{{Doing: doing + " " + p.Table, Item: "row", Items: p.Rows, ItemsTotal: p.Of}},
	}
}
