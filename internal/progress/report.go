package progress

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

const (
	lineEvery = 200 * time.Millisecond
	logEvery  = 30 * time.Second
)

// clearLine moves to the start of the terminal's line and erases the line.
const clearLine = "\r\x1b[K"

// Line returns one line that describes the progress.
type Line func(now time.Time) string

// Show keeps one line on a terminal up to date until ctx ends, then erases it. It calls width before it writes each
// line.
func Show(ctx context.Context, line Line, terminal io.Writer, width func() int) {
	every(ctx, lineEvery, func(now time.Time) { fmt.Fprint(terminal, clearLine, Cut(line(now), width()-1)) })
	fmt.Fprint(terminal, clearLine)
}

// Cut shortens a line to at most limit characters. A limit below 1 means no limit.
func Cut(line string, limit int) string {
	characters := 0
	for i := range line {
		if characters == limit && limit > 0 {
			return line[:i]
		}
		characters++
	}
	return line
}

// Log writes the progress to a log from time to time until ctx ends.
func Log(ctx context.Context, line Line, log *slog.Logger) {
	every(ctx, logEvery, func(now time.Time) { log.Info(line(now)) })
}

func every(ctx context.Context, period time.Duration, tick func(now time.Time)) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			tick(now)
		}
	}
}

// Line returns one line that describes the progress of the present stage.
func (c *Counters) Line(now time.Time) string {
	stage := c.stage.Load()

	switch {
	case stage == nil:
		return "starting"
	case stage.name == "packing":
		return c.packing(now.Sub(stage.since), stage.bytes)
	case stage.name == "linking":
		return fmt.Sprintf("linking: %d of %s", c.Linked.Load(), Count(c.Entries.Load(), "entry"))
	case stage.name == "indexing":
		return fmt.Sprintf("indexing: %s", Count(c.Indexed.Load(), "block"))
	case stage.name == "sending":
		return fmt.Sprintf("sending to replicas: %s, %s", Count(c.Sent.Load(), "file"), Bytes(c.SentBytes.Load()))
	}
	return fmt.Sprintf("%s: %s", stage.name, Count(c.Entries.Load(), "entry"))
}

func (c *Counters) packing(elapsed time.Duration, before int64) string {
	done, total := c.Bytes.Load()+c.OtherBytes.Load(), c.BytesTotal.Load()
	rate := float64(done-before) / max(elapsed.Seconds(), 0.001)
	line := fmt.Sprintf("packing: %d of %s, %s of %s, %s/s", c.Files.Load()+c.OtherFiles.Load(),
		Count(c.FilesTotal.Load(), "file"), Bytes(done), Bytes(total), Bytes(int64(rate)))

	if rate > 0 && total >= done {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		line += ", " + left.Round(time.Second).String() + " left"
	}

	return line
}

// Count formats a number of things that are called one in the singular, such as "1 file" or "2 entries". All nouns in y
// form their plural like entry.
func Count(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// Bytes formats a size with a binary unit.
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
