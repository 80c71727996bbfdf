package mirror_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/storetest"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
)

const many = 40

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func directory(t *testing.T) (*store.Directory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	opened, err := store.OpenDirectory(path)
	must(t, err)
	return opened, path
}

// filled returns a store with shards and indexes, and a file that is neither.
func filled(t *testing.T) (*store.Directory, string) {
	t.Helper()
	from, path := directory(t)
	_, err := from.Identify(t.Context())
	must(t, err)

	for i := range many {
		content := fmt.Append(nil, "content ", i)
		name := shard.Name(sha256.Sum256(content))
		if i%4 == 0 {
			name = blobindex.Name(sha256.Sum256(content))
		}
		must(t, os.WriteFile(filepath.Join(path, name), content, 0o600))
	}
	must(t, os.WriteFile(filepath.Join(path, "note.txt"), nil, 0o600))
	return from, path
}

func count(t *testing.T, s store.Store) (n int) {
	t.Helper()
	for _, err := range s.Committed(t.Context()) {
		must(t, err)
		n++
	}
	return n
}

func copier(t *testing.T, from, to store.Store) *mirror.Copier {
	t.Helper()
	failed := func(name string, err error) { t.Errorf("%s: %v", name, err) }
	return &mirror.Copier{From: from, To: to, Workers: 4, Counts: &mirror.Counts{}, Failed: failed,
		Progress: progress.NewTask("", "")}
}

// requireWhole checks that all of the work was counted, and nothing more.
func requireWhole(t *testing.T, task *progress.Task, files int64) {
	t.Helper()
	state := task.State()
	if state.Items != files || state.ItemsTotal != files || state.Bytes != state.BytesTotal ||
		(state.BytesTotal > 0) != (files > 0) || len(state.Parts) > 0 {
		t.Errorf("progress of %d files: %+v", files, state)
	}
}

// TestACopyThatIsInterrupted: an interrupted copy has no identity, and can be continued.
func TestACopyThatIsInterrupted(t *testing.T) {
	from, _ := filled(t)
	to, _ := directory(t)
	for k := int64(1); ; k += 13 {
		faulty := &storetest.Faulty{Store: to, Fail: storetest.FailAt("commit", k, errors.New("broken"))}
		before := count(t, to)
		c := copier(t, from, faulty)
		err := c.Run(t.Context())
		marker, markerErr := to.Marker(t.Context())
		must(t, markerErr)
		if c.Counts.Skipped.Load() != int64(before) || faulty.Unended.Load() != 0 {
			t.Errorf("%d skipped of %d, %d blobs not ended", c.Counts.Skipped.Load(), before, faulty.Unended.Load())
		}

		if err == nil {
			requireWhole(t, c.Progress, many)
			identity, err := from.Marker(t.Context())
			if marker != identity || err != nil || count(t, to) != many || c.Counts.Ignored.Load() != 1 {
				t.Errorf("it has %d, as %s: %v", count(t, to), marker, err)
			}
			return
		}
		if marker != "" {
			t.Fatalf("it has an identity after %v", err)
		}
	}
}

// vanishing ends the context in the middle of the list.
type vanishing struct {
	store.Store
	cancel context.CancelCauseFunc
}

var errStop = errors.New("stop")

func (v vanishing) Committed(ctx context.Context) iter.Seq2[store.Committed, error] {
	return func(yield func(store.Committed, error) bool) {
		n := 0
		for blob, err := range v.Store.Committed(ctx) {
			if n++; n == many/2 {
				v.cancel(errStop)
			}
			if !yield(blob, err) {
				return
			}
		}
	}
}

// ending lists one file, and then why the listing ended. It does so only while files are copied: the first listing
// counts them.
type ending struct {
	store.Store
	counted bool
}

func (e *ending) Committed(ctx context.Context) iter.Seq2[store.Committed, error] {
	return func(yield func(store.Committed, error) bool) {
		copying := e.counted
		e.counted = true
		for blob, err := range e.Store.Committed(ctx) {
			if !yield(blob, err) {
				return
			}
			if _, ok := trash.ParseName(blob.Name); ok && copying {
				<-ctx.Done()
				yield(store.Committed{}, context.Cause(ctx))
				return
			}
		}
	}
}

// TestACopyThatFailsSaysSoOnce: the error of a file also ends the list of files.
func TestACopyThatFailsSaysSoOnce(t *testing.T) {
	from, _ := filled(t)
	to, _ := directory(t)
	faulty := &storetest.Faulty{Store: to, Fail: storetest.FailAt("create", 1, errStop)}
	if err := copier(t, &ending{Store: from}, faulty).Run(t.Context()); err == nil || err.Error() != errStop.Error() {
		t.Errorf("%q", err)
	}
}

func TestACopyEndsWithItsContext(t *testing.T) {
	from, _ := filled(t)
	to, path := directory(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	err := copier(t, vanishing{from, cancel}, to).Run(ctx)
	if !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	left, err := filepath.Glob(filepath.Join(path, ".guppy-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q: %v", left, err)
	}
	must(t, copier(t, from, to).Run(t.Context()))
}

// TestWhatDeadCopiesLeft: the next copy of the same host removes leftovers of dead copies, but not files of live
// ones.
func TestWhatDeadCopiesLeft(t *testing.T) {
	from, _ := filled(t)
	to, path := directory(t)
	seen := &owners{Store: to}
	must(t, serial(t, from, seen).Run(t.Context()))
	mine := seen.first
	pid := fmt.Sprintf("-%d.", os.Getpid())
	if !strings.Contains(mine, pid) {
		t.Fatalf("%q does not tell the process", mine)
	}

	const impossible = "-99999999."
	dead := strings.Replace(mine, pid, impossible, 1)
	elsewhere := "copy" + impossible + "1.1.0."
	for _, owner := range []string{mine, dead, elsewhere + "x", elsewhere + "old", "z6Mk-1-2"} {
		_, err := to.Create(t.Context(), owner)
		must(t, err)
	}

	old, err := filepath.Glob(filepath.Join(path, ".guppy-*old*"))
	must(t, err)
	must(t, os.Chtimes(old[0], time.Time{}, time.Now().Add(-25*time.Hour)))
	must(t, copier(t, from, to).Run(t.Context()))
	left, err := to.Unfinished(t.Context(), "")
	must(t, err)
	if len(left) != 3 {
		t.Errorf("left %v", left)
	}

	for _, unfinished := range left {
		if unfinished.Owner == dead || unfinished.Owner == elsewhere+"old" {
			t.Errorf("left %+v", unfinished)
		}
	}
}

type owners struct {
	store.Store
	first string
}

func (o *owners) Create(ctx context.Context, owner string) (store.Blob, error) {
	if o.first == "" {
		o.first = owner
	}
	return o.Store.Create(ctx, owner)
}

func TestStoresThatAreNotCopied(t *testing.T) {
	from, _ := filled(t)
	empty, _ := directory(t)
	other, _ := directory(t)
	_, err := other.Identify(t.Context())
	must(t, err)
	none := store.NewNone(t.TempDir())
	foreign, path := directory(t)
	must(t, os.WriteFile(filepath.Join(path, "thesis.txt"), nil, 0o600))

	for name, tt := range map[string]struct {
		from, to store.Store
		want     error
	}{
		"no store": {empty, other, mirror.ErrNoStore}, "from none": {none, empty, mirror.ErrNoStore},
		"to none": {from, none, mirror.ErrNoStore}, "another": {from, other, mirror.ErrOther},
		"to what is no store": {from, foreign, mirror.ErrForeign},
	} {
		if err := copier(t, tt.from, tt.to).Run(t.Context()); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}

	if count(t, empty)+count(t, other) != 0 || count(t, foreign) != 1 {
		t.Error("something was copied")
	}
}

// serial copies one blob at a time.
func serial(t *testing.T, from, to store.Store) *mirror.Copier {
	t.Helper()
	c := copier(t, from, to)
	c.Workers = 1
	return c
}
