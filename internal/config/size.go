package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes: an integer, or text with or without a unit.
type size struct{ min, max int64 }

func (s size) convert(v any) (any, bool) {
	if text, ok := v.(string); ok {
		return s.parse(text)
	}
	return whole(s).convert(v)
}

func (s size) parse(text string) (any, bool) {
	n, ok := ParseSize(text)
	if !ok {
		return nil, false
	}
	return whole(s).convert(n)
}

func (s size) want() string {
	return fmt.Sprintf(`a number of bytes from %d to %d, or a size such as "254MiB"`, s.min, s.max)
}

// units lacks "M", which has two meanings, and "Mb", which means bits.
var units = map[string]int64{
	"": 1, "B": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// ParseSize returns the number of bytes that a text stands for, such as "254MiB". It reports whether it stands for any.
func ParseSize(text string) (int64, bool) {
	digits := text
	if i := strings.IndexFunc(text, notDigit); i >= 0 {
		digits = text[:i]
	}

	n, err := strconv.ParseInt(digits, 10, 64)
	suffix := text[len(digits):]
	if len(suffix) > 1 {
		suffix = strings.TrimPrefix(suffix, " ")
	}

	unit, known := units[suffix]
	if err != nil || !known || n > math.MaxInt64/unit {
		return 0, false
	}

	return n * unit, true
}

func notDigit(r rune) bool { return r < '0' || r > '9' }
