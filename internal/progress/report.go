package progress

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

const (
	lineEvery = 200 * time.Millisecond
	logEvery  = 30 * time.Second
)

// clearLine returns to the start of the terminal's line and erases it.
const clearLine = "\r\x1b[K"

// Show keeps one line on a terminal up to date until ctx ends, then erases it. Width is asked for before each line.
func (c *Counters) Show(ctx context.Context, terminal io.Writer, width func() int) {
	c.every(ctx, lineEvery, func(elapsed time.Duration) {
		line := c.Line(elapsed)
		if limit := width() - 1; limit > 0 && len(line) > limit {
			line = line[:limit]
		}
		fmt.Fprint(terminal, clearLine, line) //nolint:errcheck // a terminal that is gone needs no progress
	})
	fmt.Fprint(terminal, clearLine) //nolint:errcheck // as above
}

// Log writes the progress to a log now and then until ctx ends.
func (c *Counters) Log(ctx context.Context, log *slog.Logger) {
	c.every(ctx, logEvery, func(elapsed time.Duration) { log.Info("progress", "line", c.Line(elapsed)) })
}

func (c *Counters) every(ctx context.Context, period time.Duration, tell func(elapsed time.Duration)) {
	started := time.Now()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			tell(time.Since(started))
		}
	}
}

// Line says in one line how far the work is after so long.
func (c *Counters) Line(elapsed time.Duration) string {
	switch stage := c.Stage(); stage {
	case "packing":
		return c.packing(elapsed)
	case "linking":
		return fmt.Sprintf("linking: %d of %d entries", c.Linked.Load(), c.Entries.Load())
	default:
		return fmt.Sprintf("%s: %d entries", stage, c.Entries.Load())
	}
}

func (c *Counters) packing(elapsed time.Duration) string {
	done, total := c.Bytes.Load(), c.BytesTotal.Load()
	rate := float64(done) / max(elapsed.Seconds(), 0.001)
	line := fmt.Sprintf("packing: %d of %d files, %s of %s, %s/s", c.Files.Load(), c.FilesTotal.Load(),
		Bytes(done), Bytes(total), Bytes(int64(rate)))
	if rate > 0 && total >= done {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		line += ", " + left.Round(time.Second).String() + " left"
	}
	return line
}

// Bytes is a size with a binary unit.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for ; value >= unit && exponent < 4; exponent++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exponent])
}
