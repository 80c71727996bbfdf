//go:build !linux

package shortage

func room(string) (text string, found bool) { return "", false }
