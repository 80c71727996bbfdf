package progress

import (
	"fmt"
	"strings"
	"time"
)

// Line returns the reading as one line of text. Parts that only count bytes, such as files under way, are left out.
func (r Reading) Line() string {
	var lines []string
	if r.Started() || len(r.Parts) == 0 {
		line := r.Doing
		if counts := r.Counts(); counts != "" {
			line += ": " + counts
		}
		lines = append(lines, line)
	}

	for _, part := range r.Parts {
		if part.Item != "" {
			lines = append(lines, part.Line())
		}
	}
	return strings.Join(lines, "; ")
}

// Counts returns the items and bytes of the reading, its rate, and the time left.
func (r Reading) Counts() string {
	var counts []string
	switch {
	case r.Item == "":
	case r.ItemsTotal > 0:
		counts = append(counts, fmt.Sprintf("%d of %s", r.Items, Count(r.ItemsTotal, r.Item)))
	default:
		counts = append(counts, Count(r.Items, r.Item))
	}

	switch {
	case r.BytesTotal > 0:
		counts = append(counts, Bytes(r.Bytes)+" of "+Bytes(r.BytesTotal))
	case r.Bytes > 0:
		counts = append(counts, Bytes(r.Bytes))
	}

	if speed := r.Speed(); speed != "" {
		counts = append(counts, speed)
	}
	if r.Left >= 0 {
		counts = append(counts, Duration(r.Left)+" left")
	}
	return strings.Join(counts, ", ")
}

// Speed returns the rate as text, or "" if there is none.
func (r Reading) Speed() string {
	switch {
	case r.Rate < slowest:
		return ""
	case r.countsBytes():
		return Bytes(int64(r.Rate)) + "/s"
	case r.Rate < 10:
		return fmt.Sprintf("%.1f %s/s", r.Rate, strings.TrimPrefix(Count(2, r.Item), "2 "))
	}
	return Count(int64(r.Rate), r.Item) + "/s"
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

// longest is more than anybody waits, and fits a time.Duration.
const longest = 1000 * 24 * time.Hour

// duration returns a number of seconds as a duration of at most longest.
func duration(seconds float64) time.Duration {
	if seconds >= longest.Seconds() {
		return longest
	}
	return time.Duration(seconds * float64(time.Second))
}

// Duration formats a time span with its two largest units, such as "3d4h" or "2m5s".
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Second)

	switch {
	case d >= longest:
		return "more than " + fmt.Sprint(int(longest/day)) + "d"
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.String()
}
