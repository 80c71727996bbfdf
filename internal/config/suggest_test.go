package config_test

import (
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func TestDidYouMean(t *testing.T) {
	known := []string{"ls", "show", "status", "store", "nas", "photos"}
	for unknown, want := range map[string]string{
		"lst": "ls", "sl": "ls", "list": "ls", "sotre": "store", "stroe": "store", "nsa": "nas", "phtos": "photos",
		"sttaus": "status", "l": "ls",
		// Most of their letters differ from those of any name.
		"own": "", "rm": "", "x": "", "": "", "retrieve": "", "photography": "",
	} {
		if want != "" {
			want = "; did you mean guppy " + want + "?"
		}
		if got := config.DidYouMean("guppy ", unknown, known); got != want {
			t.Errorf("%q: got %q, want %q", unknown, got, want)
		}
	}
}
