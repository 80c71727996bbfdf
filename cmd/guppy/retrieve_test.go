package main

import (
	"errors"
	"strings"
	"testing"
)

// TestAllFailuresAreCounted has more failures than are kept, with a reason that would color a terminal.
func TestAllFailuresAreCounted(t *testing.T) {
	t.Parallel()
	view := retrieveView{all: "guppy retrieve 1 out --json"}
	for range keptFailures + 5 {
		view.failed("file", errors.New("odd\x1b[35mreason"))
	}
	if len(view.Failed) != keptFailures || view.Failures != keptFailures+5 {
		t.Errorf("%d of %d are kept", len(view.Failed), view.Failures)
	}

	var text strings.Builder
	view.text(&text)
	if !strings.Contains(text.String(), "  and 9995 more: guppy retrieve 1 out --json lists all\n") {
		t.Errorf("the rest is not counted: %s", &text)
	}
	if strings.Contains(text.String(), "\x1b") {
		t.Errorf("a reason colors the terminal: %q", &text)
	}
}
