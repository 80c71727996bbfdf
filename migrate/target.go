package migrate

import (
	"errors"
	"fmt"
)

// ErrTarget is returned for a version that the schema can't be brought to in the requested way.
var ErrTarget = errors.New("no such step")

// Target is the version that the schema is to get. Which migrations lead there shows only once the schema's version
// is known.
type Target struct {
	// command is the command that brings the schema there, as an operator types it; %d is the version.
	command string
	version func(status Status) (uint, error)
}

// Latest is the target after all migrations: the version that this program needs.
func Latest() Target {
	return Target{"guppy migrate up", func(s Status) (uint, error) { return s.Required, nil }}
}

// To is the target of a given version, by applying migrations or by reverting them. 0 is an empty database.
func To(version uint) Target {
	return Target{"guppy migrate goto %d", func(Status) (uint, error) { return version, nil }}
}

// UpTo is the target of a version that is not before the present one.
func UpTo(version uint) Target {
	return Target{"guppy migrate up --to %d", func(s Status) (uint, error) {
		if version < s.Current {
			return 0, fmt.Errorf("%w: the schema is at version %d, which is past %d: guppy migrate down --to %d goes back",
				ErrTarget, s.Current, version, version)
		}
		return version, nil
	}}
}

// DownTo is the target of a version that is not after the present one.
func DownTo(version uint) Target {
	return Target{"guppy migrate down --to %d", func(s Status) (uint, error) {
		if version > s.Current {
			return 0, fmt.Errorf("%w: the schema is at version %d, which is before %d: guppy migrate up --to %d goes on",
				ErrTarget, s.Current, version, version)
		}
		return version, nil
	}}
}

// DownBy is the target before the last n migrations.
func DownBy(n int) Target {
	return Target{"guppy migrate down --to %d", func(s Status) (uint, error) {
		applied := len(s.Applied)
		switch {
		case applied == 0:
			return 0, fmt.Errorf("%w: no migration is applied, so none can be reverted", ErrTarget)
		case n < 1 || n > applied:
			return 0, fmt.Errorf("%w: revert %d migrations: it has to be between 1 and %d", ErrTarget, n, applied)
		case n == applied:
			return 0, nil
		}
		return s.Applied[applied-n-1].Version, nil
	}}
}

// steps returns the migrations that lead to the target, and its version.
func (t Target) steps(status Status, all list) (steps []step, to uint, err error) {
	if err := status.unfit(); err != nil {
		return nil, 0, err
	}

	if to, err = t.version(status); err != nil {
		return nil, 0, err
	}

	if to != 0 && !all.has(to) {
		return nil, 0, noSuchVersion(to, status)
	}

	// At most one of the loops runs.
	at, end := len(status.Applied), all.upTo(to)
	for ; at < end; at++ {
		steps = append(steps, step{all[at].Migration, all[at].up, +1, all.before(at), all[at].Version, t.commandTo(to)})
	}
	for ; at > end; at-- {
		f := all[at-1]
		steps = append(steps, step{f.Migration, f.down, -1, f.Version, all.before(at - 1), t.commandTo(to)})
	}

	return steps, to, nil
}

func noSuchVersion[V int | uint](version V, status Status) error {
	return fmt.Errorf("%w: there is no migration with version %d: the last is %d", ErrTarget, version, status.Required)
}

func (t Target) commandTo(version uint) string {
	if t.command == Latest().command {
		return t.command
	}
	return fmt.Sprintf(t.command, version)
}
