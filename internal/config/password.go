package config

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/guppy-prep/guppy/internal/secret"
)

const maxPassword = 4096

var (
	errPasswordEmpty = errors.New("the file is empty")
	errPasswordNUL   = errors.New("the file holds a NUL byte")
)

// readPassword returns what the file holds, less one newline at the end, and the file's permissions.
func readPassword(path string) (secret.String, fs.FileMode, error) {
	data, mode, err := readLimited(path, maxPassword)
	if err != nil {
		return "", 0, err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case password == "":
		return "", 0, errPasswordEmpty
	case strings.ContainsRune(password, 0):
		return "", 0, errPasswordNUL
	}
	return secret.String(password), mode, nil
}
