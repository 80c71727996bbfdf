package postgres

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKeywordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []keyword
		var words []string
		for range rapid.IntRange(1, 4).Draw(t, "count") {
			k := keyword{rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name"), rapid.String().Draw(t, "value")}
			want = append(want, k)
			words = append(words, k.name+" = "+quoteValue(k.value))
		}

		got, err := cutKeywords(strings.Join(words, " "))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	})
}
