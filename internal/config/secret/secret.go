// Package secret keeps passwords and connection strings out of logs, errors and output.
package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is printed in place of the text of every secret.
const Redacted = "xxxxx"

// String is text that prints as Redacted, or as nothing if it is empty, with the fmt verbs and in JSON, text
// encodings and slog. Only Reveal returns the text.
//
// fmt bypasses a type's methods in two places. It can't call them through an unexported struct field, so keep a
// String in exported fields of any struct that may be printed whole. And it does not call them for %p or for a %w
// whose operand is not an error; go vet reports these two.
type String string

// Reveal returns the secret text.
func (s String) Reveal() string { return string(s) }

// String returns Redacted, or "" for an empty secret.
func (s String) String() string {
	if s == "" {
		return ""
	}
	return Redacted
}

// GoString returns String in quotes, for %#v.
func (s String) GoString() string { return fmt.Sprintf("%q", s.String()) }

// Format writes the redacted form for every verb, so that %x and %d reveal nothing either.
func (s String) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}

	// A fmt.State keeps its own write errors.
	_, _ = io.WriteString(f, text)
}

// MarshalText returns the redacted form.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns the redacted form as a JSON string.
func (s String) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue returns the redacted form for slog.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }
