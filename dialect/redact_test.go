package dialect_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"postgres://h/db", "postgres://h/db"},
		{"postgres://u@h/db?sslmode=disable", "postgres://u@h/db?sslmode=disable"},
		{"postgres://u:hunter2@h:5432,i:5433/db?sslmode=disable", "postgres://u:xxxxx@h:5432,i:5433/db?sslmode=disable"},
		{"postgres://:hunter2@h", "postgres://:xxxxx@h"},
		{"postgres://u:hunter2%40%2F@h/db", "postgres://u:xxxxx@h/db"},
		{"postgres://u:hunter2:x@h/db", "postgres://u:xxxxx@h/db"},
		{"postgres://u:a/hunter2@h/db", "postgres://xxxxx"},
		{"postgres://h/db?password=hunter2&user=u", "postgres://h/db?password=xxxxx&user=u"},
		{"postgres://h/db?p%61ssword=hunter2", "postgres://h/db?p%61ssword=xxxxx"},
		{"postgres://h/db?sslpassword=hunter2&options=hunter2", "postgres://h/db?sslpassword=xxxxx&options=xxxxx"},
		{"postgres://h/db?hunter2&user=u", "postgres://h/db?xxxxx&user=u"},
		{"mysql://u:hunter2@h/db", "mysql://xxxxx@h/db"},
		{"u://hunter2@h/db", "u://xxxxx@h/db"},
		{"[postgres://u:hunter2@h/db]", "[postgres://xxxxx@h/db]"},
		{"host=h password=hunter2 dbname=d", "host=h password=xxxxx dbname=d"},
		{`host=h password = 'hunter2 x\'hunter2' user='a b'`, "host=h password=xxxxx user='a b'"},
		{`host=h sslpassword=hunter2\ hunter2`, "host=h sslpassword=xxxxx"},
		{"host=h password=hunter2://hunter2", "host=h password=xxxxx"},
		{"oops password=hunter2", "xxxxx"},
		{"u:hunter2 host=h", "xxxxx"},
		{"u:a=b host=hunter2@h/db", "xxxxx"},
		{"u:hunter2@h/db", "xxxxx"},
		{"u:1/hunter2@h/db", "xxxxx"},
		{"u:hunter2@h/db://", "xxxxx"},
		{"//u:hunter2@h/db", "xxxxx"},
		{"postgresql//u:hunter2@h/db", "xxxxx"},
		{"postgresql/u:hunter2@h/db", "xxxxx"},
		{"file:x.db?mode=rw&_key=hunter2", "file:x.db?mode=rw&_key=xxxxx"},
		{"sqlite:///x/a:b@c.db", "sqlite:///x/a:b@c.db"},
		{"sqlite://u:hunter2@h/db", "xxxxx"},
		{"file://u:hunter2@h/db", "xxxxx"},
		{"/x/guppy.db", "/x/guppy.db"},
		{"./u:p@h/db", "./u:p@h/db"},
		{"guppy.db", "guppy.db"},
		{"", ""},
	} {
		if got := dialect.Redact(tt.text); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

// TestPasswordNeverShows tries passwords with any characters, escaped or not, in whole and half URLs.
func TestPasswordNeverShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		char := rapid.StringOf(rapid.RuneFrom([]rune(`a1:/?#@%[]&=' \,`)))
		password := char.Draw(t, "before") + dialecttest.Hidden + char.Draw(t, "after")

		for _, raw := range []string{
			"postgres://user:" + password + "@host:5432/db?sslmode=disable",
			"postgres://user:" + url.QueryEscape(password) + "@host/db",
			"postgres://host/db?sslmode=disable&password=" + url.QueryEscape(password),
			"host=h password='" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(password) + "' dbname=d",
			"postgresql//user:" + password + "@host/db",
			"postgres:user:" + password + "@host/db",
			"user:" + password + "@host/db",
			"//user:" + password + "@host/db",
		} {
			if shown := dialect.Redact(raw); strings.Contains(shown, dialecttest.Hidden) {
				t.Fatalf("%s is shown as %s", raw, shown)
			}

			if _, err := engineFor("", raw); err != nil && strings.Contains(err.Error(), dialecttest.Hidden) {
				t.Fatalf("%s: %v", raw, err)
			}
		}
	})
}

func FuzzURL(f *testing.F) {
	for _, seed := range []string{"", "a.db", "file:a?b#c", "sqlite:///a", "postgres://u:p@h:1,[::1]:2/db?password=p",
		"host=h password='a b'", "postgresql//u:p@h/db", "//u:p@h"} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, text string) {
		name, err := engineFor("", text)
		if (err == nil) != (name != "") || err != nil && !errors.Is(err, dialect.ErrSettings) {
			t.Fatalf("%q is for %q, %v", text, name, err)
		}
		if err == nil && dialect.HoldsPassword(dialect.Secret(text)) && dialect.Redact(text) == text &&
			!strings.Contains(text, "xxxxx") {
			t.Fatalf("%q has a password, and is shown as it is", text)
		}
	})
}
