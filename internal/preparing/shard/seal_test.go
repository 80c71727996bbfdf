package shard_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// space holds other blocks each time they are looked up.
type space struct {
	holds []held
	asked int
	// seal stands for the transaction that seals a shard.
	seal func(at sqlrepo.SpaceAt, work sqlrepo.Sealable, publish func(context.Context) error) error
}

func (s *space) Seal(_ context.Context, at sqlrepo.SpaceAt, work sqlrepo.Sealable,
	publish func(context.Context) error) error {
	return s.seal(at, work, publish)
}

// sealing is the sealing of a draft whose work is a shard with its description and nodes.
func sealing(draft *shard.Draft) shard.Sealing {
	return shard.Sealing{
		Within: sqlrepo.Scope{Space: 1}, Revision: shard.Unknown, Draft: draft,
		Work: func(rest *shard.Draft) sqlrepo.Sealable {
			packed := &sqlrepo.PackedShard{Nodes: rest.Nodes()}
			rest.Describe(&packed.Shard)
			return packed
		},
	}
}

func (s *space) Held(_ context.Context, _ sqlrepo.Scope, digests []sqlrepo.Digest) (sqlrepo.Holdings, error) {
	now := sqlrepo.Holdings{Revision: int64(s.asked), Digests: held{}}
	for _, digest := range digests {
		if _, ok := s.holds[s.asked][digest]; ok {
			now.Digests[digest] = struct{}{}
		}
	}
	s.asked++
	return now, nil
}

func (s *space) HeldAt(ctx context.Context, within sqlrepo.Scope, _ int64,
	digests []sqlrepo.Digest) (sqlrepo.Holdings, error) {
	return s.Held(ctx, within, digests)
}

// TestSealingGoesByWhatIsHeldInTheEnd adds blocks to a space, and removes them as if shards were removed, while a
// shard is sealed.
func TestSealingGoesByWhatIsHeldInTheEnd(t *testing.T) {
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	for _, tt := range []struct {
		holds []held
		want  [][]byte
	}{
		{[]held{holding()}, [][]byte{a, b, c}},
		{[]held{holding(a)}, [][]byte{b, c}},
		{[]held{holding(a), holding()}, [][]byte{a, b, c}},
		{[]held{holding(a, b, c), holding(c), holding(c), holding(b)}, [][]byte{a, c}},
		{[]held{holding(), holding(a, b, c)}, nil},
	} {
		to, directory := newStore(t)
		next := int64(0)
		repo := &space{holds: tt.holds}
		repo.seal = func(at sqlrepo.SpaceAt, work sqlrepo.Sealable, publish func(context.Context) error) error {
			next = at.Next

			// The space changes until every entry of holds was looked up.
			if repo.asked < len(tt.holds) {
				return sqlrepo.ErrSpaceChanged
			}

			var got, want []sqlrepo.Digest
			for digest := range holding(tt.want...) {
				want = append(want, digest)
			}
			for _, node := range work.(*sqlrepo.PackedShard).Nodes {
				got = append(got, node.Digest)
			}

			for _, list := range [][]sqlrepo.Digest{got, want} {
				slices.SortFunc(list, func(x, y sqlrepo.Digest) int { return bytes.Compare(x[:], y[:]) })
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d blocks, want %d", len(got), len(want))
			}
			return publish(t.Context())
		}

		after, err := shard.Seal(t.Context(), repo, sealing(build(t, to, a, b, c)))
		must(t, err)
		if after != next || after < int64(len(tt.holds)) {
			t.Errorf("revision %d, recorded as %d", after, next)
		}

		if tt.want == nil {
			checkEmpty(t, directory)
		}
	}
}

// slow is a store in which committing takes long.
type slow struct{ store.Store }

func (slow) CommitsAhead() bool { return true }

// TestSlowCommitsKeepNobodyWaiting checks that shards are published in slow stores before the transaction holds the
// space, and in other stores while it does.
func TestSlowCommitsKeepNobodyWaiting(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		under, directory := newStore(t)
		to := store.Store(under)
		if ahead {
			to = slow{under}
		}

		holds := &space{holds: []held{holding([]byte("a"))}}
		holds.seal = func(_ sqlrepo.SpaceAt, work sqlrepo.Sealable, publish func(context.Context) error) error {
			digest := work.(*sqlrepo.PackedShard).Shard.Digest
			_, missing := os.Stat(filepath.Join(directory, shard.Name([32]byte(digest))))
			if ahead != (missing == nil) {
				t.Errorf("published ahead: %v, want %v", missing == nil, ahead)
			}
			return publish(t.Context())
		}

		_, err := shard.Seal(t.Context(), holds, sealing(build(t, to, []byte("a"), []byte("b"))))
		must(t, err)
	}
}

// TestRevisionsDoNotComeAgain checks that each sealing makes another revision. A failover may lose the commit that
// gave a space its revision, and another shard may be sealed then. Callers that remember the lost revision must get
// ErrSpaceChanged.
func TestRevisionsDoNotComeAgain(t *testing.T) {
	seen := map[int64]bool{}
	for range 3 {
		to, _ := newStore(t)
		repo := &space{holds: []held{holding()}}
		repo.seal = func(sqlrepo.SpaceAt, sqlrepo.Sealable, func(context.Context) error) error { return nil }
		after, err := shard.Seal(t.Context(), repo, sealing(build(t, to, []byte("a"))))
		must(t, err)
		if seen[after] {
			t.Errorf("the revision %d came twice", after)
		}
		seen[after] = true
	}
}
