package check

// Remedy returns what repair does about a problem.
func Remedy(code string) string { return remedies[code].String() }
