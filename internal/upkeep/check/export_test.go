package check

import "context"

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
