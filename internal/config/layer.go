package config

import "github.com/guppy-prep/guppy/dialect"

// layer holds the settings of one place: the valid values and the problems.
type layer struct {
	values   map[string]any
	origins  map[string]Origin
	problems []Problem
	warnings []string
}

func newLayer() *layer {
	return &layer{values: map[string]any{}, origins: map[string]Origin{}}
}

// add adds a value that has a type.
func (l *layer) add(name string, v any, origin Origin) {
	if k, ok := l.known(name, origin); ok {
		converted, good := k.kind.convert(v)
		l.set(k, v, converted, good, origin)
	}
}

// addText adds a value that is text.
func (l *layer) addText(name, text string, origin Origin) {
	if k, ok := l.known(name, origin); ok {
		converted, good := k.kind.parse(text)
		l.set(k, text, converted, good, origin)
	}
}

func (l *layer) known(name string, origin Origin) (keySpec, bool) {
	k, ok := findKey(name)
	switch {
	case ok:
	case isSection(name):
		l.problem(name, origin, "is a section, want settings below it")
	default:
		l.problem(printable(dialect.Redact(name)), origin, "unknown setting"+didYouMeanKey(name))
	}
	return k, ok
}

func (l *layer) set(k keySpec, given, converted any, good bool, origin Origin) {
	if !good {
		l.problems = append(l.problems, badValue(k, given, origin))
		return
	}
	l.values[k.name] = converted
	l.origins[k.name] = origin
}

func (l *layer) problem(name string, origin Origin, reason string) {
	l.problems = append(l.problems, Problem{Key: name, Origin: origin, Reason: reason})
}
