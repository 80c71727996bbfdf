package migrate

import (
	"regexp"
	"strings"
)

// statement is one statement of a script.
type statement struct {
	text string
	// start is where the statement begins in the script, in bytes; line is the line.
	start int
	line  uint
	// plain is the text without comments, with each run of white space as one blank.
	plain string
}

// longestBeginning limits how much of a statement a message quotes.
const longestBeginning = 60

// beginning returns enough of the statement to identify it.
func (s statement) beginning() string {
	if runes := []rune(s.plain); len(runes) > longestBeginning {
		return string(runes[:longestBeginning]) + "..."
	}
	return s.plain
}

// split cuts a script at its semicolons, except those in quotes, in comments, and in the body of a trigger or
// function.
func split(script string) (statements []statement) {
	var next builder
	for at, line := 0, uint(1); at < len(script); {
		piece, kind := cutToken(script[at:])
		if kind == other && piece == ";" && !next.insideBody() {
			statements = next.endTo(statements)
		} else {
			next.add(piece, kind, at, line)
		}

		at += len(piece)
		line += uint(strings.Count(piece, "\n"))
	}
	return next.endTo(statements)
}

// builder collects the tokens of one statement.
type builder struct {
	text, plain strings.Builder
	start       int
	line        uint
	// words are the words outside of quotes, and the semicolons, in capitals.
	words []string
}

func (b *builder) add(piece string, kind tokenKind, start int, line uint) {
	blank := kind == space || kind == comment
	// A statement begins with its first token that is not blank.
	if b.text.Len() == 0 {
		if blank {
			return
		}
		b.start, b.line = start, line
	}

	b.text.WriteString(piece)
	if blank {
		piece = " "
	}
	if !blank || !strings.HasSuffix(b.plain.String(), " ") {
		b.plain.WriteString(piece)
	}

	if kind == word || piece == ";" {
		b.words = append(b.words, strings.ToUpper(piece))
	}
}

func (b *builder) endTo(statements []statement) []statement {
	if b.text.Len() > 0 {
		statements = append(statements, statement{b.text.String(), b.start, b.line, strings.TrimSpace(b.plain.String())})
	}
	*b = builder{}
	return statements
}

// insideBody reports whether a semicolon belongs to a body of statements. A body ends with one semicolon before END
// and one after it.
func (b *builder) insideBody() bool {
	if len(b.words) == 0 || b.words[0] != "CREATE" || !hasBody.MatchString(strings.Join(b.words, " ")) {
		return false
	}
	return !strings.HasSuffix(strings.Join(b.words, " "), "; END")
}

var hasBody = regexp.MustCompile(`\b(TRIGGER|FUNCTION|PROCEDURE)\b.* BEGIN\b`)

type tokenKind int

const (
	other tokenKind = iota
	space
	comment
	quoted
	word
)

// tokens are the kinds of tokens longer than one character, the same for both engines.
var tokens = []struct {
	kind tokenKind
	form *regexp.Regexp
}{
	{space, regexp.MustCompile(`^\s+`)},
	{comment, regexp.MustCompile(`^--[^\n]*`)},
	{comment, regexp.MustCompile(`^(?s)/\*.*?\*/`)},
	{quoted, regexp.MustCompile(`^'[^']*'`)},
	{quoted, regexp.MustCompile(`^"[^"]*"`)},
	{word, regexp.MustCompile(`^[\pL_][\pL\pN_$]*`)},
}

var dollar = regexp.MustCompile(`^\$[\pL_]*\$`)

// cutToken returns the first token of a text that is not empty.
func cutToken(text string) (string, tokenKind) {
	for _, token := range tokens {
		if piece := token.form.FindString(text); piece != "" {
			return piece, token.kind
		}
	}

	// A dollar quote ends with the tag that began it.
	if tag := dollar.FindString(text); tag != "" {
		if end := strings.Index(text[len(tag):], tag); end >= 0 {
			return text[:len(tag)+end+len(tag)], quoted
		}
	}

	// Any other character is a token by itself.
	for end := range text {
		if end > 0 {
			return text[:end], other
		}
	}
	return text, other
}
