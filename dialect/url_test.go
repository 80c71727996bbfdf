package dialect_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestURLParameter(t *testing.T) {
	for _, tt := range []struct {
		location, want string
		found          bool
	}{
		{"postgres://h/d?sslmode=a", "a", true},
		{"postgres://h/d?sslmode=a&sslmode=b", "b", true},
		{"postgres://h/d?sslmode=", "", true},
		{"postgres://h/d?x=sslmode", "", false},
		{"host=h sslmode='a b' sslmode = c", "c", true},
		{"host=h", "", false},
		{"/x?sslmode=a", "", false},
		{"", "", false},
	} {
		if got, found := dialect.URLParameter(dialect.Secret(tt.location), "sslmode"); got != tt.want || found != tt.found {
			t.Errorf("%s: %q, %t", tt.location, got, found)
		}
	}
}
