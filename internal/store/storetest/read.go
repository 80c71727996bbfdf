package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/store"
)

func (f *fixture) openAt(name string) store.Reading {
	f.Helper()
	if !f.Keeps {
		return nil
	}
	reading, err := f.OpenAt(f.Context(), name)
	f.must(err)
	f.Cleanup(func() { f.must(reading.Close()) })
	return reading
}

func (f *fixture) readAtRandom() {
	content := random(1<<20 + 3)
	f.commit("name.car", content)
	if !f.Keeps {
		return
	}

	reading := f.openAt("name.car")
	var readers errgroup.Group
	readers.SetLimit(8)
	for i := range 100 {
		// Some reads begin or end beyond the end of the blob.
		chance := rand.New(rand.NewPCG(1, uint64(i)))
		begin, length := chance.IntN(len(content)+2), chance.IntN(70_000)

		readers.Go(func() error {
			p := make([]byte, length)
			n, err := reading.ReadAt(f.Context(), p, int64(begin))
			want := content[min(begin, len(content)):min(begin+length, len(content))]
			if !bytes.Equal(p[:n], want) || n == length && err != nil && !errors.Is(err, io.EOF) ||
				n < length && !errors.Is(err, io.EOF) {
				return fmt.Errorf("%d bytes at %d: got %d: %w", length, begin, n, err)
			}
			return nil
		})
	}

	f.must(readers.Wait())

	if _, err := reading.ReadAt(f.Context(), make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		f.Errorf("read before the beginning: %v", err)
	}
}
