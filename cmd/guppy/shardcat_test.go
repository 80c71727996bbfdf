package main

import (
	"bytes"
	"context"
	"io"
	"testing"
)

// countingReading counts reads. Each would be a request if the shard were in a bucket.
type countingReading struct {
	content []byte
	reads   int
}

func (r *countingReading) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	r.reads++
	return bytes.NewReader(r.content).ReadAt(p, off)
}

func (r *countingReading) Close() error { return nil }

// TestShardsAreReadInLargePieces requires large reads, however small the pieces are that are written.
func TestShardsAreReadInLargePieces(t *testing.T) {
	reading := &countingReading{content: bytes.Repeat([]byte("0123456789"), 1<<20)}
	var got bytes.Buffer
	size := int64(len(reading.content))
	from := io.TeeReader(inOrder(t.Context(), reading, size), io.Discard)
	if _, err := io.Copy(&got, from); err != nil || !bytes.Equal(got.Bytes(), reading.content) {
		t.Errorf("%d bytes of %d: %v", got.Len(), size, err)
	}
	if most := int(size/readAtOnce) + 1; reading.reads > most {
		t.Errorf("%d reads, want %d", reading.reads, most)
	}
}
