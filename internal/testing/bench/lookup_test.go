package main

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestSampleIsLargeEnough goes through shards as filling does.
func TestSampleIsLargeEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digests := rapid.IntRange(1, 200).Draw(t, "digests")
		x := lookups{
			digests: digests, nodes: rapid.IntRange(digests, 5000).Draw(t, "nodes"),
			shardNodes: rapid.IntRange(1, 500).Draw(t, "nodes of a shard"),
		}

		var f filling
		random := newDigests(1)
		for range x.shards() {
			x.sample(&f, random.nodes(x.shardNodes))
		}

		distinct := map[sqlrepo.Digest]struct{}{}
		for _, digest := range f.sample {
			distinct[digest] = struct{}{}
		}

		if len(distinct) < digests || f.nodes < x.nodes {
			t.Fatalf("%d digests of %d nodes", len(distinct), f.nodes)
		}
	})
}

func TestWrongAnswersAreNotMeasured(t *testing.T) {
	random := newDigests(1)
	a, b, c := random.next(), random.next(), random.next()
	q := question{digests: []sqlrepo.Digest{a, b, c}, held: 2}

	answer := func(digests ...sqlrepo.Digest) sqlrepo.Holdings {
		h := sqlrepo.Holdings{Digests: map[sqlrepo.Digest]struct{}{}}
		for _, digest := range digests {
			h.Digests[digest] = struct{}{}
		}
		return h
	}

	if err := q.check(answer(a, b)); err != nil {
		t.Error(err)
	}
	for _, wrong := range []sqlrepo.Holdings{answer(), answer(a), answer(a, c), answer(a, b, c)} {
		if err := q.check(wrong); !errors.Is(err, errWrong) {
			t.Errorf("%d digests: error %v", len(wrong.Digests), err)
		}
	}
}
