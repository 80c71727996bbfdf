package dialect

import (
	"context"
	"fmt"
	"time"
)

// Info is what an engine knows about itself and about one database.
type Info struct {
	// Version is the version of the engine.
	Version string
	// Size is the space of the database on disk, in bytes, and Free the unused part of it. Log is the space of the
	// log of changes beside it. Free and Log are 0 where the engine does not show them.
	Size, Free, Log int64
	// Filesystem is the kind of file system that the database is on, "" if unknown.
	Filesystem string
	// Tables are sorted by name.
	Tables []TableInfo
	// Settings are the settings in force that decide on speed and safety.
	Settings []Setting
	// Warnings are facts that an operator should know.
	Warnings []Warning
}

// TableInfo is the space that one table takes.
type TableInfo struct {
	Name string
	// Bytes is the space of the rows, without indexes. Rows is -1 if unknown.
	Bytes, Rows int64
	// Estimated is true if Rows is the engine's latest estimate.
	Estimated bool
	Indexes   []IndexInfo
}

// IndexInfo is the space that one index takes.
type IndexInfo struct {
	Name  string `db:"name"`
	Bytes int64  `db:"bytes"`
}

// Setting is the value of a setting of an engine or of its pool of connections.
type Setting struct {
	Name  string `db:"name"`
	Value string `db:"value"`
}

// Warning describes a danger or a waste. The code stays the same from one version to the next.
type Warning struct{ Code, Text string }

// Info asks the engine about the database. Where the engine keeps count, it does not read the rows of large tables.
func (db *DB) Info(ctx context.Context) (info Info, err error) {
	if info, err = db.Inspect(ctx, db); err != nil {
		return info, fmt.Errorf("look at %s: %w", db.Describe(), err)
	}
	offset, err := db.ClockOffset(ctx)
	if err != nil {
		return info, fmt.Errorf("look at the clock of %s: %w", db.Describe(), err)
	}
	if offset.Abs() > tolerableOffset {
		info.Warn("clock", "the clock of the database differs from that of this host by %s: leases go by the database's "+
			"clock, but times of uploads by the host's, so set both by NTP", offset.Round(time.Millisecond))
	}
	return info, nil
}

// tolerableOffset is the difference that is normal between unattended clocks.
const tolerableOffset = 3 * time.Second

// ClockOffset returns how far the database's clock is ahead of this host's. It returns 0 if the round trip explains
// all of the difference.
func (db *DB) ClockOffset(ctx context.Context) (time.Duration, error) {
	query, args, err := db.Clock(0).ToSql()
	if err != nil {
		return 0, err
	}
	if query, err = db.Placeholder.ReplacePlaceholders("SELECT " + query); err != nil {
		return 0, err
	}

	var there int64
	began := time.Now()
	if err := db.Reader.GetContext(ctx, &there, query, args...); err != nil {
		return 0, err
	}

	halfway := time.Since(began) / 2
	offset := time.UnixMicro(there).Sub(began.Add(halfway))
	if offset.Abs() <= halfway {
		offset = 0
	}
	return offset, nil
}

// Warn adds a warning.
func (i *Info) Warn(code, format string, args ...any) {
	i.Warnings = append(i.Warnings, Warning{code, fmt.Sprintf(format, args...)})
}

// Set adds a setting.
func (i *Info) Set(name string, value any) {
	i.Settings = append(i.Settings, Setting{name, fmt.Sprint(value)})
}

// Table returns the table of this name, and adds it if it is missing.
func (i *Info) Table(name string) *TableInfo {
	for n := range i.Tables {
		if i.Tables[n].Name == name {
			return &i.Tables[n]
		}
	}
	i.Tables = append(i.Tables, TableInfo{Name: name, Rows: -1})
	return &i.Tables[len(i.Tables)-1]
}
