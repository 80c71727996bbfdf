package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/progress"
)

// watchEvery is the shortest time between two samples.
const watchEvery = 2 * time.Second

// seldom is how long to wait after so many queries, so that they stay under one a second.
func seldom(queries int) time.Duration { return time.Duration(queries)*time.Second + time.Second/2 }

// watch shows a status again and again. To be interrupted is its usual end.
func (a *app) watch(ctx context.Context, status *status) error {
	show := a.blocks()
	for {
		view, err := status.sample(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := show(view); err != nil || status.upload != nil && view.Uploads[0].Ended {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(watchEvery, seldom(status.queries))):
		}
	}
}

// blocks shows each status in place of the one before on a terminal, else below it.
func (a *app) blocks() func(*progressView) error {
	file, isFile := a.stdout.(*os.File)
	if a.json || !isFile || !term.IsTerminal(int(file.Fd())) {
		return func(view *progressView) error {
			return a.print(view, func(w io.Writer) {
				fmt.Fprintln(w, view.Time)
				view.text(w)
			})
		}
	}
	drawn := 0
	return func(view *progressView) error {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil || width == 0 || height == 0 {
			width, height = 80, 24
		}
		var block bytes.Buffer
		view.text(&block)
		var frame string
		frame, drawn = redraw(block.String(), drawn, width, height)
		_, err = io.WriteString(file, frame)
		return err
	}
}

// redraw goes back over the lines that were drawn before and writes a block, cut to the size of the terminal: a line
// that went over the edge would take two. It returns how many lines the cursor is below the first one.
func redraw(block string, drawn, width, height int) (frame string, lines int) {
	var out strings.Builder
	if drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", drawn)
	}
	out.WriteString("\r\x1b[J")
	all := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	if room := max(1, height-1); len(all) > room {
		more := fmt.Sprintf("and %d more lines", len(all)-room+1)
		all = append(all[:room-1:room-1], more)
	}
	for _, line := range all {
		out.WriteString(progress.Cut(line, max(1, width-1)) + "\n")
	}
	return out.String(), len(all)
}
