// Package storecheck looks at a store by itself: whether each blob is what its name says, and whether all are there
// that a repository knows.
package storecheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/mirror"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// The codes of what only a look at a store tells.
const (
	CodeMissing    = "blob-missing"
	CodeLength     = "blob-length"
	CodeDamaged    = "blob-damaged"
	CodeForeign    = "store-foreign"
	CodeUnfinished = "store-unfinished"
)

const markerName = ".guppy-store"

// What can be done about a problem.
const (
	doCopy    = "guppy store copy from a store that has it; without one, guppy check --repair --yes has it packed again"
	doAway    = "guppy check --repair --yes sets it aside and has it packed again; or copy it from elsewhere"
	doMarker  = "guppy check --repair --yes, or guppy store copy from a store that has it"
	doNothing = "nothing"
	doStrays  = "nothing: guppy gc --strays removes it if it is no other repository's"
	doGC      = "guppy gc --yes removes it"
)

// Checker looks at one store.
type Checker struct {
	Store store.Store
	// Repo may be nil: then what the store holds is compared with names alone.
	Repo *sqlrepo.Repository
	// ReadData has all blobs be read, Workers at a time.
	ReadData bool
	Workers  int
}

// Summary says what was looked at.
type Summary struct {
	Problems int64 `json:"problems"`
	Notes    int64 `json:"notes"`
	// Blobs and Bytes are those of the store, Expected how many the repository knows, Read how many were read.
	Blobs    int64 `json:"blobs"`
	Bytes    int64 `json:"bytes"`
	Expected int64 `json:"expected"`
	Read     int64 `json:"read"`
}

// Run gives each problem to report as soon as it is found, from one goroutine at a time. Work under way is none. An
// error means that something could not be checked; it is store.ErrNotKept for a store that keeps nothing.
func (c *Checker) Run(ctx context.Context, report func(check.Problem) error) (Summary, error) {
	r := &run{Checker: c, report: report}
	marker, err := c.Store.Marker(ctx)
	switch {
	case marker == store.NoneIdentity:
		return r.sum, store.ErrNotKept
	case errors.Is(err, store.ErrDamagedMarker):
		err = r.tell(check.Problem{Code: check.CodeStoreMarker, File: markerName, Detail: err.Error(), Repair: doMarker})
	case err == nil && marker == "":
		err = r.tell(check.Problem{Code: check.CodeStoreMarker, File: markerName, Detail: "it is gone", Repair: doMarker})
	}
	if err != nil {
		return r.sum, err
	}
	if err := r.expect(ctx, marker); err != nil {
		return r.sum, err
	}
	for _, phase := range []func(context.Context) error{r.listed, r.missing, r.unfinished} {
		if err := phase(ctx); err != nil {
			return r.sum, err
		}
	}
	return r.sum, nil
}

type run struct {
	*Checker
	mu     sync.Mutex
	sum    Summary
	report func(check.Problem) error
	// expected are the blobs that rows name.
	expected expected
	uploads  []int64
}

func (r *run) tell(p check.Problem) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Note {
		r.sum.Notes++
	} else {
		r.sum.Problems++
	}
	return r.report(p)
}

// rows yields what the repository has in the store: the packed shards and the indexes of its uploads.
func (r *run) rows(ctx context.Context) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		for _, upload := range r.uploads {
			filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
			for s, err := range r.Repo.Shards(ctx, upload, filter) {
				if !yield(row{upload: upload, shard: s.ID, digest: s.Digest, size: s.Size}, err) {
					return
				}
			}
			stored := sqlrepo.IndexFilter{Upload: &upload, States: []sqlrepo.IndexState{sqlrepo.IndexStored}}
			for i, err := range r.Repo.Indexes(ctx, stored) {
				if !yield(row{upload: upload, digest: i.Digest, size: i.Size}, err) {
					return
				}
			}
		}
	}
}

// expect gathers what is to be there.
func (r *run) expect(ctx context.Context, marker string) error {
	r.expected = expected{}
	if r.Repo == nil {
		return nil
	}
	keys, err := r.Repo.UploadKeys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		upload, err := r.Repo.Upload(ctx, key)
		if err != nil {
			return err
		}
		if upload.Store == marker || marker == "" && upload.Store != store.NoneIdentity {
			r.uploads = append(r.uploads, key)
		}
	}
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}
		r.expected.add(row)
	}
	r.sum.Expected = int64(len(r.expected))
	return nil
}

// listed looks at what is there.
func (r *run) listed(ctx context.Context) error {
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(max(1, r.Workers))
	for blob, err := range r.Store.Committed(ctx) {
		if err == nil {
			err = r.blob(ctx, blob, reading)
		}
		if err != nil {
			return cmp.Or(reading.Wait(), err) // what failed to be read ends the listing
		}
	}
	return reading.Wait()
}

func (r *run) blob(ctx context.Context, blob store.Committed, reading *errgroup.Group) error {
	if before, aside := store.CutAside(blob.Name); aside {
		if _, ok := mirror.ParseName(before); ok {
			return r.tell(check.Problem{Code: check.CodeStoreAside, File: blob.Name, Note: true,
				Detail: "a repair has set it aside: its bytes are damaged", Repair: doStrays})
		}
	}
	digest, ok := mirror.ParseName(blob.Name)
	if !ok {
		return r.tell(check.Problem{Code: CodeForeign, File: blob.Name, Note: true,
			Detail: "it is neither a shard nor an index", Repair: doNothing})
	}
	r.sum.Blobs++
	r.sum.Bytes += blob.Size
	if err := r.compare(ctx, blob, digest); err != nil || !r.ReadData {
		return err
	}
	reading.Go(func() error { return r.read(ctx, blob.Name, digest) })
	return ctx.Err()
}

// compare compares a blob with the row that names it.
func (r *run) compare(ctx context.Context, blob store.Committed, digest [32]byte) error {
	size, known := r.expected.see(digest)
	switch {
	case known && size != blob.Size:
		return r.tell(check.Problem{Code: CodeLength, File: blob.Name, Repair: doAway,
			Detail: fmt.Sprintf("it has %d bytes where %d are known", blob.Size, size)})
	case known || r.Repo == nil:
		return nil
	}
	named, err := r.isNamed(ctx, blob.Name, digest)
	if err != nil || named {
		return err
	}
	return r.tell(check.Problem{Code: check.CodeStoreStray, File: blob.Name, Note: true, Repair: doStrays,
		Detail: "no row of this repository names it: it is another's, or was left behind"})
}

// isNamed asks for what was stored since.
func (r *run) isNamed(ctx context.Context, name string, digest [32]byte) (bool, error) {
	ask := r.Repo.Unnamed
	if _, isIndex := blobindex.ParseName(name); isIndex {
		ask = r.Repo.UnnamedIndexes
	}
	unnamed, err := ask(ctx, [][]byte{digest[:]})
	return len(unnamed) == 0, err
}

// read compares a blob with its name. One that was removed meanwhile is no problem.
func (r *run) read(ctx context.Context, name string, digest [32]byte) error {
	got, err := mirror.Digest(ctx, r.Store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.sum.Read++
	r.mu.Unlock()
	if got == digest {
		return nil
	}
	return r.tell(check.Problem{Code: CodeDamaged, File: name, Repair: doAway,
		Detail: "its bytes are not what its name says"})
}

// missing looks for what rows name and the list did not have. What was removed meanwhile is no problem.
func (r *run) missing(ctx context.Context) error {
	if len(r.expected) == 0 || r.expected.all() {
		return nil
	}
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}
		if r.expected.seen(row) || len(row.digest) != 32 {
			continue
		}
		if err := r.lookFor(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) lookFor(ctx context.Context, row row) error {
	name := row.name()
	_, err := r.Store.Size(ctx, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	named, err := r.isNamed(ctx, name, [32]byte(row.digest))
	if err != nil || !named {
		return err
	}
	return r.tell(check.Problem{Code: CodeMissing, Upload: row.upload, Shard: row.shard, File: name,
		Detail: "it is not in the store", Repair: doCopy})
}

// unfinished looks for what was begun and never committed. Without a repository nobody can tell what is under way.
func (r *run) unfinished(ctx context.Context) error {
	left, detail := []store.Unfinished(nil), "it is under way, or was left by an interrupted worker"
	if r.Repo == nil {
		all, err := r.Store.Unfinished(ctx, "")
		if err != nil {
			return err
		}
		left = all
	} else {
		detail = "an interrupted worker left it"
		abandoned, err := leftovers.Files(ctx, r.Repo, r.Store)
		if err != nil {
			return err
		}
		left = abandoned
	}
	for _, file := range left {
		err := r.tell(check.Problem{Code: CodeUnfinished, File: file.Name, Note: true, Detail: detail, Repair: doGC})
		if err != nil {
			return err
		}
	}
	return nil
}

// row is what the repository knows of a blob.
type row struct {
	upload, shard int64
	digest        []byte
	size          int64
}

func (r row) name() string {
	if r.shard == 0 {
		return blobindex.Name([32]byte(r.digest))
	}
	return shard.Name([32]byte(r.digest))
}
