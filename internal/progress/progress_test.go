package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLine(t *testing.T) {
	var c Counters
	gauge := NewGauge(c.State, time.Second)
	now := time.Unix(1, 0)
	lines := []string{gauge.Read(now).Line()}
	read := func() { lines = append(lines, gauge.Read(now).Line()) }

	c.Enter("scanning")
	c.Entries.Store(12)
	read()

	c.Enter("packing")
	c.FilesTotal.Store(10)
	c.BytesTotal.Store(9 << 20)
	c.OtherFiles.Store(2)
	c.OtherBytes.Store(1 << 20)
	read()

	shard := c.Shard("shard 0", 4<<20)
	shard.Add(4 << 20)
	c.Files.Store(1)
	now = now.Add(2 * time.Second)
	read()
	shard.End()

	c.Enter("linking")
	c.Linked.Store(4)
	read()

	want := []string{
		"preparing: 0 files", "scanning: 12 entries", "preparing: 2 of 10 files, 1.0 MiB of 9.0 MiB",
		"preparing: 3 of 10 files, 5.0 MiB of 9.0 MiB, 2.0 MiB/s, 2s left",
		"preparing: 3 of 10 files, 5.0 MiB of 9.0 MiB; linking: 4 of 12 entries",
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("got %q, want %q", lines[i], want[i])
		}
	}
}

// TestPartsCountForTheWhole counts parts in many goroutines, some of which take back what they counted.
func TestPartsCountForTheWhole(t *testing.T) {
	task := NewTask("reading", "shard")
	task.Expect(20, 20*100)

	var working sync.WaitGroup
	for i := range 20 {
		working.Go(func() {
			part := task.Part(fmt.Sprintf("shard %d", i), 100)
			defer part.End()
			for range 10 {
				part.Add(20)
				part.Add(-10)
			}
			task.Add(1, 0)
			task.State()
		})
	}
	working.Wait()

	want := State{Doing: "reading", Item: "shard", Items: 20, ItemsTotal: 20, Bytes: 2000, BytesTotal: 2000}
	if got := task.State(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	var none *Task
	none.Begin("a", "b")
	none.Expect(1, 1)
	part := none.Part("c", 1)
	part.Add(1)
	part.End()
}

// TestAStageBeginsWithoutARate reads a gauge across a change of stages.
func TestAStageBeginsWithoutARate(t *testing.T) {
	task := NewTask("listing", "file")
	gauge := NewGauge(task.State, time.Second)
	now := time.Unix(1, 0)
	gauge.Read(now)
	task.Add(50, 0)
	now = now.Add(time.Second)
	if got, want := gauge.Read(now).Line(), "listing: 50 files, 50 files/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	task.Begin("checking", "file")
	task.Expect(100, 0)
	task.Add(50, 0)
	if got, want := gauge.Read(now).Line(), "checking: 50 of 100 files"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTheRateOfPackingIsItsOwn lets stages go before packing and after it.
func TestTheRateOfPackingIsItsOwn(t *testing.T) {
	var c Counters
	gauge := NewGauge(c.State, time.Second)
	now := time.Unix(1, 0)
	read := func() Reading {
		now = now.Add(time.Second)
		return gauge.Read(now)
	}

	c.Enter("planning")
	for range 60 {
		c.FilesTotal.Add(1)
		c.BytesTotal.Add(1 << 20)
		read()
	}

	c.Enter("packing")
	read()
	c.Bytes.Add(30 << 20)
	if r := read(); r.Rate != 30<<20 || r.Left != time.Second {
		t.Errorf("packing began with %.0f, %s left", r.Rate, r.Left)
	}

	// The end of packing is not the end of everything.
	c.Bytes.Add(30 << 20)
	if r := read(); r.Rate != 0 || r.Left >= 0 {
		t.Errorf("all is packed: %.0f, %s left", r.Rate, r.Left)
	}
	c.Enter("indexing")
	c.IndexedTotal.Store(20)
	c.Indexed.Add(5)
	read()
	c.Indexed.Add(5)
	want := "preparing: 0 of 60 files, 60.0 MiB of 60.0 MiB; indexing: 10 of 20 blocks, 5.0 blocks/s, 2s left"
	if got := read().Line(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAGaugeBeginsAgainAfterALongTime stops a process between two looks.
func TestAGaugeBeginsAgainAfterALongTime(t *testing.T) {
	task := NewTask("packing", "")
	task.Expect(0, 1<<30)
	gauge := NewGauge(task.State, time.Second)
	now, rate := time.Unix(1, 0), 0.0
	after := func(d time.Duration, bytes int64) {
		now = now.Add(d)
		task.Add(0, bytes)
		rate = gauge.Read(now).Rate
	}

	after(0, 0)
	after(time.Second, 1000)
	after(time.Hour, 0)
	after(time.Second, 1000)
	if rate != 1000 {
		t.Errorf("a rate of %f where 1000 stayed", rate)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1499 * time.Millisecond: "1s", 125 * time.Second: "2m5s", 3*time.Hour + 59*time.Second: "3h0m",
		51 * time.Hour: "2d3h", longest: "more than 1000d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

func TestJSONTellsEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := NewTask("reading", "file")
		task.Expect(4, 400)
		ctx, cancel := context.WithCancel(context.Background())
		var out strings.Builder
		var writing sync.WaitGroup
		writing.Go(func() { JSON(ctx, task.State, &out) })

		time.Sleep(time.Millisecond)
		task.Add(1, 100)
		time.Sleep(time.Second)
		cancel()
		writing.Wait()

		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines: %s", len(lines), out.String())
		}
		var last struct {
			Schema   int
			Progress View
		}
		if err := json.Unmarshal([]byte(lines[1]), &last); err != nil {
			t.Fatal(err)
		}
		if p := last.Progress; last.Schema != 1 || p.Items != 1 || p.ItemsTotal != 4 || p.Bytes != 100 ||
			p.BytesPerSecond != 100 || p.SecondsLeft == nil || *p.SecondsLeft != 3 {
			t.Errorf("got %s", lines[1])
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

// TestLogTellsEveryThirtySeconds lets work go on evenly at first, and then faster.
func TestLogTellsEveryThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := NewTask("reading", "file")
		task.Expect(0, 10<<20)

		ctx, cancel := context.WithCancel(context.Background())
		var out strings.Builder
		var logged sync.WaitGroup
		logged.Go(func() { Log(ctx, task.State, slog.New(slog.NewTextHandler(&out, nil))) })

		time.Sleep(500 * time.Millisecond)
		for second := range 61 {
			task.Add(0, 10<<10)
			if second >= 30 {
				task.Add(0, 90<<10)
			}
			time.Sleep(time.Second)
		}
		cancel()
		logged.Wait()

		// The rate of the second line is near that of the last seconds, not in the middle between both.
		want := regexp.MustCompile(`^.* msg="reading: 0 files, 300\.0 KiB of 10\.0 MiB, 10\.0 KiB/s, 16m34s left"\n` +
			`.* msg="reading: 0 files, 3\.2 MiB of 10\.0 MiB, 9\d\.\d KiB/s, 1m1\ds left"\n$`)
		if !want.MatchString(out.String()) {
			t.Errorf("it logged %s", out.String())
		}
	})
}
