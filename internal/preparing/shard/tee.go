package shard

import (
	"io"
	"os"
)

// tee writes its input and hashes it at the same time, each hash in a goroutine of its own. Hashing is most of the
// work for a single shard.
type tee struct {
	to     io.Writer
	sides  []*teeSide
	closed bool
}

func newTee(to io.Writer, hashes ...io.Writer) *tee {
	t := &tee{to: to}
	for _, hash := range hashes {
		t.sides = append(t.sides, newTeeSide(hash))
	}
	return t
}

// Write returns os.ErrClosed after close, and the error of a hash that fails.
func (t *tee) Write(p []byte) (int, error) {
	if t.closed {
		return 0, os.ErrClosed
	}

	for _, side := range t.sides {
		side.pieces <- p
	}

	n, err := t.to.Write(p)

	// The caller may reuse p once Write returns, so Write waits for the hashes.
	for _, side := range t.sides {
		if failed := <-side.hashed; err == nil {
			err = failed
		}
	}
	return n, err
}

// close ends the hashing, so that the caller may use the hashes again. It may be called more than once.
func (t *tee) close() {
	if t.closed {
		return
	}
	t.closed = true
	for _, side := range t.sides {
		close(side.pieces)
		for range side.hashed { // until it is closed
		}
	}
}

// teeSide is one hash at work, beside the writing.
type teeSide struct {
	pieces chan []byte
	hashed chan error
}

func newTeeSide(hash io.Writer) *teeSide {
	s := &teeSide{pieces: make(chan []byte), hashed: make(chan error)}
	go func() {
		defer close(s.hashed)
		for piece := range s.pieces {
			_, err := hash.Write(piece)
			s.hashed <- err
		}
	}()
	return s
}
