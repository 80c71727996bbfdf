package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/migrate"
)

// dbInfoView is the output of db info.
type dbInfoView struct {
	Engine   string `json:"engine"`         // database engine
	Version  string `json:"engine_version"` // version of the engine
	Location string `json:"location"`       // where the database is, without a password
	schemaVersions
	Bytes         int64         `json:"bytes"`                     // size of the database
	UnusedBytes   int64         `json:"unused_bytes"`              // part of it that is unused
	LogBytes      int64         `json:"log_bytes"`                 // size of the write-ahead log, if it is a file
	Filesystem    string        `json:"filesystem,omitempty"`      // type of the file system of the database file
	Tables        []tableView   `json:"tables"`                    // the largest first
	Blocks        int64         `json:"block_count,omitempty"`     // number of blocks that the repository knows
	BytesPerBlock float64       `json:"bytes_per_block,omitempty"` // size of the row of a block with its indexes
	Settings      []settingView `json:"settings"`                  // settings of the database that affect speed and safety
	Warnings      []warningView `json:"warnings"`                  // what should be changed

	title string
}

// tableView is a table of the database.
type tableView struct {
	Name      string           `json:"table"`               // name of the table
	Bytes     int64            `json:"bytes"`               // size of the table
	Rows      *int64           `json:"row_count,omitempty"` // number of its rows, if that is known
	Estimated bool             `json:"estimated"`           // whether the number of rows is an estimate
	Indexes   []tableIndexView `json:"table_indexes"`       // indexes of the database over the table
}

// tableIndexView is an index of the database over a table.
type tableIndexView struct {
	Name  string `json:"table_index"` // name of the index
	Bytes int64  `json:"bytes"`       // size of the index
}

// warningView is something about the database that should be changed.
type warningView struct {
	Code string `json:"code"`   // kind of warning, the same from one version to the next
	Text string `json:"reason"` // what should be changed, and why
}

func newDBInfoView(db *dialect.DB, status migrate.Status, info dialect.Info) *dbInfoView {
	v := &dbInfoView{
		Engine: db.Name, Version: info.Version, Location: db.Location(),
		schemaVersions: schemaVersions{status.Current, status.Required, status.Dirty},
		Bytes:          info.Size, UnusedBytes: info.Free, LogBytes: info.Log, Filesystem: info.Filesystem,
		Tables: []tableView{}, Settings: []settingView{}, Warnings: []warningView{},
		title: db.Title,
	}

	for _, table := range info.Tables {
		v.Tables = append(v.Tables, newTableView(table))
	}

	for _, setting := range info.Settings {
		v.Settings = append(v.Settings, settingView{Key: setting.Name, Value: setting.Value})
	}
	for _, warning := range info.Warnings {
		v.Warnings = append(v.Warnings, warningView(warning))
	}

	return v
}

func newTableView(table dialect.TableInfo) tableView {
	v := tableView{Name: table.Name, Bytes: table.Bytes, Estimated: table.Estimated, Indexes: []tableIndexView{}}
	if table.Rows >= 0 {
		v.Rows = &table.Rows
	}
	for _, index := range table.Indexes {
		v.Indexes = append(v.Indexes, tableIndexView(index))
	}
	return v
}

// countNodes fills in the number of nodes unless the engine has an exact count. The caller knows the number
// without scanning the table.
func (v *dbInfoView) countNodes(nodes int64) {
	for i := range v.Tables {
		table := &v.Tables[i]
		if table.Name != "nodes" {
			continue
		}

		if table.Rows == nil || table.Estimated {
			table.Rows, table.Estimated = &nodes, false
		}

		if v.Blocks = *table.Rows; v.Blocks > 0 {
			v.BytesPerBlock = float64(table.Bytes+table.indexBytes()) / float64(v.Blocks)
		}
	}
}

func (t tableView) indexBytes() (n int64) {
	for _, index := range t.Indexes {
		n += index.Bytes
	}
	return n
}

func (v *dbInfoView) text(w io.Writer) {
	fmt.Fprintf(w, "engine      %s %s\n", v.title, v.Version)
	fmt.Fprintf(w, "location    %s\n", oneLine(v.Location))
	if v.Filesystem != "" {
		fmt.Fprintf(w, "filesystem  %s\n", v.Filesystem)
	}

	fmt.Fprintf(w, "schema      version %d (this program needs %d)", v.Current, v.Required)
	if v.Dirty {
		fmt.Fprint(w, ", dirty")
	}

	fmt.Fprintf(w, "\nsize        %s", progress.Bytes(v.Bytes))
	if v.UnusedBytes > 0 {
		fmt.Fprintf(w, ", %s of it unused", progress.Bytes(v.UnusedBytes))
	}
	if v.LogBytes > 0 {
		fmt.Fprintf(w, ", plus %s of log (WAL)", progress.Bytes(v.LogBytes))
	}
	fmt.Fprintln(w)

	if v.Blocks > 0 {
		fmt.Fprintf(w, "blocks      %d, %.1f bytes each with their indexes\n", v.Blocks, v.BytesPerBlock)
	}

	v.tablesText(w)
	fmt.Fprintln(w, "settings")
	for _, setting := range v.Settings {
		fmt.Fprintf(w, "  %s  %s\n", pad(setting.Key), oneLine(setting.Value))
	}

	for _, warning := range v.Warnings {
		fmt.Fprintf(w, "warning     %s: %s\n", warning.Code, warning.Text)
	}
}

func (v *dbInfoView) tablesText(w io.Writer) {
	fmt.Fprintln(w, "tables")
	for _, table := range v.Tables {
		rows := "unknown number of rows"
		switch {
		case table.Rows != nil && table.Estimated:
			rows = "about " + plural(*table.Rows, "row")
		case table.Rows != nil:
			rows = plural(*table.Rows, "row")
		}

		fmt.Fprintf(w, "  %s  %10s  %s\n", pad(table.Name), progress.Bytes(table.Bytes), rows)
		for _, index := range table.Indexes {
			fmt.Fprintf(w, "  %s  %10s\n", pad("  "+index.Name), progress.Bytes(index.Bytes))
		}
	}
}

func pad(name string) string { return name + strings.Repeat(" ", max(0, 36-len(name))) }
