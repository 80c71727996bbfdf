package retention

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrDuration is returned for a text that is no duration.
var ErrDuration = errors.New("not a duration: use years, months, days and hours in this order, such as 1y5m7d2h, or " +
	"a duration of Go, such as 36h30m")

// Duration is a time by the calendar: a month or a day is as long as the calendar makes it.
type Duration struct {
	Years, Months, Days int
	// Rest is added to that.
	Rest time.Duration
}

// calendar matches years, months, days and hours, each of which may be missing. So 5m is five months, as for restic,
// and 1h5m, whose order is another one, a duration of Go.
var calendar = regexp.MustCompile(`^(?:(\d{1,4})y)?(?:(\d{1,5})m)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?$`)

// ParseDuration parses a duration of more than nothing. It returns ErrDuration for anything else.
func ParseDuration(text string) (d Duration, err error) {
	if parts := calendar.FindStringSubmatch(text); parts != nil {
		var n [4]int
		for i, part := range parts[1:] {
			n[i], _ = strconv.Atoi("0" + part)
		}
		d = Duration{Years: n[0], Months: n[1], Days: n[2], Rest: time.Duration(n[3]) * time.Hour}
	} else if d.Rest, err = time.ParseDuration(text); err != nil {
		return Duration{}, fmt.Errorf("%q is %w", text, ErrDuration)
	}

	if d.Zero() || d.Rest < 0 {
		return Duration{}, fmt.Errorf("%q is %w, and longer than nothing", text, ErrDuration)
	}
	return d, nil
}

// Zero reports whether the duration is no time.
func (d Duration) Zero() bool { return d == Duration{} }

// Before returns the time that is this much before another one.
func (d Duration) Before(t time.Time) time.Time {
	return t.AddDate(-d.Years, -d.Months, -d.Days).Add(-d.Rest)
}

// String returns the duration as ParseDuration reads it.
func (d Duration) String() string {
	var text strings.Builder
	for _, part := range []struct {
		n    int
		unit string
	}{{d.Years, "y"}, {d.Months, "m"}, {d.Days, "d"}} {
		if part.n != 0 {
			fmt.Fprintf(&text, "%d%s", part.n, part.unit)
		}
	}

	switch {
	case d.Rest == 0:
	case d.Rest%time.Hour == 0:
		fmt.Fprintf(&text, "%dh", d.Rest/time.Hour)
	default:
		text.WriteString(d.Rest.String())
	}
	return text.String()
}
