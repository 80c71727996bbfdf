package main

import (
	"fmt"
	"io"

	"github.com/guppy-prep/guppy/internal/preparing/trash"
)

// keptFiles is the part of a removal's output about files that stay because no good copy of them was found in the
// stores that need them.
type keptFiles struct {
	Kept []keptView `json:"kept_files"` // files that stay because no good copy was found in a store that needs them

	lines []string
}

// keptView counts the files that stay in one store.
type keptView struct {
	Store  string `json:"store_url"`  // where the store is
	Files  int64  `json:"file_count"` // number of the files
	File   string `json:"file_name"`  // name of one of them
	Reason string `json:"reason"`     // why it stays
}

func newKeptFiles(others *trash.Others) keptFiles {
	view := keptFiles{Kept: []keptView{}}
	for _, kept := range others.Kept() {
		view.Kept = append(view.Kept,
			keptView{Store: kept.Store, Files: kept.Files, File: kept.File, Reason: kept.Reason.Error()})
		view.lines = append(view.lines, kept.String())
	}
	return view
}

func (v keptFiles) keptText(w io.Writer) {
	for _, line := range v.lines {
		fmt.Fprintln(w, line)
	}
}
