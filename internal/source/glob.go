package source

import (
	"errors"
	"fmt"
	"strings"
)

// separator stands for "/" in the paths of entries. Wildcards within a component match every byte but this one.
const separator = 0

// glob is a compiled pattern. It matches bytes, since file names have no encoding.
type glob []token

type token struct {
	kind    tokenKind
	literal byte
	set     byteSet
}

type tokenKind byte

const (
	literal  tokenKind = iota // one given byte
	anyByte                   // "?"
	oneOf                     // "[...]"
	anyName                   // "*": any bytes of one component
	anyDirs                   // "**/": zero or more components
	anything                  // "**" at the end
)

// parseGlob compiles a pattern.
func parseGlob(pattern string) (glob, error) {
	if strings.IndexByte(pattern, 0) >= 0 {
		return nil, errors.New("it contains a NUL byte")
	}

	var tokens glob
	for i := 0; i < len(pattern); {
		t, width, err := parseToken(pattern, i)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		i += width
	}

	return tokens, nil
}

// parseToken compiles the token at pattern[i:] and returns its width in bytes.
func parseToken(pattern string, i int) (token, int, error) {
	switch c := pattern[i]; c {
	case '?':
		return token{kind: anyByte}, 1, nil
	case '*':
		kind, width := parseStars(pattern, i)
		return token{kind: kind}, width, nil
	case '[':
		set, width, err := parseSet(pattern[i:])
		return token{kind: oneOf, set: set}, width, err
	case '\\':
		if i+1 == len(pattern) {
			return token{}, 0, errors.New("nothing follows the backslash at the end")
		}
		return literalToken(pattern[i+1]), 2, nil
	default:
		return literalToken(c), 1, nil
	}
}

func literalToken(c byte) token {
	if c == '/' {
		c = separator
	}
	return token{kind: literal, literal: c}
}

// parseStars returns the kind and the width of the run of asterisks at pattern[i:]. Two or more asterisks span
// directories if they form a component of their own; elsewhere they mean the same as one.
func parseStars(pattern string, i int) (tokenKind, int) {
	rest := strings.TrimLeft(pattern[i:], "*")
	width := len(pattern) - i - len(rest)
	startsComponent := i == 0 || pattern[i-1] == '/'

	switch {
	case width < 2 || !startsComponent:

		return anyName, width
	case rest == "":
		return anything, width
	case rest[0] == '/':
		return anyDirs, width + 1
	}
	return anyName, width
}

// resume is the point where matching continues after the text behind a wildcard did not match: at the token after
// the wildcard, one step further on in the text.
type resume struct{ token, text int }

// match reports whether g matches all of text. It backtracks only to the last wildcard of each kind: earlier
// wildcards took as little as they could, which left the most to the last one.
func (g glob) match(text string) bool {
	name, dirs := resume{token: -1}, resume{token: -1}

	for at, i := 0, 0; ; {
		switch {
		case at == len(g) && i == len(text):
			return true
		case at < len(g) && g[at].kind == anything:
			return true
		case at < len(g) && g[at].kind == anyDirs:
			at++
			dirs, name = resume{at, i}, resume{token: -1}
		case at < len(g) && g[at].kind == anyName:
			at++
			name = resume{at, i}
		case at < len(g) && i < len(text) && g[at].matches(text[i]):
			at, i = at+1, i+1
		// No match: let the last "*" take one more byte.
		case name.token >= 0 && name.text < len(text) && text[name.text] != separator:
			name.text++
			at, i = name.token, name.text
		default:
			// Nor can a "*" help: let the last "**/" take one more component.
			next := strings.IndexByte(text[min(dirs.text, len(text)):], separator)
			if dirs.token < 0 || next < 0 {
				return false
			}
			dirs.text += next + 1
			name.token = -1
			at, i = dirs.token, dirs.text
		}
	}
}

func (t *token) matches(c byte) bool {
	switch t.kind {
	case literal:
		return c == t.literal
	case anyByte:
		return c != separator
	default:
		return t.set.has(c)
	}
}

// byteSet is a set of bytes, one bit for each.
type byteSet [4]uint64

func (s *byteSet) add(c byte) { s[c/64] |= 1 << (c % 64) }

func (s *byteSet) has(c byte) bool { return s[c/64]&(1<<(c%64)) != 0 }

func (s *byteSet) addRange(low, high byte) error {
	if low > high {
		return fmt.Errorf("the range %q is empty", []byte{low, '-', high})
	}
	for c := int(low); c <= int(high); c++ {
		s.add(byte(c))
	}
	return nil
}

func (s *byteSet) negate() {
	for i := range s {
		s[i] = ^s[i]
	}
}

func (s *byteSet) remove(c byte) { s[c/64] &^= 1 << (c % 64) }
