package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/guppy-prep/guppy/dialect"
)

// ErrInvalid is in the chain of every error that Load returns.
var ErrInvalid = errors.New("invalid configuration")

// Error lists everything that is wrong with a configuration, so that one run is enough to mend it all. It never holds
// the value of a secret. errors.Is finds ErrInvalid in it, and the cause when a file could not be read.
type Error struct{ Problems []Problem }

// Problem is one thing that is wrong.
type Problem struct {
	// Key is the setting, or "" if the problem is not with one setting.
	Key string
	// Origin is the place to mend, or "" or Default if there is none.
	Origin Origin
	Reason string
	// Cause is the error behind the problem, if there is one.
	Cause error
}

// Error has one line for each problem.
func (e *Error) Error() string {
	lines := []string{ErrInvalid.Error()}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns ErrInvalid and the causes of the problems.
func (e *Error) Unwrap() []error {
	errs := []error{ErrInvalid}
	for _, p := range e.Problems {
		if p.Cause != nil {
			errs = append(errs, p.Cause)
		}
	}
	return errs
}

// String is the place, the setting and the reason in one line.
func (p Problem) String() string {
	s := p.Reason
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Origin != "" && p.Origin != Default {
		s = string(p.Origin) + ": " + s
	}
	return s
}

// badValue keeps the value of a secret to itself.
func badValue(k key, v any, origin Origin) Problem {
	shown := show(v)
	if _, secret := k.kind.(hidden); secret {
		shown = "the value"
	}
	return Problem{Key: k.name, Origin: origin, Reason: fmt.Sprintf("%s is not allowed, want %s", shown, k.kind.want())}
}

// printable quotes a name that would upset a terminal.
func printable(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

const shownBytes = 64

// show prints a refused value. A connection string may have been given for the wrong setting.
func show(v any) string {
	s, ok := v.(string)
	if !ok {
		s = dialect.Redact(fmt.Sprint(v))
		return fmt.Sprintf("%.*s (%s)", shownBytes, s, typeName(v))
	}
	return fmt.Sprintf("%.*q", shownBytes, dialect.Redact(s))
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a boolean"
	case int, int64, uint64:
		return "an integer"
	case float64:
		return "a fraction"
	case []any, []string:
		return "a list"
	case map[string]any:
		return "a section"
	}
	return fmt.Sprintf("a %T", v)
}
