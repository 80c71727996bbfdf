package migrate

import (
	"errors"
	"fmt"
	"strings"
)

// hint names the command to run next after a schema was left as it is.
func (s Status) hint(reason error) string {
	switch {
	case errors.Is(reason, ErrOlder):
		return "back the database up, then run: guppy migrate up"
	case errors.Is(reason, ErrNewer):
		return fmt.Sprintf("use the newer guppy that migrated it, or run with that one: guppy migrate down --to %d",
			s.Required)
	default:
		return s.forceHint()
	}
}

// forceHint lists what a dirty schema may be. The version table says where a migration was to lead, not where it
// started.
func (s Status) forceHint() string {
	cases := []string{fmt.Sprintf("guppy migrate force %d (the migration was finished by hand)", s.Current)}

	if n := len(s.Applied); n > 0 {
		last := s.Applied[n-1]
		cases = append(cases, fmt.Sprintf("guppy migrate force %d (%d_%s was to be applied, and left nothing behind)",
			previous(s.Applied), last.Version, last.Name))
	}

	if len(s.Pending) > 0 {
		next := s.Pending[0]
		cases = append(cases, fmt.Sprintf("guppy migrate force %d (%d_%s was to be reverted, and is still there)",
			next.Version, next.Version, next.Name))
	}

	return fmt.Sprintf("a migration to version %d was begun and not finished; look at the schema, then run: %s",
		s.Current, strings.Join(cases, ", or: "))
}

// previous returns the version before the last of some migrations, 0 if there is none.
func previous(all []Migration) uint {
	if len(all) < 2 {
		return 0
	}
	return all[len(all)-2].Version
}

// hint names the command that goes on from a failed step once the cause is fixed.
func (s step) hint(unsure, dropData bool) string {
	again := s.again
	if dropData && s.direction < 0 {
		again += " --destroy-data"
	}
	if unsure {
		return "once the cause is mended, look with guppy migrate status, and go on from there with: " + again
	}
	return "once the cause is mended, run: " + again
}
