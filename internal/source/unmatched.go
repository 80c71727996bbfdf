package source

import (
	"log/slog"
	"regexp"
	"strings"
)

// Unmatched is an exclude pattern that has matched nothing.
type Unmatched struct {
	Pattern string
	// Hint says why it probably never will, or is "".
	Hint string
}

// Unmatched is like UnmatchedPatterns, and says why the patterns probably never match anything in the source at root.
func (x *Excludes) Unmatched(root string) (unmatched []Unmatched) {
	for _, text := range x.UnmatchedPatterns() {
		unmatched = append(unmatched, Unmatched{text, hint(text, root)})
	}
	return unmatched
}

// UnmatchedPatterns returns the patterns that have matched nothing so far, in their order, each once. They may still
// match what is below an excluded directory, which a walk does not visit.
func (x *Excludes) UnmatchedPatterns() (unmatched []string) {
	if x == nil {
		return nil
	}

	// A pattern may be given twice, and each is tried.
	seen := map[string]bool{}
	for i := range x.rules {
		text := x.rules[i].text
		if !x.matched[i].Load() && !seen[text] {
			unmatched = append(unmatched, text)
		}
		seen[text] = true
	}
	return unmatched
}

// quotedLetter matches a backslash that quotes nothing that needs it, as in a path of Windows.
var quotedLetter = regexp.MustCompile(`\\[\pL\d_.]`)

func hint(pattern, root string) string {
	path := strings.TrimPrefix(pattern, "!")
	below, isBelow := strings.CutPrefix(path, strings.TrimRight(root, "/")+"/")

	switch {
	case path == root || isBelow && below == "":
		return "the source itself is never left out"
	case isBelow:
		return "a pattern is relative to the source: write /" + below
	case strings.HasPrefix(path, "~/") || strings.HasPrefix(path, "$"):
		return "in a pattern, ~ and $ stand for themselves: write a path relative to the source"
	case quotedLetter.MatchString(path):
		return "in a pattern, a backslash quotes what follows: write / between directories"
	case strings.TrimSpace(path) != path && !strings.HasSuffix(path, `\ `):
		return "the pattern begins or ends with white space"
	case strings.HasSuffix(path, "/"):
		return "a pattern that ends with / matches directories only"
	}
	return ""
}

// mostUnmatched limits the patterns that are named in the log.
const mostUnmatched = 20

// WarnOfUnmatched says in the log which patterns have matched nothing in a walk of all of a source, and where each
// comes from.
func (x *Excludes) WarnOfUnmatched(log *slog.Logger, root string, origin func(pattern string) string) {
	unmatched := x.Unmatched(root)
	for _, pattern := range unmatched[:min(len(unmatched), mostUnmatched)] {
		args := []any{"pattern", pattern.Pattern, "from", origin(pattern.Pattern), "source", root}
		if pattern.Hint != "" {
			args = append(args, "hint", pattern.Hint)
		}
		log.Warn("an exclude pattern matches nothing", args...)
	}
	if more := len(unmatched) - mostUnmatched; more > 0 {
		log.Warn("more exclude patterns match nothing", "patterns", more, "source", root)
	}
}
