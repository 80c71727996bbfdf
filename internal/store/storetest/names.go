package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sync/errgroup"
)

func (f *fixture) namesThatAreNone() {
	identity := f.identify(f.Store)
	for _, name := range []string{"", ".", "..", ".guppy-store", "../name.car", "x/name.car", "/name.car", "a\x00.car"} {
		blob := f.begin("me", []byte("content"))

		for op, call := range map[string]func() error{
			"stage":          func() error { return blob.Stage(f.Context(), name, func(int64) {}) },
			"commit":         func() error { return blob.Commit(f.Context(), name) },
			"size":           func() error { _, err := f.Size(f.Context(), name); return err },
			"open":           func() error { _, err := f.Open(f.Context(), name); return err },
			"open at random": func() error { _, err := f.OpenAt(f.Context(), name); return err },
			"remove":         func() error { return f.Remove(f.Context(), name) },
			"trash":          func() error { _, err := f.Trash(f.Context(), "me", name); return err },
			"confirm":        func() error { return f.Confirm(f.Context(), name) },
		} {
			f.checkError(fmt.Sprintf("%s %q", op, name), call(), fs.ErrInvalid)
		}

		f.must(blob.Abort())
	}

	if got := f.identify(f.Store); got != identity {
		f.Errorf("its identity is %q, and was %q", got, identity)
	}
	f.checkListed(nil)
}

func (f *fixture) oddNames() {
	// A server that keeps objects in files can't replace one whose key is longer than 227 bytes, and a repeated request
	// replaces what the first one made. The key of a note about a removal is up to 45 bytes longer than the name.
	longest := strings.Repeat("n", 180)

	want := map[string]int64{}
	for i, name := range []string{"a b.car", "ä€.car", "%2F.car", "a+b&c=d;e?f#g.car", "~!@$^*()[]{}'\"<>|,.car", "-",
		longest, "a..b", "a\\b.car"} {
		f.commit(name, random(i))
		want[name] = int64(i)

		if !f.Keeps {
			continue
		}
		if size, err := f.Size(f.Context(), name); size != int64(i) || err != nil {
			f.Errorf("%q has %d bytes, want %d: %v", name, size, i, err)
		}
		if got := f.read(name); !bytes.Equal(got, random(i)) {
			f.Errorf("%q reads as %q", name, got)
		}
	}
	f.checkListed(want)
	for name := range want {
		f.setAside(name)
		f.must(f.Remove(f.Context(), name+".damaged"))
	}
	f.checkListed(nil)
}

func (f *fixture) ownersThatAreNone() {
	for _, owner := range []string{"", "a/b", "..\x00", "a b", "ä", "a_b", "a*"} {
		if blob, err := f.Create(f.Context(), owner); err == nil {
			f.Errorf("%q has begun %v", owner, blob)
		}
	}
	f.checkUnfinished("", 0)
}

// manyAreListed commits more blobs than fit in one page of any server's list.
func (f *fixture) manyAreListed() {
	const many = 1_101

	var committing errgroup.Group
	committing.SetLimit(16)

	want := map[string]int64{}
	for i := range many {
		name := fmt.Sprintf("%04d.car", i)
		want[name] = int64(i % 7)
		committing.Go(func() error {
			blob, err := f.Create(f.Context(), "me")
			if err != nil {
				return err
			}
			_, err = blob.Write(random(i % 7))
			if err == nil {
				err = blob.Commit(f.Context(), name)
			}
			return errors.Join(err, blob.Abort())
		})
	}

	f.must(committing.Wait())
	f.checkListed(want)

	for _, err := range f.Committed(f.Context()) {
		f.must(err)
		// A caller may stop before the end of the list.
		break
	}
}
