package display

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Sentences is a log for a person: each record is a sentence, with its attributes in brackets.
type Sentences struct {
	out   io.Writer
	level slog.Level
	attrs []slog.Attr
	group string
}

// NewSentences returns a log that writes records of this level and above.
func NewSentences(out io.Writer, level slog.Level) *Sentences {
	return &Sentences{out: out, level: level}
}

// Enabled implements slog.Handler.
func (s *Sentences) Enabled(_ context.Context, level slog.Level) bool { return level >= s.level }

// Handle implements slog.Handler.
func (s *Sentences) Handle(_ context.Context, record slog.Record) error {
	var line strings.Builder
	switch {
	case record.Level >= slog.LevelError:
		line.WriteString(failure.Render("Error:") + " ")
	case record.Level >= slog.LevelWarn:
		line.WriteString(warning.Render("Warning:") + " ")
	}

	message := Printable(record.Message)
	if line.Len() == 0 {
		message = capitalized(message)
	}
	line.WriteString(message)

	attrs := slices.Clone(s.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, s.grouped(attr))
		return true
	})
	if details := details(attrs); details != "" {
		line.WriteString(" " + faint.Render("("+details+")"))
	}

	_, err := io.WriteString(s.out, line.String()+"\n")
	return err
}

// details returns attributes as text, without those that say nothing.
func details(attrs []slog.Attr) string {
	var details []string
	for _, attr := range attrs {
		if value := attr.Value.Resolve().String(); value != "" && value != "false" {
			details = append(details, attr.Key+": "+Printable(value))
		}
	}
	return strings.Join(details, ", ")
}

// WithAttrs implements slog.Handler.
func (s *Sentences) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *s
	with.attrs = slices.Clone(s.attrs)
	for _, attr := range attrs {
		with.attrs = append(with.attrs, s.grouped(attr))
	}
	return &with
}

// WithGroup implements slog.Handler.
func (s *Sentences) WithGroup(name string) slog.Handler {
	with := *s
	with.group = s.group + name + "."
	return &with
}

func (s *Sentences) grouped(attr slog.Attr) slog.Attr {
	return slog.Attr{Key: s.group + attr.Key, Value: attr.Value}
}

// Printable replaces what could upset a terminal, such as escape sequences in a file's name, by its Go escape.
func Printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			out.WriteString("; ")
		case r == utf8.RuneError || !unicode.IsPrint(r):
			quoted := fmt.Sprintf("%+q", string(r))
			out.WriteString(quoted[1 : len(quoted)-1])
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Plain returns text without colors and other styles.
func Plain(text string) string { return ansi.Strip(text) }

func capitalized(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}
