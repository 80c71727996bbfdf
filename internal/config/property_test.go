package config

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/config/secret"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"pgregory.net/rapid"
)

func TestTableAndConfigHaveTheSameSettings(t *testing.T) {
	k := koanf.New(".")
	if err := k.Load(structs.Provider(defaults(), "koanf"), nil); err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, key := range keys {
		names = append(names, key.name)
		if !k.Exists(key.name) {
			t.Errorf("Config has no %s", key.name)
		}
	}

	if got := k.Keys(); len(got) != len(names) {
		t.Errorf("Config has %q, the table %q", got, names)
	}
}

func TestDefaultsAreAllowed(t *testing.T) {
	k := koanf.New(".")
	if err := k.Load(structs.Provider(defaults(), "koanf"), nil); err != nil {
		t.Fatal(err)
	}

	for _, key := range keys {
		v := k.Get(key.name)
		if s, ok := v.(secret.String); ok {
			v = s.Reveal()
		}

		if _, ok := key.kind.convert(v); !ok {
			t.Errorf("%s: %v is not %s", key.name, v, key.kind.want())
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "512B": 512, "1kB": 1000, "1KB": 1000, "2KiB": 2048, "254MiB": 266338304, "100 MB": 1e8,
		"1GiB": 1 << 30, "1GB": 1e9, "1TB": 1e12, "8388607TiB": 8388607 << 40, "9223372036854775807": math.MaxInt64,
	} {
		if got, ok := ParseSize(text); !ok || got != want {
			t.Errorf("%q: got %d, %t", text, got, ok)
		}
	}

	for _, text := range []string{
		"", "B", "MiB", "-1", "+1", "1.5MiB", "1M", "1mb", "1MIB", "1  MB", " 1", "1 ", "12abc", "0x10",
		"1e3", "NaN", "8388608TiB", "9223372036854775808", "٣",
	} {
		if got, ok := ParseSize(text); ok {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestSizesNeverOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom(sortedKeys(units)).Draw(t, "unit")
		n := rapid.Int64Min(0).Draw(t, "n")
		got, ok := ParseSize(fmt.Sprint(n) + unit)
		fits := n <= math.MaxInt64/units[unit]
		if ok != fits || ok && got/units[unit] != n {
			t.Fatalf("%d%s: got %d, %t", n, unit, got, ok)
		}
	})
}

func TestShownDurationsParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
		d := time.Duration(rapid.IntRange(0, 10000).Draw(t, "n")) * unit
		if got, err := time.ParseDuration(showDuration(d)); err != nil || got != d {
			t.Fatalf("%s is shown as %s", d, showDuration(d))
		}
	})
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"workers", "worker", 1}, {"ab", "ba", 1},
		{"stroe", "store", 1}, {"ca", "abc", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: got %d", tt.a, tt.b, got)
		}
	}
}
