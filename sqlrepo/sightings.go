package sqlrepo

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// Sighting is what a source was at one path when it was last scanned, or accepted, there.
type Sighting struct {
	// Path is where the source was seen. Like all strings here it may hold any bytes.
	Path string `json:"path"`
	// Mount is the mounted file system that the source lies on.
	Mount Mount `json:"mount"`
	// Below lists the mounts below the source, by path.
	Below []Mount `json:"below,omitempty"`
	// Empty is true for a directory without entries.
	Empty bool `json:"empty,omitempty"`
}

// Mount is a mounted file system, and the part of it that a source has. The zero value is an unknown one.
type Mount struct {
	// Point is where the file system is mounted: an absolute path or, below a source, a path relative to the source.
	Point string `json:"point"`
	// Kind is the system's name for its type, such as nfs4. Origin is what was mounted, such as nas:/photos.
	Kind   string `json:"kind"`
	Origin string `json:"origin"`
	// ID identifies a file system whose origin does not, such as one on a device. It is "" if nothing does.
	ID string `json:"id,omitempty"`
	// Root is the directory of the file system that is mounted. Inner is the one that is the source or the mount
	// point.
	Root  string `json:"root"`
	Inner string `json:"inner"`
	// Followed is true for a mount to which a symlink leads, at Point or in a directory above it.
	Followed bool `json:"followed,omitempty"`
}

// Sightings is what a source was at each path where it was seen, one sighting for each path.
type Sightings []Sighting

// At returns the sighting at this path, and whether there is one.
func (p Sightings) At(path string) (seen Sighting, known bool) {
	for _, seen := range p {
		if seen.Path == path {
			return seen, true
		}
	}
	return Sighting{}, false
}

// with returns the sightings with one added or replaced.
func (p Sightings) with(seen Sighting) Sightings {
	others := slices.DeleteFunc(slices.Clone(p), func(other Sighting) bool { return other.Path == seen.Path })
	others = append(others, seen)
	slices.SortFunc(others, func(a, b Sighting) int { return strings.Compare(a.Path, b.Path) })
	return others
}

// Value returns the sightings as JSON, or NULL if there are none.
func (p Sightings) Value() (driver.Value, error) {
	if len(p) == 0 {
		return nil, nil
	}
	return json.Marshal([]Sighting(p.changed(escape)))
}

// Scan reads what Value stored.
func (p *Sightings) Scan(column any) error {
	text, err := columnBytes(column)
	*p = nil
	if err != nil || text == nil {
		return err
	}
	if err := json.Unmarshal(text, (*[]Sighting)(p)); err != nil {
		return fmt.Errorf("sightings of a source: %w", err)
	}
	*p = p.changed(unescape)
	return nil
}

// RememberSighting records what the source of an upload is at a path, in place of what it was there. It returns
// ErrLeaseLost if another worker has the stage.
func (r *Repository) RememberSighting(ctx context.Context, stage Stage, seen Sighting) error {
	return r.db.Transact(ctx, "remember the source", func(tx *core.Tx) error {
		return r.saveSighting(ctx, tx, stage.Upload.Source, seen, func() error {
			return Fence(ctx, tx, stage, counting("progress", 0))
		})
	})
}

// AcceptSighting is like RememberSighting for a change of the source that is accepted before an upload is opened.
// It returns ErrNotFound if there is no such source.
func (r *Repository) AcceptSighting(ctx context.Context, source int64, seen Sighting) error {
	return r.db.Transact(ctx, "accept the source", func(tx *core.Tx) error {
		return r.saveSighting(ctx, tx, source, seen, func() error { return nil })
	})
}

// saveSighting adds a sighting to those of a source, or replaces one, unless that changes nothing. It locks the source
// before may locks its upload, as OpenUpload does. It returns ErrNotFound if there is no such source.
func (r *Repository) saveSighting(ctx context.Context, tx *core.Tx, source int64, seen Sighting,
	may func() error) error {
	lock := sq.Select("id").From("sources").Where(sq.Eq{"id": source}).Suffix(r.db.RowLock)
	if err := tx.LaterRead(ctx, make([]int64, 1), lock, nil); err != nil {
		return err
	}
	if err := may(); err != nil {
		return err
	}

	var known Sightings
	if err := tx.Get(ctx, &known, sightingsOf(source)); err != nil {
		return err
	}

	was, ok := known.At(seen.Path)
	if ok && seen.Mount.Kind == "" { // an unknown mount replaces no known one
		seen.Mount, seen.Below = was.Mount, was.Below
	}
	if ok && reflect.DeepEqual(was, seen) {
		return nil
	}

	// The source is locked, so the update finds it.
	return tx.Later(ctx, sq.Update("sources").Set("mounts", known.with(seen)).Where(sq.Eq{"id": source}), nil)
}

func sightingsOf(source int64) sq.SelectBuilder {
	return sq.Select("mounts").From("sources").Where(sq.Eq{"id": source})
}

// changed returns the sightings with each of their strings changed.
func (p Sightings) changed(change func(string) string) Sightings {
	p = slices.Clone(p)
	for i := range p {
		s := &p[i]
		s.Path, s.Mount, s.Below = change(s.Path), s.Mount.changed(change), slices.Clone(s.Below)
		for j := range s.Below {
			s.Below[j] = s.Below[j].changed(change)
		}
	}
	return p
}

func (m Mount) changed(change func(string) string) Mount {
	for _, s := range []*string{&m.Point, &m.Kind, &m.Origin, &m.ID, &m.Root, &m.Inner} {
		*s = change(*s)
	}
	return m
}

// escape returns raw with a backslash and two hexadecimal digits in place of each NUL, each backslash, and each
// byte that is not part of valid UTF-8.
func escape(raw string) string {
	var text strings.Builder
	for len(raw) > 0 {
		char, size := utf8.DecodeRuneInString(raw)
		if char == utf8.RuneError && size == 1 || char == 0 || char == '\\' {
			fmt.Fprintf(&text, `\%02x`, raw[0])
		} else {
			text.WriteString(raw[:size])
		}
		raw = raw[size:]
	}
	return text.String()
}

// unescape is the inverse of escape.
func unescape(text string) string {
	var raw strings.Builder
	for {
		before, after, escaped := strings.Cut(text, `\`)
		raw.WriteString(before)
		if !escaped {
			return raw.String()
		}

		text = after
		if len(after) >= 2 {
			if char, err := strconv.ParseUint(after[:2], 16, 8); err == nil {
				raw.WriteByte(byte(char))
				text = after[2:]
				continue
			}
		}

		// A backslash that escapes nothing stands for itself.
		raw.WriteByte('\\')
	}
}
