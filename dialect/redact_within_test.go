package dialect_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/dialecttest"
)

func TestRedactWithin(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"connect to postgres://u:hunter2@h:5432/db: refused", "connect to postgres://u:xxxxx@h:5432/db: refused"},
		{`parse "postgres://u:hunter2 x@h/db": invalid`, `parse "postgres://u:xxxxx@h/db": invalid`},
		{`Put "https://h/b/o?partNumber=1&X-Amz-Credential=a%2Fb&X-Amz-Signature=hunter2": EOF`,
			`Put "https://h/b/o?partNumber=1&X-Amz-Credential=xxxxx&X-Amz-Signature=xxxxx": EOF`},
		{"host=h password='hunter2 \\' x' dbname=d: no", "host=h password=xxxxx dbname=d: no"},
		{"AWS_SECRET_ACCESS_KEY=hunter2 is wrong", "AWS_SECRET_ACCESS_KEY=xxxxx is wrong"},
		{"aws_secret_access_key = hunter2", "aws_secret_access_key = xxxxx"},
		{"proxyconnect http://u:hunter2@proxy:3128", "proxyconnect http://xxxxx@proxy:3128"},

		// What has no secrets stays.
		{"the file system of file:///mnt/a:b@c/shards/ is full", "the file system of file:///mnt/a:b@c/shards/ is full"},
		{`Head "http://127.0.0.1:9000/b/?location=": refused`, `Head "http://127.0.0.1:9000/b/?location=": refused`},
		{"store s3://bucket?endpoint=http://h:9000&region=x", "store s3://bucket?endpoint=http://h:9000&region=x"},
		{"open /home/me@work/x: no such file", "open /home/me@work/x: no such file"},
		{"", ""},
	} {
		if got := dialect.RedactWithin(tt.text); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

// TestPasswordsWithinTextsNeverShow puts locations with any password into errors.
func TestPasswordsWithinTextsNeverShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		char := rapid.StringOf(rapid.RuneFrom([]rune(`a1:/?#@%[]&=' \,`)))
		password := char.Draw(t, "before") + dialecttest.Hidden + char.Draw(t, "after")

		for _, text := range []string{
			"connect to postgres://user:" + url.QueryEscape(password) + "@host/db: refused",
			`parse "postgres://user:` + password + `@host:5432/db": invalid`,
			"connect to postgres://host/db?sslmode=disable&password=" + url.QueryEscape(password) + ": refused",
			"host=h password='" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(password) + "' dbname=d: refused",
		} {
			if shown := dialect.RedactWithin(text); strings.Contains(shown, dialecttest.Hidden) {
				t.Fatalf("%s is shown as %s", text, shown)
			}
		}
	})
}
