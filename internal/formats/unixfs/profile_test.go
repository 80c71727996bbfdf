package unixfs

import (
	"errors"
	"strings"
	"testing"
)

func TestParseProfile(t *testing.T) {
	for name, want := range map[string]Profile{"unixfs-v1-2025": UnixFSv1_2025, "guppy": Guppy} {
		if got := must[Profile](t)(ParseProfile(name)); got != want || got.String() != name {
			t.Errorf("ParseProfile(%q) = %v", name, got)
		}
	}

	for _, name := range []string{"", "Guppy", "unixfs-v0-2015"} {
		_, err := ParseProfile(name)
		if !errors.Is(err, ErrUnknownProfile) {
			t.Fatalf("ParseProfile(%q): got %v, want %v", name, err, ErrUnknownProfile)
		}

		for _, allowed := range Profiles() {
			if !strings.Contains(err.Error(), allowed) {
				t.Errorf("%q does not name %s", err, allowed)
			}
		}
	}

	if s := Profile(0).String(); s != "Profile(0)" {
		t.Errorf("the zero profile is %s", s)
	}
}
