package shard

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
)

// tee writes what it is given and hashes it at the same time: for one shard alone that is most of the work.
type tee struct {
	to     io.Writer
	hash   hash.Hash
	pieces chan []byte
	hashed chan struct{}
}

func newTee(to io.Writer) *tee {
	t := &tee{to: to, hash: sha256.New(), pieces: make(chan []byte), hashed: make(chan struct{})}
	go func() {
		defer close(t.hashed)
		for piece := range t.pieces {
			t.hash.Write(piece)
			t.hashed <- struct{}{}
		}
	}()
	return t
}

// Write returns os.ErrClosed after close.
func (t *tee) Write(p []byte) (int, error) {
	if t.pieces == nil {
		return 0, os.ErrClosed
	}
	t.pieces <- p
	n, err := t.to.Write(p)
	<-t.hashed
	return n, err
}

// close ends the hashing and returns the digest of all that was written. It may be called more than once.
func (t *tee) close() (digest [sha256.Size]byte) {
	if t.pieces != nil {
		close(t.pieces)
		<-t.hashed
		t.pieces = nil
	}
	return [sha256.Size]byte(t.hash.Sum(nil))
}
