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

// Error lists all problems of a configuration, so that the operator can fix them at once. It never contains the
// value of a secret. It wraps ErrInvalid, and the cause of a file that could not be read.
type Error struct{ Problems []Problem }

// Problem is one mistake in a configuration.
type Problem struct {
	// Key is the setting, or "" if the problem does not concern a single setting.
	Key string
	// Origin is the place to fix, or "" or Default if there is none.
	Origin Origin
	Reason string
	// Cause is the error behind the problem, or nil.
	Cause error
}

// Error returns one line for each problem.
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

// String returns the place, the setting and the reason in one line.
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

// badValue returns the problem of an invalid value. It does not show the value of a secret.
func badValue(k keySpec, v any, origin Origin) Problem {
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

// show formats an invalid value. It redacts the value, because a connection string may have been given for the
// wrong setting.
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
