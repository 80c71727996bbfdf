package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/internal/preparing/leftovers"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/preparing/trash"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/reading/remake"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// files checks the stores.
func (r *run) files(ctx context.Context) error {
	if len(r.Stores) == 0 {
		return nil
	}
	if err := r.eachStore(func(place Place) error { return r.marker(ctx, place) }); err != nil {
		return err
	}

	r.Progress.Begin("looking for shards", "block")
	packed, err := r.auditor().CountPackedShards(ctx, r.Upload)
	if err != nil {
		return err
	}
	if r.held, err = r.shardsOfHolders(ctx); err != nil {
		return err
	}

	// The sample is drawn from all shards that will be visited, the upload's own and others.
	packed += int64(len(r.held))
	if err := r.expectFiles(ctx); err != nil {
		return err
	}
	sample := newSampler(packed, r.ReadPercent)
	for upload, err := range r.uploads(ctx) {
		if err != nil {
			return err
		}
		if err := r.shards(ctx, upload, sample); err != nil {
			return err
		}
	}

	if err := r.shardsOfOthers(ctx, r.held, sample); err != nil {
		return err
	}

	// A check that could look at no file must not report any store as sound.
	if packed > 0 && r.Shards == 0 && r.unseen != nil {
		return r.unseen
	}

	// What is left over in a store belongs to no single upload.
	if r.Upload != nil {
		return nil
	}
	r.Progress.Begin("looking for what is left over", "file")
	return r.eachStore(func(place Place) error {
		if err := r.temporary(ctx, place.Files); err != nil {
			return err
		}
		return r.strays(ctx, place)
	})
}

// eachStore calls fn with each store that is there.
func (r *run) eachStore(fn func(Place) error) error {
	keeping := 0
	for _, place := range r.Stores {
		if place.Store.Identity != store.NoneIdentity {
			keeping++
		}
	}

	for _, place := range r.Stores {
		// Uploads that name no store most likely are in one of the others.
		if place.Files == nil || place.Store.Identity == "" && len(r.Stores) > 1 {
			continue
		}

		if keeping > 1 {
			r.in = place.Store.Name
		}
		err := fn(place)
		if r.in = ""; err != nil {
			return err
		}
	}
	return nil
}

// marker looks for the marker of a store that uploads name.
func (r *run) marker(ctx context.Context, place Place) error {
	marker, err := place.Files.Marker(ctx)
	if err != nil && !errors.Is(err, store.ErrDamagedMarker) || marker != "" {
		return err
	}

	detail := "the file .guppy-store is gone"
	if err != nil {
		detail = err.Error()
	}
	if place.Store.Identity != "" {
		detail += fmt.Sprintf("; store %q is known as %s", place.Store.Name, place.Store.Identity)
	}
	return r.emit(Problem{Code: CodeStoreMarker, Detail: detail, identity: place.Store.Identity})
}

// shards checks the files of an upload's shards.
func (r *run) shards(ctx context.Context, upload sqlrepo.Upload, sample *sampler) error {
	filter := sqlrepo.ShardFilter{States: []sqlrepo.ShardState{sqlrepo.ShardPacked}}
	seen, err := r.sees(upload)
	if err != nil {
		return err
	}

	for row, err := range r.Repo.Shards(ctx, upload.ID, filter) {
		if err != nil {
			return err
		}

		// The sample counts every shard, also those that are skipped.
		read := sample.includesNext()
		if !seen || len(row.Digest) != len(sqlrepo.Digest{}) {
			r.finish(r.begin(blobOfShard(row), false))
			continue
		}
		if err := r.file(ctx, row, read); err != nil {
			return err
		}
	}
	return r.indexes(ctx, upload, seen)
}

// sees reports whether the store of an upload is there, and reports a problem, once for each store, if it is not.
func (r *run) sees(upload sqlrepo.Upload) (bool, error) {
	place := r.place(upload.Store)
	if place.Files != nil {
		return true, nil
	}
	r.unseen = fmt.Errorf("upload %d: %w", upload.ID, place.Absent)
	if !r.isNews(upload.Store) {
		return false, nil
	}
	return false, r.emit(Problem{Code: CodeStoreElsewhere, Upload: upload.ID, Store: place.Store.Name,
		Detail: "the store of this upload, and maybe of others, is not to be seen from here: " + place.Absent.Error()})
}

// file checks the file of one shard. A shard that was removed or packed again meanwhile is not a problem.
func (r *run) file(ctx context.Context, row sqlrepo.Shard, read bool) error {
	part := r.begin(blobOfShard(row), read)
	defer r.finish(part)
	look := r.lookAt
	if row.Store == store.NoneIdentity {
		look = r.lookAtNone
	} else {
		r.Shards++
	}

	problem, err := look(ctx, row, read, part)
	if err != nil || problem == nil {
		return err
	}

	// The row is read again: the shard may have been removed or packed again meanwhile.
	now, err := r.Repo.Shard(ctx, row.ID)
	if errors.Is(err, sqlrepo.ErrNotFound) {
		return nil
	}
	if err != nil || now.State != row.State || string(now.Digest) != string(row.Digest) {
		return err
	}
	problem.Upload, problem.Shard = row.Upload, row.ID
	if err := r.addPaths(ctx, problem); err != nil {
		return err
	}
	return r.emit(*problem)
}

// mostPaths is the number of paths that a problem of a shard names.
const mostPaths = 3

// addPaths says which files have content in the shard of a problem.
func (r *run) addPaths(ctx context.Context, problem *Problem) error {
	paths, files, err := r.auditor().PathsIn(ctx, problem.Shard, mostPaths)
	if err != nil && blamesRows(ctx, err) {
		return nil // the rows are another problem
	}
	if err != nil || files == 0 {
		return err
	}

	var names []string
	for _, path := range paths {
		names = append(names, strconv.Quote(path.String()))
	}
	if files > mostPaths {
		names = append(names, "...")
	}
	count := "a file"
	if files > 1 {
		count = fmt.Sprintf("%d files", files)
	}
	problem.Detail += fmt.Sprintf("; it has content of %s: %s", count, strings.Join(names, ", "))
	return nil
}

func (r *run) lookAt(ctx context.Context, row sqlrepo.Shard, read bool, part *progress.Part) (*Problem, error) {
	name := shard.Name([32]byte(row.Digest))
	size, err := r.place(row.Store).Files.Size(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Code: CodeShardMissing, File: name, Detail: "its file is not in the store"}, nil
	case err != nil:
		return nil, err
	case size != row.Size:
		return &Problem{Code: CodeShardLength, File: name,
			Detail: fmt.Sprintf("its file has %d bytes instead of %d", size, row.Size)}, nil
	case !read:
		return nil, nil
	}
	return r.sampled(ctx, row, name, part)
}

func (r *run) sampled(ctx context.Context, row sqlrepo.Shard, name string, part *progress.Part) (*Problem, error) {
	if r.ReadPercent < 100 {
		r.Sample = append(r.Sample, row.ID)
	}
	r.Read++
	r.Bytes += row.Size
	return r.read(ctx, row, name, part)
}

// lookAtNone is like lookAt for a shard that no store keeps. The bytes of such a shard can only be made again.
func (r *run) lookAtNone(ctx context.Context, row sqlrepo.Shard, read bool,
	part *progress.Part) (*Problem, error) {
	name := shard.Name([32]byte(row.Digest))
	if !read || r.Remake == nil {
		return nil, nil
	}

	// Only a shard that is made again counts as checked.
	r.Shards++
	problem, err := r.sampled(ctx, row, name, part)
	if errors.Is(err, remake.ErrLost) {
		return r.unmade(ctx, row, name, err)
	}
	return problem, err
}

// unmade reports a shard that can't be made again. It is a note unless the upload is complete or being indexed: only
// then is content lost. An upload that is scanned again has lost nothing, and a removed one may not be needed.
func (r *run) unmade(ctx context.Context, row sqlrepo.Shard, name string, cause error) (*Problem, error) {
	state, err := r.Repo.UploadState(ctx, row.Upload)
	if err != nil {
		return nil, err
	}
	note := state != sqlrepo.Complete && state != sqlrepo.Indexing
	return &Problem{Code: CodeShardUnmade, File: name, Note: note, Detail: cause.Error()}, nil
}

// temporary looks for files that interrupted workers have left and nobody will finish.
func (r *run) temporary(ctx context.Context, files store.Store) error {
	spaces, err := r.Repo.Spaces(ctx)
	if err != nil {
		return err
	}

	for _, space := range spaces {
		if err := r.trash(ctx, files, space); err != nil {
			return err
		}
		abandoned, err := r.abandoned(ctx, files, space)
		if err != nil {
			return err
		}

		for _, file := range abandoned {
			problem := Problem{Code: CodeStoreTemporary, File: file.Name, Detail: "an interrupted worker left it"}
			if err := r.emit(problem); err != nil {
				return err
			}
		}
	}
	return nil
}

// settled is the age from which a file without an owner is not being made any longer.
const settled = time.Minute

// trash looks for files that interrupted removals have left. It looks twice, since a removal under way ends soon.
// Such a file is a note, because files in the trash can be read as before.
func (r *run) trash(ctx context.Context, files store.Store, space sqlrepo.Space) error {
	bin := trash.Bin{Repo: r.Repo, Store: files, Owner: trash.Owner(space)}
	first, err := bin.Left(ctx)
	if err != nil || len(first) == 0 {
		return err
	}

	again, err := bin.Left(ctx)
	if err != nil {
		return err
	}
	for _, blob := range again {
		if !slices.Contains(first, blob) {
			continue
		}

		err := r.emit(Problem{Code: CodeStoreTrash, File: blob.Name, Note: true, Detail: "an interrupted removal left it"})
		if err != nil {
			return err
		}
	}
	return nil
}

// abandoned looks twice for files without a lease. A file may get its name, and its lease end, between the listing
// of the files and the reading of the leases.
func (r *run) abandoned(ctx context.Context, files store.Store, space sqlrepo.Space) ([]store.Unfinished, error) {
	first, err := leftovers.FilesOfSpace(ctx, r.Repo, files, space)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	again, err := leftovers.FilesOfSpace(ctx, r.Repo, files, space)
	return slices.DeleteFunc(again, func(file store.Unfinished) bool {
		young := file.Owner == "" && time.Since(file.Changed) < settled
		return young || !slices.Contains(first, file)
	}), err
}

// strays looks for files that a store does not need. It reads the rows a second time before it reports any, because
// shards may have been stored since.
func (r *run) strays(ctx context.Context, place Place) error {
	known, err := r.named(ctx, place.Store.Identity)
	if err != nil {
		return err
	}

	// Only the strays are kept in memory: a store may have many files.
	var strays []string
	for file, err := range place.Files.Committed(ctx) {
		if err != nil {
			return err
		}
		r.Progress.Add(1, 0)
		if !isNamed(file.Name, known) {
			strays = append(strays, file.Name)
		}
	}

	if len(strays) == 0 {
		return nil
	}
	if known, err = r.named(ctx, place.Store.Identity); err != nil {
		return err
	}

	strays = slices.DeleteFunc(strays, func(name string) bool { return isNamed(name, known) })
	for some := range slices.Chunk(strays, straysAtOnce) {
		if err := r.reportStrays(ctx, place, some); err != nil {
			return err
		}
	}
	return nil
}

// straysAtOnce is the number of strays that one query looks up in other stores.
const straysAtOnce = 500

func (r *run) reportStrays(ctx context.Context, place Place, names []string) error {
	var digests []sqlrepo.Digest
	for _, name := range names {
		if digest, ok := trash.ParseName(name); ok {
			digests = append(digests, digest)
		}
	}
	needs, err := r.Repo.Named(ctx, place.Store.Identity, digests)
	if err != nil {
		return err
	}

	for _, name := range names {
		digest, _ := trash.ParseName(name)
		if err := r.emit(strayOf(place.Files, name, needs[digest])); err != nil {
			return err
		}
	}
	return nil
}

// strayOf returns the note about a file that its store does not need. Other stores may.
func strayOf(files store.Store, name string, need sqlrepo.Need) Problem {
	stray := Problem{Code: CodeStoreStray, File: name, Note: true}
	switch _, aside := store.CutAside(name); {
	case aside:
		stray.Code, stray.Detail = CodeStoreAside, "a repair has set it aside: its bytes are damaged"
	case len(need.Elsewhere) == 0:
		stray.Detail = "no row of this repository names it: it belongs to another repository, or was left behind"
	case len(trash.Needing(need).Elsewhere) == 0:
		stray.Detail = "only uploads in a store that keeps no bytes have it: it was left behind"
	default:
		stray.Detail = fmt.Sprintf("no upload in %s has it, but one in another store does: it is removed here only once a "+
			"good copy was read there", files.URL())
	}
	return stray
}

// named returns the digests of the shards and indexes that a store is to have.
func (r *run) named(ctx context.Context, identity string) (byDigest[struct{}], error) {
	known := byDigest[struct{}]{}
	for digest, err := range r.auditor().FileDigests(ctx, identity) {
		if err != nil {
			return nil, err
		}
		known.set(digest, struct{}{})
	}
	return known, nil
}

// isNamed reports whether a shard or an index with one of the digests has this name.
func isNamed(name string, digests byDigest[struct{}]) bool {
	digest, ok := trash.ParseName(name)
	if ok {
		_, ok = digests.get(digest[:])
	}
	return ok
}
