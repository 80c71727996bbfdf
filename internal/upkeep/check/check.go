// Package check proves that a repository is sound, alone and together with its store, and mends it where it is not.
package check

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"

	"github.com/guppy-prep/guppy/internal/host/shortage"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Problem is something that is not as it should be.
type Problem struct {
	// Code names the kind of problem, and stays the same from one version to the next.
	Code string `json:"code"`
	// Upload, Shard and Entry are the keys of the rows concerned, 0 where there is none.
	Upload int64 `json:"upload,omitempty"`
	Shard  int64 `json:"shard,omitempty"`
	Entry  int64 `json:"entry,omitempty"`
	// Index is the key of an index.
	Index int64 `json:"index,omitempty"`
	// File is the name of a file of the store.
	File string `json:"file,omitempty"`
	// Detail says what is wrong.
	Detail string `json:"detail"`
	// Repair says what repair does about it.
	Repair string `json:"repair"`
	// Note tells that nothing is lost or in the way: the repository is sound all the same.
	Note bool `json:"note,omitempty"`

	// blocks are the chunks of a file that are not held, missed some blocks of any kind, for repair alone.
	blocks, missed []sqlrepo.Digest
	// isFile tells that the entry is one.
	isFile bool
	// other is another shard concerned.
	other int64
}

// String is the problem in one line.
func (p Problem) String() string {
	line := p.Code + ":"
	for _, key := range []struct {
		name  string
		value int64
	}{{"upload", p.Upload}, {"shard", p.Shard}, {"entry", p.Entry}, {"index", p.Index}} {
		if key.value != 0 {
			line += fmt.Sprintf(" %s %d", key.name, key.value)
		}
	}
	if p.File != "" {
		line += fmt.Sprintf(" file %q", p.File)
	}
	return line + ": " + p.Detail
}

// The codes of problems that rows alone don't tell of; sqlrepo has the others.
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
	CodeShardLocation  = "shard-location"
	CodeShardUnmade    = "shard-unmade"
	CodeNodeMismatch   = "node-mismatch"
	CodePieceMismatch  = "piece-mismatch"
	CodeIndexMissing   = "index-missing"
	CodeIndexLength    = "index-length"
	CodeIndexLocation  = "index-location"
	CodeIndexDamaged   = "index-damaged"
	CodeIndexMismatch  = "index-mismatch"
	CodeBlockMissing   = "block-missing"
	CodeRootMismatch   = "root-mismatch"
	CodeDAGRoot        = "dag-root"
	CodeKeyUnnamed     = "key-unnamed"
	CodeDAGUnknown     = "dag-unknown"
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
	// Store has the shards' files. They are not looked at if it is nil.
	Store store.Store
	// Remake makes the bytes of a shard again that no store keeps. Without it they are not read.
	Remake func(ctx context.Context, shard sqlrepo.Shard) (store.Reading, error)
	// Upload narrows the check to one upload; nil means all.
	Upload *int64
	// ReadPercent is how many of a hundred shards are read, chosen at random; 0 for none.
	ReadPercent float64
	// Keys are the files of the keys that are on this host, by their DIDs.
	Keys map[string]string
	// TempDir is where the entries of very large directories are sorted.
	TempDir string
	Log     *slog.Logger
}

// Summary says what was looked at.
type Summary struct {
	Problems int64 `json:"problems"`
	Notes    int64 `json:"notes"`
	// Uploads are those whose DAG was gone through, Blocks how many blocks these need.
	Uploads int64 `json:"uploads"`
	Blocks  int64 `json:"blocks"`
	// Shards are those whose file was looked at, Read how many were read, and Bytes how much that was.
	Shards int64 `json:"shards"`
	Read   int64 `json:"read"`
	Bytes  int64 `json:"bytes"`
	// Sample are the keys of the shards that were read, unless all were.
	Sample []int64 `json:"sample,omitempty"`
}

// Sound tells that there are no problems.
func (s Summary) Sound() bool { return s.Problems == 0 }

// Run gives each problem to report as soon as it is found. Work under way is none: each part is looked at as of one
// moment. An error means that something could not be checked.
func (c *Checker) Run(ctx context.Context, report func(Problem) error) (Summary, error) {
	run := &run{Checker: c, report: report, flawed: map[int64]bool{}}
	for _, phase := range []func(context.Context) error{run.rows, run.keysOfSpaces, run.files, run.dags} {
		if err := phase(ctx); err != nil {
			return run.Summary, err
		}
	}
	return run.Summary, nil
}

// run is one check.
type run struct {
	*Checker
	Summary
	report func(Problem) error
	// flawed are the uploads whose rows contradict each other, and 0 when those of none do.
	flawed map[int64]bool
	// elsewhere tells that uploads have their shards in another store.
	elsewhere bool
}

// tell reports a problem.
func (r *run) tell(p Problem) error {
	p.Repair = remedies[p.Code].String()
	if p.Note {
		r.Notes++
	} else {
		r.Problems++
	}
	return r.report(p)
}

// rows looks at the repository alone.
func (r *run) rows(ctx context.Context) error {
	for flaw, err := range r.Repo.CheckRows(ctx, r.Upload, store.NoneIdentity) {
		if err != nil {
			return err
		}
		note := sqlrepo.NoteFlaw(flaw.Code)
		if !note {
			r.flawed[flaw.Upload] = true
		}
		err := r.tell(Problem{
			Code: flaw.Code, Upload: flaw.Upload, Shard: flaw.Shard, Entry: flaw.Entry, Detail: flaw.Detail, other: flaw.Other,
			Index: flaw.Index, Note: note,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keysOfSpaces notes keys whose space is not there: it was never added, or is another repository's.
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
		err := r.tell(Problem{Code: CodeKeyUnnamed, File: unnamed[did], Note: true,
			Detail: "this repository has no space " + did + ": its key is another repository's, or was left behind"})
		if err != nil {
			return err
		}
	}
	return nil
}

// uploads are those that are looked at, but for those whose row can't be read.
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

// blamesRows reports whether an error may come of what is in rows that contradict each other, and not of what this
// process lacks or of a database that can't be used.
func blamesRows(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !shortage.Bars(err) && !errors.Is(err, store.ErrUnusable) &&
		!errors.Is(err, sqlrepo.ErrUnavailable) && !errors.Is(err, sqlrepo.ErrUnusable) &&
		!errors.Is(err, sqlrepo.ErrConflict)
}

func (r *run) keys(ctx context.Context) ([]int64, error) {
	if r.Upload != nil {
		return []int64{*r.Upload}, nil
	}
	return r.Repo.UploadKeys(ctx)
}
