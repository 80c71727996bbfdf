package check

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
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

const markerName = ".guppy-store"

// StoreChecker checks a store on its own: whether each blob matches its name, and whether all blobs that a
// repository knows are there.
type StoreChecker struct {
	Store store.Store
	// Name is put into each problem, unless it is "".
	Name string
	// Repo may be nil. Blobs are then compared with their names only.
	Repo *sqlrepo.Repository
	// ReadData makes the check read all blobs, Workers at a time.
	ReadData bool
	Workers  int
	// Progress may be nil.
	Progress *progress.Task
}

// StoreSummary counts what a check of a store looked at.
type StoreSummary struct {
	Problems int64 `json:"problem_count"`       // number of problems
	Notes    int64 `json:"note_count"`          // number of notes
	Blobs    int64 `json:"file_count"`          // number of shards and indexes in the store
	Bytes    int64 `json:"bytes"`               // their size
	Expected int64 `json:"expected_file_count"` // number of files that the repository knows
	Read     int64 `json:"read_file_count"`     // number of files that were read
}

// Add adds the numbers of another check.
func (s *StoreSummary) Add(more StoreSummary) {
	s.Problems += more.Problems
	s.Notes += more.Notes
	s.Blobs += more.Blobs
	s.Bytes += more.Bytes
	s.Expected += more.Expected
	s.Read += more.Read
}

// Run calls report with each problem as soon as it is found, from one goroutine at a time. Work under way is not a
// problem. An error means that something could not be checked. It is store.ErrNotKept for a store that keeps
// nothing.
func (c *StoreChecker) Run(ctx context.Context, report func(Problem) error) (StoreSummary, error) {
	r := &storeRun{StoreChecker: c, report: report, expected: byDigest[expectedBlob]{}}
	marker, err := r.marker(ctx)
	if err != nil {
		return r.sum, err
	}
	r.identity = marker
	if err := r.expect(ctx, marker); err != nil {
		return r.sum, err
	}

	for _, phase := range []func(context.Context) error{r.count, r.listed, r.missing, r.lacking, r.unfinished} {
		if err := phase(ctx); err != nil {
			return r.sum, err
		}
	}
	return r.sum, nil
}

// storeRun is one check of a store.
type storeRun struct {
	*StoreChecker
	mu     sync.Mutex
	sum    StoreSummary
	report func(Problem) error
	// identity is the identity of the store, or "" if the store has lost it.
	identity string
	// expected holds the blobs that rows name, and uploads the uploads that have them.
	expected byDigest[expectedBlob]
	uploads  []int64
	// copied holds the digests of what was copied to the store.
	copied []sqlrepo.Digest
}

// anySize is the size of a blob whose row is in another store.
const anySize = -1

type expectedBlob struct {
	size int64
	seen bool
}

// emit reports a problem, with advice instead of a repair: the check of a store repairs nothing.
func (r *storeRun) emit(p Problem) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Repair, p.Store = cmp.Or(p.Repair, advice[p.Code]), r.Name
	if p.Note {
		r.sum.Notes++
	} else {
		r.sum.Problems++
	}
	return r.report(p)
}

// marker returns the store's identity, or "" if the store has lost it.
func (r *storeRun) marker(ctx context.Context) (string, error) {
	marker, err := r.Store.Marker(ctx)
	switch {
	case marker == store.NoneIdentity:
		return "", store.ErrNotKept
	case errors.Is(err, store.ErrDamagedMarker):
		return "", r.emit(Problem{Code: CodeStoreMarker, File: markerName, Detail: err.Error()})
	case err == nil && marker == "":
		return "", r.emit(Problem{Code: CodeStoreMarker, File: markerName, Detail: "it is gone"})
	}
	return marker, err
}

// blobRow is what the repository knows about a blob: a shard or an index.
type blobRow struct {
	upload, shard, index int64
	digest               []byte
	size                 int64
}

func (r blobRow) name() string {
	if r.shard == 0 {
		return blobindex.Name([32]byte(r.digest))
	}
	return shard.Name([32]byte(r.digest))
}

// rows yields the blobs that the repository has in the store: the packed shards and the stored indexes of its
// uploads.
func (r *storeRun) rows(ctx context.Context) iter.Seq2[blobRow, error] {
	return func(yield func(blobRow, error) bool) {
		for _, upload := range r.uploads {
			for row, err := range blobsOf(ctx, r.Repo, upload) {
				if !yield(row, err) {
					return
				}
			}
		}
	}
}

// blobsOf yields the packed shards and the stored indexes of an upload.
func blobsOf(ctx context.Context, repo *sqlrepo.Repository, upload int64) iter.Seq2[blobRow, error] {
	return func(yield func(blobRow, error) bool) {
		filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
		for s, err := range repo.Shards(ctx, upload, filter) {
			if !yield(blobOfShard(s), err) {
				return
			}
		}

		stored := sqlrepo.IndexFilter{Upload: &upload, States: []sqlrepo.IndexState{sqlrepo.IndexStored}}
		for i, err := range repo.Indexes(ctx, stored) {
			if !yield(blobOfIndex(i), err) {
				return
			}
		}
	}
}

// expect gathers the blobs that must be in the store.
func (r *storeRun) expect(ctx context.Context, marker string) error {
	if r.Repo == nil {
		return nil
	}
	keys, err := audit.New(r.Repo).UploadKeys(ctx)
	if err != nil {
		return err
	}

	for _, key := range keys {
		upload, err := r.Repo.Upload(ctx, key)
		if err != nil {
			return err
		}

		// A store without an identity may belong to any upload.
		if upload.Store == marker || marker == "" && upload.Store != store.NoneIdentity {
			r.uploads = append(r.uploads, key)
		}
	}

	// A replica is to have what was copied there, whichever row it is of.
	for digest, err := range r.Repo.Copies(ctx, marker) {
		if err != nil {
			return err
		}
		r.copied = append(r.copied, digest)
		r.expected.set(digest[:], expectedBlob{size: anySize})
	}
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}
		r.expected.set(row.digest, expectedBlob{size: row.size})
	}
	r.sum.Expected = int64(len(r.expected))
	return nil
}

// count begins the listing with what is known about its length. To read all blobs takes much longer than to list them
// once more.
func (r *storeRun) count(ctx context.Context) error {
	r.Progress.Begin("listing "+cmp.Or(r.Name, "the store"), "file")
	if !r.ReadData {
		r.Progress.Expect(r.sum.Expected, 0)
		return nil
	}

	var blobs, bytes int64
	for blob, err := range r.Store.Committed(ctx) {
		if err != nil {
			return err
		}
		r.Progress.Add(1, 0)
		if _, ok := trash.ParseName(blob.Name); ok {
			blobs++
			bytes += blob.Size
		}
	}
	r.Progress.Begin("reading "+cmp.Or(r.Name, "the store"), "file")
	r.Progress.Expect(blobs, bytes)
	return nil
}

// listed checks the blobs that are in the store.
func (r *storeRun) listed(ctx context.Context) error {
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(max(1, r.Workers))
	for blob, err := range r.Store.Committed(ctx) {
		if err == nil {
			err = r.blob(ctx, blob, reading)
		}
		if err != nil {
			return cmp.Or(reading.Wait(), err) // a failed read ends the listing
		}
	}
	return reading.Wait()
}

func (r *storeRun) blob(ctx context.Context, blob store.Committed, reading *errgroup.Group) error {
	if before, aside := store.CutAside(blob.Name); aside {
		if _, ok := trash.ParseName(before); ok {
			return r.emit(Problem{Code: CodeStoreAside, File: blob.Name, Note: true,
				Detail: "a repair has set it aside: its bytes are damaged"})
		}
	}

	digest, ok := trash.ParseName(blob.Name)
	if !ok {
		return r.emit(Problem{Code: CodeStoreForeign, File: blob.Name, Note: true,
			Detail: "it is neither a shard nor an index"})
	}

	r.sum.Blobs++
	r.sum.Bytes += blob.Size
	expected, known := r.expected.get(digest[:])
	if err := r.compare(ctx, blob, digest); err != nil {
		return err
	}
	if !r.ReadData {
		// What was not expected is more than the total.
		if r.Repo != nil && (!known || expected.seen) {
			r.Progress.Expect(1, 0)
		}
		r.Progress.Add(1, 0)
		return nil
	}
	reading.Go(func() error {
		good, err := r.read(ctx, blob, digest)
		if err != nil || good {
			return err
		}
		need, err := r.need(ctx, digest)
		if err != nil {
			return err
		}
		return r.emit(Problem{Code: CodeBlobDamaged, File: blob.Name, Detail: "its bytes do not match its name",
			Repair: r.blobAdvice(CodeBlobDamaged, expected, known, need.Here)})
	})
	return ctx.Err()
}

// compare compares a blob with the row that names it.
func (r *storeRun) compare(ctx context.Context, blob store.Committed, digest [32]byte) error {
	expected, known := r.expected.get(digest[:])
	if known {
		r.expected.set(digest[:], expectedBlob{size: expected.size, seen: true})
	}

	switch {
	case known && expected.size != anySize && expected.size != blob.Size:
		return r.emit(Problem{Code: CodeBlobLength, File: blob.Name,
			Repair: r.blobAdvice(CodeBlobLength, expected, true, true),
			Detail: fmt.Sprintf("it has %d bytes instead of %d", blob.Size, expected.size)})
	case known || r.Repo == nil:
		return nil
	}

	// The blob may have been stored since the rows were read.
	need, err := r.need(ctx, digest)
	if err != nil || need.Here {
		return err
	}
	return r.emit(strayOf(r.Store, blob.Name, need))
}

// need returns which stores are to have the blob by now. Shards may have been stored since the rows were read.
func (r *storeRun) need(ctx context.Context, digest sqlrepo.Digest) (sqlrepo.Need, error) {
	if r.Repo == nil {
		return sqlrepo.Need{}, nil
	}
	needs, err := r.Repo.Named(ctx, r.identity, []sqlrepo.Digest{digest})
	return needs[digest], err
}

// read reports whether a blob matches its name. A blob that was removed meanwhile is not a problem.
func (r *storeRun) read(ctx context.Context, blob store.Committed, digest [32]byte) (good bool, err error) {
	part := r.Progress.Part(blob.Name, blob.Size)
	defer part.End()
	got, err := store.DigestCounted(ctx, r.Store, blob.Name, part.Add)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		part.Done()
		r.Progress.Add(1, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}

	r.mu.Lock()
	r.sum.Read++
	r.mu.Unlock()
	return got == digest, nil
}

// lacking looks for what the store lacks as a replica.
func (r *storeRun) lacking(ctx context.Context) error {
	if r.Repo == nil {
		return nil
	}
	lacking, err := whatReplicaLacks(ctx, r.Repo, r.identity, nil)
	for _, lacks := range lacking {
		if err := r.emit(lacks.problem()); err != nil {
			return err
		}
	}
	return err
}

// missing looks for blobs that rows name and the listing did not have. A blob that was removed meanwhile is not a
// problem.
func (r *storeRun) missing(ctx context.Context) error {
	unseen := r.unseen()
	if !r.ReadData {
		r.Progress.Expect(-unseen, 0)
	}
	if unseen == 0 {
		return nil
	}
	r.Progress.Begin("looking for what is missing", "file")
	r.Progress.Expect(unseen, 0)
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}

		expected, _ := r.expected.get(row.digest)
		if expected.seen || len(row.digest) != len(sqlrepo.Digest{}) {
			continue
		}
		if err := r.lookFor(ctx, row); err != nil {
			return err
		}
	}

	for _, digest := range r.copied {
		if expected, _ := r.expected.get(digest[:]); expected.seen {
			continue
		}

		row := blobRow{digest: digest[:]}
		found, err := r.Repo.ShardsByDigest(ctx, digest)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			row.upload, row.shard = found[0].Upload, found[0].ID
		}
		if err := r.lookFor(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// unseen returns the number of expected blobs that the listing did not have.
func (r *storeRun) unseen() (n int64) {
	for _, expected := range r.expected {
		if !expected.seen {
			n++
		}
	}
	return n
}

func (r *storeRun) lookFor(ctx context.Context, row blobRow) error {
	r.Progress.Add(1, 0)
	name := row.name()
	_, err := r.Store.Size(ctx, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	need, err := r.need(ctx, sqlrepo.Digest(row.digest))
	if err != nil || !need.Here {
		return err
	}
	expected, known := r.expected.get(row.digest)
	return r.emit(Problem{Code: CodeBlobMissing, Upload: row.upload, Shard: row.shard, File: name,
		Detail: "it is not in the store", Repair: r.blobAdvice(CodeBlobMissing, expected, known, true)})
}

// unfinished looks for blobs that were begun and never committed. Without a repository, they can't be told from work
// under way.
func (r *storeRun) unfinished(ctx context.Context) (err error) {
	var unfinished []store.Unfinished
	detail := "an interrupted worker left it"
	if r.Repo != nil {
		unfinished, err = leftovers.Files(ctx, r.Repo, r.Store)
	} else {
		unfinished, err = r.Store.Unfinished(ctx, "")
		detail = "it is under way, or was left by an interrupted worker"
	}
	if err != nil {
		return err
	}

	for _, file := range unfinished {
		if err := r.emit(Problem{Code: CodeStoreUnfinished, File: file.Name, Note: true, Detail: detail}); err != nil {
			return err
		}
	}
	return nil
}
