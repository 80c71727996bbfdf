package check

import (
	"context"

	"github.com/guppy-prep/guppy/internal/progress"
)

// Remedy returns the remedy of a problem as a check prints it.
func Remedy(code string) string { return remedies[code].String() }

// FilesNamed returns the names of the files that rows name.
func (c *Checker) FilesNamed(ctx context.Context) (map[string]struct{}, error) {
	names := map[string]struct{}{}
	for row, err := range (&run{Checker: c, flawed: map[int64]bool{}}).blobs(ctx) {
		if err != nil {
			return nil, err
		}
		names[row.name()] = struct{}{}
	}
	return names, nil
}

// EachPhase is like Run and calls after with the progress of each phase.
func (c *Checker) EachPhase(ctx context.Context, after func(progress.State)) (Summary, error) {
	r := &run{Checker: c, report: func(Problem) error { return nil }, flawed: map[int64]bool{}}
	for _, phase := range []func(context.Context) error{r.rows, r.files, r.copies, r.dags} {
		if err := phase(ctx); err != nil {
			return r.Summary, err
		}
		after(c.Progress.State())
	}
	return r.Summary, nil
}
