package main

import (
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// stopView says when and why the last run of an upload stopped, if nothing has gone on since.
type stopView struct {
	StoppedAt  instant `json:"stopped_at,omitempty"`  // when the last run stopped with an error, if nothing went on since
	StopReason string  `json:"stop_reason,omitempty"` // the error
}

func newStopView(u sqlrepo.Upload) stopView {
	return stopView{StoppedAt: formatTime(u.StoppedAt), StopReason: u.StopReason}
}

func (v stopView) text(w io.Writer) {
	if v.StoppedAt != "" {
		fmt.Fprintf(w, "  %s\n", v.sentence())
	}
}

// sentence says when and why the run stopped.
func (v stopView) sentence() string {
	return fmt.Sprintf("the last run stopped at %s: %s", v.StoppedAt.text(), oneLine(v.StopReason))
}
