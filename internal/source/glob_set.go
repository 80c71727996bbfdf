package source

import (
	"errors"
	"fmt"
	"strings"
)

var errOpenSet = errors.New(`the set that "[" starts has no end`)

// parseSet compiles the bracket expression at the start of pattern and returns its width in bytes.
func parseSet(pattern string) (byteSet, int, error) {
	p := setParser{rest: pattern[1:]}
	negated := strings.HasPrefix(p.rest, "!") || strings.HasPrefix(p.rest, "^")
	if negated {
		p.rest = p.rest[1:]
	}

	// A "]" in the first place stands for itself.
	for first := true; first || !strings.HasPrefix(p.rest, "]"); first = false {
		if err := p.item(); err != nil {
			return byteSet{}, 0, err
		}
	}

	if negated {
		p.set.negate()
	}
	p.set.remove(separator)

	return p.set, len(pattern) - len(p.rest) + 1, nil
}

type setParser struct {
	rest string
	set  byteSet
}

// item adds the next byte, range or class to the set.
func (p *setParser) item() error {
	if class, rest, ok := cutClass(p.rest); ok {
		p.rest = rest
		return p.class(class)
	}

	low, err := p.char()
	if err != nil {
		return err
	}

	if len(p.rest) < 2 || p.rest[0] != '-' || p.rest[1] == ']' {
		p.set.add(low)
		return nil
	}

	p.rest = p.rest[1:]
	high, err := p.char()
	if err != nil {
		return err
	}

	return p.set.addRange(low, high)
}

func (p *setParser) char() (byte, error) {
	p.rest = strings.TrimPrefix(p.rest, `\`)
	if p.rest == "" {
		return 0, errOpenSet
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	return c, nil
}

// cutClass cuts a class such as "[:alpha:]" off the start of text.
func cutClass(text string) (class, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, "[:")
	if !ok {
		return "", "", false
	}
	text, rest, _ = strings.Cut(text, "]")
	class, ok = strings.CutSuffix(text, ":")
	return class, rest, ok
}

// class adds the ASCII characters of a POSIX class to the set.
func (p *setParser) class(name string) error {
	member := classOf(name)
	if member == nil {
		return fmt.Errorf("the class %q is unknown", name)
	}
	for c := range byte(0x80) {
		if member(c) {
			p.set.add(c)
		}
	}
	return nil
}

// classOf returns the predicate of a POSIX class, or nil if there is no class of that name.
func classOf(name string) func(c byte) bool {
	switch name {
	case "alnum":
		return func(c byte) bool { return isAlpha(c) || isDigit(c) }
	case "alpha":
		return isAlpha
	case "blank":
		return func(c byte) bool { return c == ' ' || c == '\t' }
	case "cntrl":
		return func(c byte) bool { return c < ' ' || c == 0x7f }
	case "digit":
		return isDigit
	case "graph":
		return isGraph
	case "lower":
		return isLower
	case "print":
		return func(c byte) bool { return isGraph(c) || c == ' ' }
	case "punct":
		return func(c byte) bool { return isGraph(c) && !isAlpha(c) && !isDigit(c) }
	case "space":
		return func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
	case "upper":
		return isUpper
	case "xdigit":
		return func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
	}
	return nil
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isAlpha(c byte) bool { return isLower(c) || isUpper(c) }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isGraph(c byte) bool { return c > ' ' && c < 0x7f }
