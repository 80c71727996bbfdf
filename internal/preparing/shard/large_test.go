//go:build long

package shard_test

import (
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
)

func TestAShardMayNotBeTooLarge(t *testing.T) {
	to, directory := newStore(t)
	b, block := begin(t, to), make([]byte, 128<<20)
	var err error
	for i := range 4 {
		block[0] = byte(i)
		err = errors.Join(err, b.Add(cid.Raw, [32]byte{byte(i)}, block))
	}
	if err == nil {
		t.Errorf("a shard of %d bytes is allowed", b.Size())
	}
	must(t, b.Abort())
	checkEmpty(t, directory)
}
