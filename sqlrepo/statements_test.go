package sqlrepo_test

import (
	"regexp"
	"testing"

	"github.com/guppy-prep/guppy/dialect/postgres"
)

var (
	questions = regexp.MustCompile(`\?`)
	dollars   = regexp.MustCompile(`\$\d`)
)

// checkPlaceholders demands that statements have an engine's own placeholders and no others.
func checkPlaceholders(t *testing.T, engine string, statements map[string]int) {
	t.Helper()
	own, foreign := questions, dollars
	if engine == postgres.Name {
		own, foreign = foreign, own
	}
	withOwn := 0
	for statement := range statements {
		if foreign.MatchString(statement) {
			t.Errorf("foreign placeholders: %s", statement)
		}
		if own.MatchString(statement) {
			withOwn++
		}
	}
	if withOwn < 50 {
		t.Errorf("only %d statements with placeholders were seen", withOwn)
	}
}
