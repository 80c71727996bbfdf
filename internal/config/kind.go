package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/internal/config/secret"
)

// kind is the type of a setting and the set of its valid values.
type kind interface {
	// convert checks a value that already has a type, such as one from a file. It does not turn one type into
	// another.
	convert(v any) (any, bool)
	// parse converts the text of an environment variable or a flag.
	parse(text string) (any, bool)
	// want describes the valid values.
	want() string
}

type textKind struct {
	description string
	ok          func(string) bool
}

var (
	path      = textKind{"a path", isPath}
	directory = textKind{"a path that is not empty", func(s string) bool { return s != "" && isPath(s) }}
	label     = textKind{"a name of 1 to 255 bytes without control characters", isLabel}
)

func isPath(s string) bool { return !strings.ContainsRune(s, 0) }

func isLabel(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// isPlain reports whether s has no control characters. It accepts "", which leaves the choice to the server or
// the driver.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// isHost rejects connection strings, because they may contain a password.
func isHost(s string) bool {
	return isPlain(s) && (strings.HasPrefix(s, "/") || !strings.ContainsAny(s, "/@=?# "))
}

func isName(s string) bool { return isPlain(s) && !strings.Contains(s, "://") }

const longestIdentifier = 63

func isIdentifier(s string) bool { return len(s) <= longestIdentifier && isPlain(s) }

func (t textKind) convert(v any) (any, bool) {
	s, ok := v.(string)
	return s, ok && t.ok(s)
}

func (t textKind) parse(s string) (any, bool) { return t.convert(s) }
func (t textKind) want() string               { return t.description }

// hidden is a secret. It is a URL, parts of which may be shown, unless whole is true.
type hidden struct{ whole bool }

func (hidden) convert(v any) (any, bool) {
	s, ok := v.(string)
	return secret.String(s), ok && isPath(s)
}

func (h hidden) parse(s string) (any, bool) { return h.convert(s) }
func (hidden) want() string                 { return "text" }

// choice is one of several words. An empty word leaves the choice to guppy.
type choice []string

func (c choice) convert(v any) (any, bool) {
	s, ok := v.(string)
	return s, ok && slices.Contains(c, s)
}

func (c choice) parse(s string) (any, bool) { return c.convert(s) }

func (c choice) want() string {
	words := slices.Clone(c)
	for i, word := range words {
		if word == "" {
			words[i] = `""`
		}
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

type truth struct{}

func (truth) convert(v any) (any, bool) {
	b, ok := v.(bool)
	return b, ok
}

func (truth) parse(s string) (any, bool) {
	b, err := strconv.ParseBool(s)
	return b, err == nil
}

func (truth) want() string { return "true or false" }

type whole struct{ min, max int64 }

func (w whole) convert(v any) (any, bool) {
	n, ok := integer(v)
	return n, ok && w.min <= n && n <= w.max
}

func (w whole) parse(s string) (any, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, false
	}
	return w.convert(n)
}

func (w whole) want() string { return fmt.Sprintf("a whole number from %d to %d", w.min, w.max) }

// integer converts any integer type whose value fits.
func integer(v any) (int64, bool) {
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return r.Int(), true
	case r.CanUint() && r.Uint() <= math.MaxInt64:
		return int64(r.Uint()), true
	}
	return 0, false
}

type span struct{ min, max time.Duration }

// convert accepts no number but 0, because a number has no unit.
func (d span) convert(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return d.parse(v)
	case time.Duration:
		return v, d.min <= v && v <= d.max
	}

	n, ok := integer(v)
	return time.Duration(0), ok && n == 0 && d.min == 0
}

func (d span) parse(s string) (any, bool) {
	parsed, err := time.ParseDuration(s)
	if err != nil {
		return nil, false
	}
	return d.convert(parsed)
}

func (d span) want() string {
	return fmt.Sprintf(`a duration with its unit, such as "30s", from %s to %s`, showDuration(d.min), showDuration(d.max))
}

func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// list is a list of text. In the environment its items are separated by commas.
type list struct {
	description string
	ok          func(string) bool
}

var (
	patterns   = list{"a list of patterns, none of them empty", isPattern}
	pairs      = list{"a list of SOURCE=PATH", isPair}
	storePairs = list{"a list of NAME=PATH", isPair}
)

func isPattern(s string) bool { return s != "" && !strings.ContainsAny(s, "\x00\r\n") }

func isPair(s string) bool {
	source, path, ok := strings.Cut(s, "=")
	return ok && source != "" && path != "" && isPath(s)
}

func (l list) convert(v any) (any, bool) {
	switch v := v.(type) {
	case []string:
		return slices.Clone(v), !slices.ContainsFunc(v, func(s string) bool { return !l.ok(s) })
	case []any:
		return l.itemsOf(v)
	}
	return nil, false
}

func (l list) itemsOf(items []any) (any, bool) {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := item.(string)
		if !ok || !l.ok(s) {
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, true
}

func (l list) parse(s string) (any, bool) {
	if strings.TrimSpace(s) == "" {
		return []string{}, true
	}
	items := strings.Split(s, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return l.convert(items)
}

func (l list) want() string { return l.description }
