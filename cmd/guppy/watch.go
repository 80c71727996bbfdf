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

// watchEvery is the shortest pause between two samples.
const watchEvery = 2 * time.Second

// seldom returns the pause after a number of queries that keeps them under one a second.
func seldom(queries int) time.Duration { return time.Duration(queries)*time.Second + time.Second/2 }

// watch shows a status repeatedly. An interrupt is its normal end.
func (a *app) watch(ctx context.Context, sampler *statusSampler) error {
	show := a.blocks()
	for {
		view, err := sampler.sample(ctx)
		// A query that was interrupted is no error.
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}

		if err := show(view); err != nil || sampler.upload != nil && view.Uploads[0].Ended {
			return err
		}

		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(watchEvery, seldom(sampler.queries))):
		}
	}
}

// blocks returns a function that shows a status. On a terminal it replaces the status before, elsewhere it goes
// below it.
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
		// Some terminals do not report their size.
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

// redraw returns the text that replaces the lines drawn before by a block. It cuts the block to the size of the
// terminal, because a line that crosses the edge would take two. It also returns the number of lines that the
// cursor is then below the first one.
func redraw(block string, drawn, width, height int) (frame string, lines int) {
	var out strings.Builder
	if drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", drawn)
	}
	out.WriteString("\r\x1b[J")

	all := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	if room := max(1, height-1); len(all) > room {
		notice := fmt.Sprintf("and %d more lines", len(all)-room+1)
		all = append(all[:room-1:room-1], notice)
	}

	for _, line := range all {
		out.WriteString(progress.Cut(line, max(1, width-1)) + "\n")
	}

	return out.String(), len(all)
}
