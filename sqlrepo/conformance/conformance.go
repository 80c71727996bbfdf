// Package conformance is the test of all that a preparation repository promises. Every engine runs the whole of it.
package conformance

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// test is one promise, tried in an empty repository.
type test struct {
	name string
	run  func(*fixture)
}

// Run tests the repository on one engine. open returns an empty database with the present schema, and closes it when
// the test that it is given ends.
func Run(t *testing.T, open func(t *testing.T) *dialect.DB) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"spaces", spaces()},
		{"sources", sources()},
		{"uploads", uploads()},
		{"entries", entries()},
		{"scan", scans()},
		{"plan", plans()},
		{"claim", claims()},
		{"lease", leases()},
		{"pack", packs()},
		{"seal", seals()},
		{"held", holdings()},
		{"tally", tallies()},
		{"board", boards()},
		{"link", links()},
		{"report", reports()},
		{"columns", columns()},
		{"fence", fences()},
		{"context", contexts()},
		{"lock", locks()},
		{"dump", dumps()},
	} {
		t.Run(group.name, func(t *testing.T) {
			db := open(t)
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(newFixture(t, db)) })
			}
		})
	}
}
