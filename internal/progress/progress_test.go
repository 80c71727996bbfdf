package progress

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counters
		lines := []string{c.Line(time.Now())}
		c.Begin("scanning")
		c.Entries.Store(12)
		lines = append(lines, c.Line(time.Now()))

		c.Bytes.Store(1 << 20) // packed before this stage
		c.Begin("packing")
		time.Sleep(2 * time.Second)
		c.FilesTotal.Store(10)
		c.BytesTotal.Store(9 << 20)
		c.Files.Store(3)
		c.Bytes.Store(5 << 20)
		lines = append(lines, c.Line(time.Now()))

		c.Begin("linking")
		c.Linked.Store(4)
		lines = append(lines, c.Line(time.Now()))

		want := []string{
			"starting", "scanning: 12 entries", "packing: 3 of 10 files, 5.0 MiB of 9.0 MiB, 2.0 MiB/s, 2s left",
			"linking: 4 of 12 entries",
		}

		for i := range want {
			if lines[i] != want[i] {
				t.Errorf("got %q, want %q", lines[i], want[i])
			}
		}
	})
}

func TestShowKeepsToTheWidthAndCleansUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counters
		c.Begin("scanning")

		ctx, cancel := context.WithCancel(context.Background())
		var out strings.Builder
		var shown sync.WaitGroup
		shown.Go(func() { Show(ctx, c.Line, &out, func() int { return 9 }) })

		time.Sleep(lineEvery + time.Millisecond)
		cancel()
		shown.Wait()

		if want := clearLine + "scanning" + clearLine; out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	})
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	for _, c := range []struct {
		line  string
		limit int
		want  string
	}{
		{"äöü", 2, "äö"}, {"äöü", 3, "äöü"}, {"äöü", 9, "äöü"}, {"abc", 0, "abc"}, {"abc", -1, "abc"}, {"", 1, ""},
	} {
		if got := Cut(c.line, c.limit); got != c.want {
			t.Errorf("%q cut to %d: got %q, want %q", c.line, c.limit, got, c.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 10 << 40: "10.0 TiB",
		3 << 60: "3072.0 PiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 files": Count(0, "file"), "1 file": Count(1, "file"), "2 files": Count(2, "file"), "1 entry": Count(1, "entry"),
		"2 entries": Count(2, "entry"), "3 directories": Count(3, "directory"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLogTellsEveryThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counters
		c.Begin("scanning")
		c.Entries.Store(7)

		ctx, cancel := context.WithCancel(context.Background())
		var out strings.Builder
		var logged sync.WaitGroup
		logged.Go(func() { Log(ctx, c.Line, slog.New(slog.NewTextHandler(&out, nil))) })

		time.Sleep(61 * time.Second)
		cancel()
		logged.Wait()

		if n := strings.Count(out.String(), `msg="scanning: 7 entries"`); n != 2 {
			t.Errorf("%d lines in a minute: %s", n, out.String())
		}
	})
}
