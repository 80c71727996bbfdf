package shard_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
)

func TestTheNameOfAShardTellsItsDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		if got, ok := shard.ParseName(shard.Name(digest)); !ok || got != digest {
			t.Errorf("%x, %t", got, ok)
		}
	})

	name := shard.Name(sha256.Sum256(nil))
	for _, other := range []string{
		"", ".car", "a.car", name + ".tmp", strings.TrimSuffix(name, ".car"), strings.ToUpper(name), "./" + name,
		"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.car",
	} {
		if _, ok := shard.ParseName(other); ok {
			t.Errorf("%q is taken for the name of a shard", other)
		}
	}
}
