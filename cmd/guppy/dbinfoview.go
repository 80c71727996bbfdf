package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/migrate"
)

type dbInfoView struct {
	Engine       string            `json:"engine"`
	Version      string            `json:"version"`
	Location     string            `json:"location"`
	Schema       schemaView        `json:"schema"`
	Bytes        int64             `json:"bytes"`
	FreeBytes    int64             `json:"free_bytes"`
	LogBytes     int64             `json:"log_bytes"`
	Filesystem   string            `json:"filesystem,omitempty"`
	Tables       []tableView       `json:"tables"`
	Nodes        int64             `json:"nodes,omitempty"`
	BytesPerNode float64           `json:"bytes_per_node,omitempty"`
	Settings     map[string]string `json:"settings"`
	Warnings     []warningView     `json:"warnings"`

	title    string
	settings []dialect.Setting
}

type schemaView struct {
	Current  uint `json:"current"`
	Required uint `json:"required"`
	Dirty    bool `json:"dirty"`
}

type tableView struct {
	Name      string      `json:"name"`
	Bytes     int64       `json:"bytes"`
	Rows      *int64      `json:"rows,omitempty"`
	Estimated bool        `json:"estimated"`
	Indexes   []indexView `json:"indexes"`
}

type indexView struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

type warningView struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

func newDBInfoView(db *dialect.DB, status migrate.Status, info dialect.Info) *dbInfoView {
	v := &dbInfoView{
		Engine: db.Name, Version: info.Version, Location: db.Location(),
		Schema: schemaView{status.Current, status.Required, status.Dirty},
		Bytes:  info.Size, FreeBytes: info.Free, LogBytes: info.Log, Filesystem: info.Filesystem,
		Tables: []tableView{}, Settings: map[string]string{}, Warnings: []warningView{},
		title: db.Title, settings: info.Settings,
	}

	for _, table := range info.Tables {
		v.Tables = append(v.Tables, newTableView(table))
	}

	for _, setting := range info.Settings {
		v.Settings[setting.Name] = setting.Value
	}
	for _, warning := range info.Warnings {
		v.Warnings = append(v.Warnings, warningView(warning))
	}

	return v
}

func newTableView(table dialect.TableInfo) tableView {
	v := tableView{Name: table.Name, Bytes: table.Bytes, Estimated: table.Estimated, Indexes: []indexView{}}
	if table.Rows >= 0 {
		v.Rows = &table.Rows
	}
	for _, index := range table.Indexes {
		v.Indexes = append(v.Indexes, indexView(index))
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

		if v.Nodes = *table.Rows; v.Nodes > 0 {
			v.BytesPerNode = float64(table.Bytes+table.indexBytes()) / float64(v.Nodes)
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
	fmt.Fprintf(w, "location    %s\n", printable(v.Location))
	if v.Filesystem != "" {
		fmt.Fprintf(w, "filesystem  %s\n", v.Filesystem)
	}

	fmt.Fprintf(w, "schema      version %d (this program needs %d)", v.Schema.Current, v.Schema.Required)
	if v.Schema.Dirty {
		fmt.Fprint(w, ", dirty")
	}

	fmt.Fprintf(w, "\nsize        %s", progress.Bytes(v.Bytes))
	if v.FreeBytes > 0 {
		fmt.Fprintf(w, ", %s of it unused", progress.Bytes(v.FreeBytes))
	}
	if v.LogBytes > 0 {
		fmt.Fprintf(w, ", plus %s of log (WAL)", progress.Bytes(v.LogBytes))
	}
	fmt.Fprintln(w)

	if v.Nodes > 0 {
		fmt.Fprintf(w, "nodes       %d, %.1f bytes each with their indexes\n", v.Nodes, v.BytesPerNode)
	}

	v.tablesText(w)
	fmt.Fprintln(w, "settings")
	for _, setting := range v.settings {
		fmt.Fprintf(w, "  %s  %s\n", pad(setting.Name), printable(setting.Value))
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
