package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// placeFlags are the flags that say where the repository is.
var placeFlags = []string{"--config", "--data-dir", "--database-type", "--database-url"}

// here returns the flags of the command line that say where the repository is, so that a command that is printed with
// them finds it. Some of the flags may be left out.
func (a *app) here(without ...string) string {
	var flags strings.Builder
	for i, arg := range a.args {
		name, _, joined := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return flags.String()
		case !slices.Contains(placeFlags, name) || slices.Contains(without, name):
		case joined:
			flags.WriteString(" " + shellQuoted(withoutPasswords(a.args)[i]))
		case i+1 < len(a.args):
			flags.WriteString(" " + arg + " " + shellQuoted(withoutPasswords(a.args)[i+1]))
		}
	}
	return flags.String()
}

// toRun begins a command in a result. Its first byte marks the command, so that what users have named is not taken for
// one: names are printed without such bytes.
const toRun = "\x00" + program

// placedResult returns a result in which each command that begins with toRun has the flags of here.
func (a *app) placedResult(text string) string {
	var out strings.Builder
	before, rest, found := strings.Cut(text, toRun)
	out.WriteString(before)
	for found {
		before, rest, found = strings.Cut(rest, toRun)
		out.WriteString(program + a.placedCommand(before))
	}
	return out.String()
}

// placed returns a message in which each command of guppy has the flags of here.
func (a *app) placed(text string) string {
	text = unmarked(text)
	var out strings.Builder
	for begin := commandStart(text); begin >= 0; begin = commandStart(text) {
		out.WriteString(text[:begin])
		text = text[begin:]

		end := len(text)
		if next := commandStart(text); next >= 0 {
			end = next - len(program)
		}
		out.WriteString(a.placedCommand(text[:end]))
		text = text[end:]
	}
	return out.String() + text
}

// unmarked returns a text without the marks of commands.
func unmarked(text string) string { return strings.ReplaceAll(text, toRun, program) }

// placedCommand returns a text that begins behind the name of the program, with the flags of here. They stand behind
// the names of the command, since nobody can tell where its arguments end and a sentence goes on. A command that says
// by itself where its repository is stays as it is.
func (a *app) placedCommand(text string) string {
	here := a.here()
	if here == "" || a.root == nil {
		return text
	}
	end := commandLength(a.root, text)
	own, _, _ := strings.Cut(text[end:], "\n")
	says := func(flag string) bool { return strings.Contains(own, " "+flag) }
	if end == 0 || slices.ContainsFunc(placeFlags, says) {
		return text
	}
	return text[:end] + here + text[end:]
}

// program is how commands begin in what guppy prints.
const program = "guppy "

// commandStart returns where the words behind the first "guppy" of a text begin, or -1.
func commandStart(text string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], program)
		if i < 0 {
			return -1
		}
		begin := from + i
		from = begin + len(program)
		if begin == 0 || strings.ContainsRune(" \n(:'`\"", rune(text[begin-1])) {
			return from
		}
	}
}

// commandLength returns the length of the names of a command and its subcommands with which a text begins. It is 0 if
// the text does not begin with the name of a command.
func commandLength(command *cobra.Command, text string) int {
	length := 0
	for {
		rest := strings.TrimPrefix(text[length:], " ")
		name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz-"))]
		if name == "" || length > 0 && rest == text[length:] {
			return length
		}

		i := slices.IndexFunc(command.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
		if i < 0 {
			return length
		}
		command = command.Commands()[i]
		length += len(text[length:]) - len(rest) + len(name)
	}
}

// placedLog is a log whose commands have the flags of here.
type placedLog struct {
	slog.Handler
	place func(string) string
}

// placedHandler returns a log that puts the flags of here into the commands of what it passes on.
func (a *app) placedHandler(to slog.Handler) slog.Handler {
	if a.here() == "" {
		return to
	}
	return placedLog{to, a.placed}
}

// Handle implements slog.Handler.
func (l placedLog) Handle(ctx context.Context, record slog.Record) error {
	placed := slog.NewRecord(record.Time, record.Level, l.place(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		placed.AddAttrs(l.attr(attr))
		return true
	})
	return l.Handler.Handle(ctx, placed)
}

func (l placedLog) attr(attr slog.Attr) slog.Attr {
	switch value := attr.Value.Resolve().Any().(type) {
	case string:
		return slog.String(attr.Key, l.place(value))
	case error:
		return slog.String(attr.Key, l.place(value.Error()))
	}
	return attr
}

// WithAttrs implements slog.Handler.
func (l placedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	placed := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		placed[i] = l.attr(attr)
	}
	return placedLog{l.Handler.WithAttrs(placed), l.place}
}

// WithGroup implements slog.Handler.
func (l placedLog) WithGroup(name string) slog.Handler {
	return placedLog{l.Handler.WithGroup(name), l.place}
}
