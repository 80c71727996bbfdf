package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/upkeep/backup"
)

// backupCheckView is the output of backup --check.
type backupCheckView struct {
	File    string         `json:"file"`                     // backup
	Whole   *bool          `json:"whole,omitempty"`          // whether it is intact; absent if that is unknown
	Version uint           `json:"schema_version,omitempty"` // version of its schema
	Tables  []tableContent `json:"tables"`                   // what it has, as it records that itself
	Reason  string         `json:"reason,omitempty"`         // what is wrong
}

// checkBackup reads a backup and prints whether it is whole. It needs no repository.
func (a *app) checkBackup(cmd *cobra.Command, file string) error {
	if _, err := a.load(cmd); err != nil {
		return err
	}
	rows := newTransferring("checking")
	stop := a.showProgress(cmd.Context(), rows.state)
	manifest, err := backup.Check(cmd.Context(), file, rows.report)
	stop()
	view := newBackupCheckView(file, manifest, err)
	return errors.Join(a.print(view, view.text), err)
}

func newBackupCheckView(file string, manifest dialect.Manifest, err error) *backupCheckView {
	view := &backupCheckView{File: file, Version: manifest.Version, Tables: []tableContent{}}
	for _, t := range manifest.Tables {
		view.Tables = append(view.Tables, tableContent{t.Name, t.Rows, t.Digest})
	}

	if whole := err == nil; whole || errors.Is(err, backup.ErrDamaged) {
		view.Whole = &whole
	}
	if err != nil {
		view.Reason = err.Error()
	}
	return view
}

func (v *backupCheckView) text(w io.Writer) {
	if v.Whole == nil || !*v.Whole {
		// The error says everything.
		return
	}

	rows := int64(0)
	for _, t := range v.Tables {
		rows += t.Rows
	}

	fmt.Fprintf(w, "%s is intact: %s in %d tables, schema version %d\n", v.File, plural(rows, "row"), len(v.Tables),
		v.Version)
}
