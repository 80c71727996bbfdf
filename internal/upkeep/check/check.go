// Package check proves that a repository is sound, alone and together with its store, and repairs it where it is
// not.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"

	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

// Problem is something that is not as it should be.
type Problem struct {
	Code   string `json:"code"`                // kind of problem, the same from one version to the next
	Upload int64  `json:"upload,omitempty"`    // number of the upload concerned
	Shard  int64  `json:"shard_id,omitempty"`  // key of the shard concerned
	Entry  int64  `json:"entry_id,omitempty"`  // key of the entry concerned
	Index  int64  `json:"index_id,omitempty"`  // key of the index concerned
	Store  string `json:"store,omitempty"`     // name of the store: of a replica, or if there are several
	File   string `json:"file_name,omitempty"` // name of a file in the store
	Detail string `json:"reason"`              // what is wrong
	Repair string `json:"repair"`              // what a repair does about it
	Note   bool   `json:"note"`                // whether nothing is lost or in the way: it is sound with the problem

	// blocks are the chunks of a file that no shard holds, and missed some missing blocks of any kind. Only repair
	// uses them.
	blocks, missed []sqlrepo.Digest
	// identity is the identity of the store concerned.
	identity string
	// lacking are the files that a replica lacks.
	lacking []sqlrepo.Lack
	// isFile is true if the entry is a file.
	isFile bool
	// other is the key of another shard concerned, or 0.
	other int64
}

// String returns the problem in one line.
func (p Problem) String() string {
	line := ""
	for _, key := range []struct {
		name  string
		value int64
	}{{"upload", p.Upload}, {"shard", p.Shard}, {"entry", p.Entry}, {"index", p.Index}} {
		if key.value != 0 {
			line += fmt.Sprintf(" %s %d", key.name, key.value)
		}
	}

	if p.Store != "" {
		line += fmt.Sprintf(" store %q", p.Store)
	}
	if p.File != "" {
		line += fmt.Sprintf(" file %q", p.File)
	}
	if line != "" {
		line = ":" + line
	}
	return p.Code + line + ": " + p.Detail
}

// Repairable reports whether a repair does anything about the problem.
func (p Problem) Repairable() bool {
	action := remedies[p.Code].action
	return action != leaveAlone && action != prepareAgain
}

// Lost reports whether content may have to be given up because of the problem: no store that is there has it. What a
// replica lacks, or a store that is away has, is not lost.
func (p Problem) Lost() bool {
	switch p.Code {
	case CodeStoreElsewhere, CodeReplicaLacks, CodeCopyMissing, CodeCopyLength, CodeCopyDamaged:
		return false
	}
	return !p.Note
}

// The codes of problems that rows alone don't show; sqlrepo has the others.
const (
	CodeStoreMarker    = "store-marker"
	CodeStoreElsewhere = "store-elsewhere"
	CodeStoreTemporary = "store-temporary"
	CodeStoreTrash     = "store-trash"
	CodeStoreStray     = "store-stray"
	CodeStoreAside     = "store-aside"
	CodeShardMissing   = "shard-missing"
	CodeShardLength    = "shard-length"
	CodeShardDamaged   = "shard-damaged"
	CodeShardUnmade    = "shard-unmade"
	CodeNodeMismatch   = "node-mismatch"
	CodePieceMismatch  = "piece-mismatch"
	CodeIndexMissing   = "index-missing"
	CodeIndexLength    = "index-length"
	CodeIndexDamaged   = "index-damaged"
	CodeIndexMismatch  = "index-mismatch"
	CodeBlockMissing   = "block-missing"
	CodeRootMismatch   = "root-mismatch"
	CodeDAGRoot        = "dag-root"
	CodeKeyUnnamed     = "key-unnamed"
	CodeDAGUnknown     = "dag-unknown"
	CodeCopyMissing    = "copy-missing"
	CodeCopyLength     = "copy-length"
	CodeCopyDamaged    = "copy-damaged"
	CodeReplicaLacks   = "replica-lacks"
)

// The codes of problems that only the check of a store by itself finds.
const (
	CodeBlobMissing     = "blob-missing"
	CodeBlobLength      = "blob-length"
	CodeBlobDamaged     = "blob-damaged"
	CodeStoreForeign    = "store-foreign"
	CodeStoreUnfinished = "store-unfinished"
)

// Checker checks a repository.
type Checker struct {
	Repo *sqlrepo.Repository
	// Stores are the stores that uploads name. Without any, no files are checked.
	Stores []Place
	// Remake makes the bytes of a shard that no store keeps again. If it is nil, such shards are not read.
	Remake func(ctx context.Context, shard sqlrepo.Shard) (store.Reading, error)
	// Upload narrows the check to one upload. If it is nil, all uploads are checked.
	Upload *int64
	// Replicas makes the check look at the copies that replicas are recorded to have, and for what they lack.
	Replicas bool
	// ReadPercent is the percentage of shards to read, and of copies, chosen at random; 0 for none.
	ReadPercent float64
	// Keys holds the key files on this host, by DID.
	Keys map[string]string
	// TempDir is where the entries of very large directories are sorted.
	TempDir string
	Log     *slog.Logger
	// Progress may be nil.
	Progress *progress.Task
}

func (c *Checker) auditor() *audit.Auditor { return audit.New(c.Repo) }

// countingAuditor returns an auditor that counts what it has checked as progress.
func (c *Checker) countingAuditor() *audit.Auditor {
	if c.Progress == nil {
		return c.auditor()
	}
	return c.auditor().Reporting(func(p audit.Progress) { c.Progress.Follow(p.Doing, p.Item, p.Done, p.Total) })
}

// Summary counts what a check looked at.
type Summary struct {
	Problems   int64   `json:"problem_count"`             // number of problems
	Notes      int64   `json:"note_count"`                // number of notes
	Uploads    int64   `json:"upload_count"`              // number of uploads whose DAG was walked
	Blocks     int64   `json:"block_count"`               // number of blocks that these uploads need
	Shards     int64   `json:"shard_count"`               // number of shards whose file was checked
	Read       int64   `json:"read_shard_count"`          // number of shards that were read
	Bytes      int64   `json:"read_bytes"`                // size of the shards that were read
	Copies     int64   `json:"copy_count,omitempty"`      // number of copies in replicas that were checked
	CopiesRead int64   `json:"read_copy_count,omitempty"` // number of copies in replicas that were read
	Sample     []int64 `json:"read_shard_ids,omitempty"`  // keys of the shards that were read, unless all were
}

// Sound reports whether there are no problems.
func (s Summary) Sound() bool { return s.Problems == 0 }

// Run calls report with each problem as soon as it is found. Work under way is not a problem: each part is checked
// as it was at one moment. An error means that something could not be checked.
func (c *Checker) Run(ctx context.Context, report func(Problem) error) (Summary, error) {
	r := &run{Checker: c, report: report, flawed: map[int64]bool{}}
	for _, phase := range []func(context.Context) error{r.rows, r.keysOfSpaces, r.files, r.copies, r.dags} {
		if err := phase(ctx); err != nil {
			return r.Summary, err
		}
	}
	return r.Summary, nil
}

// run is one check.
type run struct {
	*Checker
	Summary
	report func(Problem) error
	// flawed holds the uploads whose rows contradict each other. The key 0 stands for contradictions that belong to
	// no upload.
	flawed map[int64]bool
	// held holds the keys of the shards of other uploads that hold blocks of the one upload that is checked.
	held []int64
	// in is the name of the store that is looked at, "" if there is only one.
	in string
	// told holds the identities of the stores that were reported to be away.
	told map[string]bool
	// unseen is why files of uploads were not looked at, nil if all were.
	unseen error
}

// isNews reports whether a store is seen to be away for the first time.
func (r *run) isNews(identity string) bool {
	news := !r.told[identity]
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[identity] = true
	return news
}

// emit reports a problem.
func (r *run) emit(p Problem) error {
	p.Repair = remedies[p.Code].String()
	p.Store = cmp.Or(p.Store, r.in)
	if p.Note {
		r.Notes++
	} else {
		r.Problems++
	}
	return r.report(p)
}

// rows checks the repository alone.
func (r *run) rows(ctx context.Context) error {
	for flaw, err := range r.countingAuditor().CheckRows(ctx, r.Upload, store.NoneIdentity) {
		if err != nil {
			return err
		}

		note := audit.NoteFlaw(flaw.Code)
		if !note {
			r.flawed[flaw.Upload] = true
		}

		err := r.emit(Problem{
			Code: flaw.Code, Upload: flaw.Upload, Shard: flaw.Shard, Entry: flaw.Entry, Detail: flaw.Detail, other: flaw.Other,
			Index: flaw.Index, Note: note,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keysOfSpaces notes keys whose space is not in the repository: the space was never added, or is another
// repository's.
func (r *run) keysOfSpaces(ctx context.Context) error {
	if r.Upload != nil || len(r.Keys) == 0 {
		return nil
	}
	spaces, err := r.Repo.Spaces(ctx)
	if err != nil {
		return err
	}

	unnamed := maps.Clone(r.Keys)
	for _, space := range spaces {
		delete(unnamed, string(space.DID))
	}

	for _, did := range slices.Sorted(maps.Keys(unnamed)) {
		err := r.emit(Problem{Code: CodeKeyUnnamed, File: unnamed[did], Note: true,
			Detail: "this repository has no space " + did + ": its key belongs to another repository, or was left behind"})
		if err != nil {
			return err
		}
	}
	return nil
}

// uploads yields the uploads to check. It skips uploads whose row is flawed and can't be read.
func (r *run) uploads(ctx context.Context) iter.Seq2[sqlrepo.Upload, error] {
	return func(yield func(sqlrepo.Upload, error) bool) {
		keys, err := r.keys(ctx)
		if err != nil {
			yield(sqlrepo.Upload{}, err)
			return
		}

		for _, key := range keys {
			upload, err := r.Repo.Upload(ctx, key)
			if err != nil && r.flawed[key] && blamesRows(ctx, err) {
				continue
			}
			if !yield(upload, err) {
				return
			}
		}
	}
}

// blamesRows reports whether an error may come from rows that contradict each other, and not from a shortage of this
// process or an unusable database.
func blamesRows(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !shortage.Bars(err) && !errors.Is(err, store.ErrUnusable) &&
		!errors.Is(err, sqlrepo.ErrUnavailable) && !errors.Is(err, sqlrepo.ErrUnusable) &&
		!errors.Is(err, sqlrepo.ErrConflict)
}

func (r *run) keys(ctx context.Context) ([]int64, error) {
	if r.Upload != nil {
		return []int64{*r.Upload}, nil
	}
	return r.auditor().UploadKeys(ctx)
}
