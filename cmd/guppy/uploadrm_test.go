package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestARefusedRemovalSaysHowToGoOn requires a hint that says how to go on, not how to join in.
func TestARefusedRemovalSaysHowToGoOn(t *testing.T) {
	atWork := fmt.Errorf("upload 3: %w: otherhost/1 is linking it", sqlrepo.ErrAtWork)
	err := inTheWay(atWork)
	if hint := hintFor(err); !strings.Contains(hint, "guppy gc --yes") || strings.Contains(hint, "join in") {
		t.Errorf("%q", hint)
	}
	if code := exitCode(t.Context(), err); code != exitDatabase || err.Error() != atWork.Error() {
		t.Errorf("%d: %v", code, err)
	}
	if err := inTheWay(nil); err != nil {
		t.Error(err)
	}
}
