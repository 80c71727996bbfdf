package source

import (
	"errors"
	"fmt"
	"slices"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// tooLongName is the name of the Failed entry that stands for all entries of a directory whose paths are too long
// for the repository. No file can have this name.
const tooLongName = "/"

// listTooLong adds to names an entry for the names of d with too long a path, unless the options exclude all of
// these. It returns an error if the directory's path leaves no room for that entry, since then there is no room
// for any other entry either.
func (l *lookahead) listTooLong(d *directory, names, tooLong []string) ([]string, error) {
	slices.Sort(tooLong)

	count, first := 0, ""
	for _, name := range slices.Compact(tooLong) {
		// The options may exclude the entry once its kind is known.
		_, included, err := l.item(d, name)
		if err != nil {
			return nil, err
		}

		if !included {
			continue
		}
		if count++; count == 1 {
			first = name
		}
	}

	if count == 0 {
		return names, nil
	}

	d.tooLong = fmt.Sprintf("%d of its entries, such as %q, have paths longer than %d bytes: shorten a name on "+
		"the way to "+
		"them, or exclude them", count, first, sqlrepo.MaxPathLength)
	if len(d.entry.Path.Join(tooLongName)) > sqlrepo.MaxPathLength {
		return nil, errors.New(d.tooLong)
	}
	return append(names, tooLongName), nil
}
