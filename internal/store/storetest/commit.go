package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/store"
)

func (f *fixture) whatIsCommittedIsRead() {
	// The lengths are on both sides of the limits of requests and parts.
	for _, length := range []int{0, 1, 4 << 20, 4<<20 + 1, large} {
		name, content := fmt.Sprintf("%d.car", length), random(length)
		blob := f.commit(name, content)

		got, err := io.ReadAll(io.NewSectionReader(blob, 0, large+1))
		if err != nil || !bytes.Equal(got, content) {
			f.Errorf("%s reads as %d other bytes after it was committed: %v", name, len(got), err)
		}

		if !f.Keeps {
			f.checkGone(name)
			continue
		}

		if size, err := f.Size(f.Context(), name); size != int64(length) || err != nil {
			f.Errorf("%s has %d bytes: %v", name, size, err)
		}

		if got := f.read(name); !bytes.Equal(got, content) {
			f.Errorf("%s was stored as %d other bytes", name, len(got))
		}
	}
}

func (f *fixture) nothingIsSeenBefore() {
	var blobs []store.Blob
	for i, length := range []int{5, large} {
		blobs = append(blobs, f.stage("me", fmt.Sprintf("%d.car", i), random(length)))
	}

	f.checkListed(nil)
	f.checkGone("0.car")
	f.checkGone("1.car")

	for i, blob := range blobs {
		f.must(blob.Commit(f.Context(), fmt.Sprintf("%d.car", i)))
	}

	f.checkListed(map[string]int64{"0.car": 5, "1.car": large})
}

func (f *fixture) commitAgain() {
	for i, length := range []int{5, large} {
		name := fmt.Sprintf("%d.car", i)
		blob := f.commit(name, random(length))

		f.must(blob.Commit(f.Context(), name))
		if err := blob.Commit(f.Context(), "other.car"); err == nil {
			f.Error("it was committed under another name")
		}

		f.must(blob.Stage(f.Context(), name, func(int64) {}))
		f.commit(name, random(length)) // the same name stands for the same bytes
	}

	f.checkListed(map[string]int64{"0.car": 5, "1.car": large})
}

// commitAfterRemoval tests that a second commit reports a removal, so that nobody records a blob that is gone.
func (f *fixture) commitAfterRemoval() {
	for _, length := range []int{5, large} {
		blob := f.commit("name.car", random(length))
		f.must(f.Remove(f.Context(), "name.car"))
		err := blob.Commit(f.Context(), "name.car")
		if f.Keeps {
			f.checkError("commit", err, fs.ErrNotExist)
		} else {
			f.checkError("commit", err, nil)
		}
	}
}

func (f *fixture) abortEnds() {
	for i, length := range []int{5, large} {
		name := fmt.Sprintf("%d.car", i)
		committed, aborted := f.commit(name, random(length)), f.stage("me", "aborted.car", random(length))

		for range 2 {
			f.must(errors.Join(committed.Abort(), aborted.Abort()))
		}

		if err := aborted.Commit(f.Context(), "aborted.car"); err == nil {
			f.Error("what was aborted is committed")
		}
	}

	f.checkListed(map[string]int64{"0.car": 5, "1.car": large})
	f.checkUnfinished("", 0)
}

// stageAgain tests that Stage reports the bytes that it sends, and that nothing is sent twice.
func (f *fixture) stageAgain() {
	blob := f.begin("me", random(large))
	var mu sync.Mutex
	sent := int64(0)
	alive := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		sent += n
	}

	f.must(blob.Stage(f.Context(), "name.car", alive))
	// A store that sends nothing ahead reports nothing.
	first := sent
	if first != 0 && first != large {
		f.Errorf("%d bytes were sent", first)
	}

	f.must(blob.Stage(f.Context(), "name.car", alive))
	f.must(blob.Commit(f.Context(), "name.car"))

	if sent != first {
		f.Errorf("%d bytes were sent, then %d more", first, sent-first)
	}

	f.checkListed(map[string]int64{"name.car": large})
}

// manyAtOnce commits and reads blobs of the same and of different names concurrently.
func (f *fixture) manyAtOnce() {
	var running errgroup.Group
	for i := range 8 {
		// Blobs with the same name have the same content.
		content := random(4<<20 + 1 + i%4)
		name := fmt.Sprintf("%d.car", i%4)

		running.Go(func() error {
			from := f.open()
			blob, err := from.Create(f.Context(), fmt.Sprintf("me-%d", i))
			if err != nil {
				return err
			}

			if _, err := blob.Write(content); err != nil {
				return errors.Join(err, blob.Abort())
			}
			if err := blob.Commit(f.Context(), name); err != nil || !f.Keeps {
				return errors.Join(err, blob.Abort())
			}

			reading, err := from.OpenAt(f.Context(), name)
			if err != nil {
				return errors.Join(err, blob.Abort())
			}

			got := make([]byte, len(content))
			if _, err = reading.ReadAt(f.Context(), got, 0); err == nil && !bytes.Equal(got, content) {
				err = fmt.Errorf("%s reads as other bytes", name)
			}
			return errors.Join(err, reading.Close(), blob.Abort())
		})
	}

	f.must(running.Wait())
	f.checkListed(map[string]int64{"0.car": 4<<20 + 1, "1.car": 4<<20 + 2, "2.car": 4<<20 + 3, "3.car": 4<<20 + 4})
	f.checkUnfinished("", 0)
}
