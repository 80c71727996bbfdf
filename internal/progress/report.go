package progress

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"
)

const (
	lookEvery = time.Second
	logEvery  = 30 * time.Second
)

// Log writes the progress to a log every 30 seconds until ctx ends. It looks more often, so that each line has the
// rate of the last seconds.
func Log(ctx context.Context, source Source, log *slog.Logger) {
	gauge, looks := NewGauge(source, lookEvery), 0
	gauge.Read(time.Now())
	every(ctx, lookEvery, func(now time.Time) {
		reading := gauge.Read(now)
		if looks++; looks%int(logEvery/lookEvery) == 0 {
			log.Info(reading.Line())
		}
	})
}

// JSON writes the progress as a line of JSON at once, every second, and when ctx ends.
func JSON(ctx context.Context, source Source, w io.Writer) {
	gauge := NewGauge(source, lookEvery)
	write := func(now time.Time) {
		// A line that can't be written is not worth an error: the work goes on.
		_ = json.NewEncoder(w).Encode(Line{1, now.UTC().Truncate(time.Second), newView(gauge.Read(now))})
	}

	write(time.Now())
	every(ctx, lookEvery, write)
	write(time.Now())
}

// Line is a line of progress in JSON.
type Line struct {
	Schema   int       `json:"schema"`   // version of the line, 1
	Time     time.Time `json:"time"`     // when this was so
	Progress View      `json:"progress"` // what is done, with its parts
}

// View is a reading in JSON. Totals, rates and times are absent while they are unknown.
type View struct {
	Doing          string   `json:"doing"`                      // what is done
	Item           string   `json:"item,omitempty"`             // singular of what item_count counts, such as file
	Items          int64    `json:"item_count"`                 // number of items that are done
	ItemsTotal     int64    `json:"total_item_count,omitempty"` // number of items in all
	Bytes          int64    `json:"bytes"`                      // length of what is done
	BytesTotal     int64    `json:"total_bytes,omitempty"`      // length in all
	BytesPerSecond float64  `json:"bytes_per_second,omitempty"` // rate, if bytes are counted
	ItemsPerSecond float64  `json:"items_per_second,omitempty"` // rate, if only items are counted
	SecondsLeft    *float64 `json:"seconds_left,omitempty"`     // time that the rest will take
	Parts          []View   `json:"parts,omitempty"`            // pieces that are under way
}

func newView(r Reading) View {
	view := View{
		Doing: r.Doing, Item: r.Item, Items: r.Items, ItemsTotal: r.ItemsTotal, Bytes: r.Bytes, BytesTotal: r.BytesTotal,
	}
	if r.countsBytes() {
		view.BytesPerSecond = r.Rate
	} else {
		view.ItemsPerSecond = r.Rate
	}

	if r.Left >= 0 {
		left := r.Left.Seconds()
		view.SecondsLeft = &left
	}
	for _, part := range r.Parts {
		view.Parts = append(view.Parts, newView(part))
	}
	return view
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
