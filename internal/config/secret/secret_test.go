package secret_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config/secret"
)

const hidden = "hunter2"

type holder struct {
	Name  string
	Value secret.String
}

func TestStringIsRedactedUnderEveryVerb(t *testing.T) {
	for _, verb := range "vsqxXdtbcoOUeEfFgG" {
		for _, flag := range []string{"", "#", "+", " ", "-20", "020"} {
			format := "%" + flag + string(verb)
			for _, v := range []any{secret.String(hidden), holder{"n", hidden}, &holder{"n", hidden},
				[]secret.String{hidden}, map[string]secret.String{"k": hidden}} {
				assertHidden(t, format, fmt.Sprintf(format, v))
			}
		}
	}
}

func TestStringPrintsAs(t *testing.T) {
	for _, tt := range []struct {
		format string
		value  secret.String
		want   string
	}{
		{"%s", hidden, "xxxxx"},
		{"%v", hidden, "xxxxx"},
		{"%x", hidden, "xxxxx"},
		{"%q", hidden, `"xxxxx"`},
		{"%#v", hidden, `"xxxxx"`},
		{"%s", "", ""},
		{"%q", "", `""`},
	} {
		if got := fmt.Sprintf(tt.format, tt.value); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.format, got, tt.want)
		}
	}
}

func TestStringIsRedactedWhenEncoded(t *testing.T) {
	encoded, err := json.Marshal(holder{"n", hidden})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"Name":"n","Value":"xxxxx"}`; string(encoded) != want {
		t.Errorf("JSON: got %s, want %s", encoded, want)
	}
	text, err := secret.String(hidden).MarshalText()
	if err != nil || string(text) != secret.Redacted {
		t.Errorf("text: got %s, %v", text, err)
	}
}

func TestStringIsRedactedInLogs(t *testing.T) {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "plain", secret.String(hidden), "nested", holder{"n", hidden},
			"err", errors.New(secret.String(hidden).String()))
	}
	if got := strings.Count(out.String(), secret.Redacted); got != 6 {
		t.Errorf("redacted %d times, want 6: %s", got, out.String())
	}
	assertHidden(t, "slog", out.String())
}

func TestReveal(t *testing.T) {
	if got := secret.String(hidden).Reveal(); got != hidden {
		t.Errorf("got %q", got)
	}
}

func assertHidden(t *testing.T, what, got string) {
	t.Helper()
	if strings.Contains(got, hidden) || strings.Contains(strings.ToLower(got), hex.EncodeToString([]byte(hidden))) {
		t.Errorf("%s reveals the secret: %s", what, got)
	}
}
