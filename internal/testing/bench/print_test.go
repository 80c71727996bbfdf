package main

import (
	"errors"
	"strings"
	"testing"
)

func example() *report {
	return &report{Go: "go1", System: "os/arch", CPUs: 2, Tmpfs: true, Corpora: []corpusReport{{
		Name: "small", Limit: times{[]float64{2, 1}, 1.5, 1},
		Engines: []engineReport{{
			Engine: "sqlite", Times: times{[]float64{3, 4}, 3.5, 3},
			Checks: []check{
				within("wall time / limit's", "", 2.334, 2.5), under("peak memory", "MiB", 205.6, 200),
				under("database per entry", "B", 255, 400),
			},
		}},
	}}, Further: []line{
		{"big", "postgres", "far", times{[]float64{2}, 2, 2}, []check{atLeast("near / far", "", 0.5, 0.25)},
			[]count{{"ratio", 2.5}, {"PUT", 12}}},
		{"big", "postgres", "near", times{[]float64{1}, 1, 1}, []check{within("far - near", "s", 1, 0.5)}, nil},
	}}
}

const exampleText = `go1, os/arch, 2 CPUs, tmpfs: true

corpus   program          median    min       runs
small    limit            1.500 s   1.000 s   2
small    guppy, sqlite    3.500 s   3.000 s   2
big      far, postgres    2.000 s   2.000 s   1
big      near, postgres   1.000 s   1.000 s   1

corpus   engine     what                  value     target
small    sqlite     wall time / limit's   2.33      ≤ 2.50      ok
small    sqlite     peak memory           206 MiB   < 200 MiB   over
small    sqlite     database per entry    255 B     < 400 B     ok
big      postgres   near / far            0.50      ≥ 0.25      ok
big      postgres   far - near            1.00 s    ≤ 0.50 s    over
big      postgres   far                   ratio 2.50, PUT 12
`

const exampleMarkdown = `| corpus | engine | limit | guppy | ratio | peak memory | database |
|---|---|---|---|---|---|---|
| small | sqlite | 1.50 s | 3.50 s | 2.33 (≤ 2.50) | 206 MiB (< 200 MiB) **over** | 255 B per entry (< 400 B) |

| corpus | engine | what | time | value |
|---|---|---|---|---|
| big | postgres | near / far | 2.00 s | 0.50 (≥ 0.25) |
| big | postgres | far - near | 1.00 s | 1.00 s (≤ 0.50 s) **over** |

| corpus | engine | program | time | ratio | PUT |
|---|---|---|---|---|---|
| big | postgres | far | 2.00 s | 2.50 | 12 |
`

func TestPrint(t *testing.T) {
	tests := map[string]struct {
		json, markdown bool
		want           string
	}{
		"text":     {want: exampleText},
		"markdown": {markdown: true, want: exampleMarkdown},
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := formatOf(test.json, test.markdown)(&out, example()); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("have\n%swant\n%s", out.String(), test.want)
			}
		})
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestPrintFails(t *testing.T) {
	for _, format := range []func() error{
		func() error { return printText(full{}, example()) },
		func() error { return printMarkdown(full{}, example()) },
		func() error { return printJSON(full{}, example()) },
	} {
		if err := format(); !errors.Is(err, errFull) {
			t.Errorf("error %v", err)
		}
	}
}
