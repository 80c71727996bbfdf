// Package conformance tests everything that a preparation repository promises. Every engine runs all of its tests.
package conformance

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

// test checks one promise in an empty repository.
type test struct {
	name string
	run  func(*fixture)
}

// group is a subject of the suite.
type group struct {
	name  string
	tests []test
}

// Run tests the repository on one engine. open returns an empty database with the present schema, and closes it
// when the given test ends.
func Run(t *testing.T, open func(t *testing.T) *dialect.DB) {
	run(t, open, groups())
}

// RunHistories tests a repository with long random histories, which add up what each commit counts.
func RunHistories(t *testing.T, open func(t *testing.T) *dialect.DB) {
	run(t, open, []group{{"tally", tallies()}})
}

func groups() []group {
	return []group{
		{"spaces", spaces()},
		{"sources", sources()},
		{"stores", stores()},
		{"replicas", replicas()},
		{"sendings", sendings()},
		{"counts of replicas", lackCounts()},
		{"needs", needs()},
		{"uploads", uploads()},
		{"tags", tags()},
		{"stops", stops()},
		{"unchanged", unchanged()},
		{"rereading", rereading()},
		{"entries", entries()},
		{"scan", scans()},
		{"plan", plans()},
		{"claim", claims()},
		{"lease", leases()},
		{"pack", packs()},
		{"seal", seals()},
		{"held", holdings()},
		{"blocks", foundBlocks()},
		{"board", boards()},
		{"link", links()},
		{"index", indexes()},
		{"completion", proofs()},
		{"removal", removals()},
		{"report", reports()},
		{"columns", columns()},
		{"fence", fences()},
		{"context", contexts()},
		{"lock", locks()},
		{"dump", dumps()},
	}
}

func run(t *testing.T, open func(t *testing.T) *dialect.DB, all []group) {
	for _, group := range all {
		t.Run(group.name, func(t *testing.T) {
			db := open(t)
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					f := newFixture(t, db)
					test.run(f)
					if !f.tampered {
						f.counted()
					}
				})
			}
		})
	}
}
