package main

import (
	"time"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// The types that several commands print. What a field holds is said beside it, and printed in docs/reference/json.md.

// instant is a time in RFC 3339, in UTC, or "" if there is none.
type instant string

func formatTime(t sqlrepo.Time) instant {
	if t.IsZero() {
		return ""
	}
	return instant(t.UTC().Format(time.RFC3339))
}

// short returns the time as people read it in a list, whose header says that it is in UTC.
func (t instant) short() string {
	parsed, err := time.Parse(time.RFC3339, string(t))
	if err != nil {
		return string(t)
	}
	return parsed.Format("2006-01-02 15:04")
}

// text returns the time as people read it elsewhere.
func (t instant) text() string { return t.short() + " UTC" }

// spaceRef names a space.
type spaceRef struct {
	Space    string      `json:"space"`     // name of the space
	SpaceDID sqlrepo.DID `json:"space_did"` // DID of the space
}

func newSpaceRef(space sqlrepo.Space) spaceRef { return spaceRef{space.Name, space.DID} }

// storeRef names a store.
type storeRef struct {
	Store         string `json:"store"`          // name of the store
	StoreURL      string `json:"store_url"`      // where the store is
	StoreIdentity string `json:"store_identity"` // text in the marker of the store, by which every host knows it
}

func newStoreRef(row sqlrepo.Store) storeRef { return storeRef{row.Name, row.URL, row.Identity} }

// pathRef is a path that may have any bytes.
type pathRef struct {
	Path       string `json:"path"`                  // path; bytes that are not UTF-8 are replaced
	PathBase64 string `json:"path_base64,omitempty"` // bytes of the path, if they are not UTF-8
}

func newPathRef(path string) pathRef { return pathRef{path, base64Unless(path)} }

// contentCounts counts what an upload or a tree has. An object that embeds a pointer lacks the counts as long as they
// are not known.
type contentCounts struct {
	Files       int64 `json:"file_count"`      // number of files
	Directories int64 `json:"directory_count"` // number of directories
	Symlinks    int64 `json:"symlink_count"`   // number of symlinks
	Bytes       int64 `json:"bytes"`           // length of the files
}

func newContentCounts(counts sqlrepo.Counts) *contentCounts {
	return &contentCounts{counts.Files, counts.Directories, counts.Symlinks, counts.Bytes}
}

// entryContent is what is at a path of a tree.
type entryContent struct {
	Kind         string `json:"kind"`                    // file, directory or symlink
	CID          string `json:"cid,omitempty"`           // root of the DAG of the entry
	Bytes        *int64 `json:"bytes,omitempty"`         // length of a file
	Target       string `json:"target,omitempty"`        // target of a symlink
	TargetBase64 string `json:"target_base64,omitempty"` // bytes of the target, if they are not UTF-8
}

// fileCount counts files.
type fileCount struct {
	Files int64 `json:"file_count"` // number of files
	Bytes int64 `json:"bytes"`      // their length
}

// pathFailure is a path that could not be prepared or written.
type pathFailure struct {
	pathRef
	Reason string `json:"reason"` // why
}

// tableContent is a table of the database. The digest depends neither on the order of the rows nor on the engine.
type tableContent struct {
	Table  string `json:"table"`     // name of the table
	Rows   int64  `json:"row_count"` // number of its rows
	Digest string `json:"digest"`    // digest of its rows, the same for the same rows on every engine
}

// schemaVersions says which schema a database has.
type schemaVersions struct {
	Current  uint `json:"current_version"`  // version of the schema that the database has
	Required uint `json:"required_version"` // version that this program needs
	Dirty    bool `json:"dirty"`            // whether a migration was not finished
}
