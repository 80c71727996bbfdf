package check

// Remedy returns the remedy of a problem as a check prints it.
func Remedy(code string) string { return remedies[code].String() }
