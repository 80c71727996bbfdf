package config

import (
	"errors"
	"os"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config/secret"
	"github.com/guppy-prep/guppy/internal/formats/textfile"
)

const maxPassword = 4096

var (
	errPasswordEmpty = errors.New("the file is empty")
	errPasswordNUL   = errors.New("the file contains a NUL byte")
	errPasswordInURL = errors.New(urlKey + " has a password too: set one of them")
	errPasswordTwice = errors.New(passwordKey + " is set too: set one of them")
	errTwoFiles      = errors.New("differs from " + passwordFileKey + ", which means the same: set one of them")
)

// password checks that at most one password is set. It reads a password that is in a file.
func (r *resolver) password() {
	repo := &r.c.Repo
	key, file := passwordFileKey, repo.PasswordFile
	if file == "" {
		key, file = oldPasswordFileKey, repo.DatabasePasswordFile
	}

	switch {
	case repo.DatabasePasswordFile != "" && file != repo.DatabasePasswordFile:
		r.check(oldPasswordFileKey, errTwoFiles)
	case file != "" && repo.Password != "":
		r.check(key, errPasswordTwice)
	case file != "" && dialect.HoldsPassword(repo.DatabaseURL):
		r.check(key, errPasswordInURL)
	case repo.Password != "" && dialect.HoldsPassword(repo.DatabaseURL):
		r.check(passwordKey, errPasswordInURL)
	// One password is set, in a file.
	case file != "":
		r.passwordFrom(key, file)
	case repo.Password != "" && r.c.inFile(passwordKey):
		r.warnOfReaders(passwordKey, r.c.File)
	}
}

func (r *resolver) passwordFrom(key, file string) {
	password, err := readPassword(file)
	if r.check(key, err) {
		r.c.Repo.Password = password
		r.warnOfReaders(key, file)
	}
}

// warnOfReaders warns if others can read a file. It ignores a file that can't be examined, because reading the
// file fails as well.
func (r *resolver) warnOfReaders(key, file string) {
	info, err := os.Stat(file)
	if err != nil {
		return
	}
	if mode := info.Mode().Perm(); mode&0o044 != 0 {
		r.warn("%s: group or others can read %s (mode %#o); chmod 600 mends it", key, file, mode)
	}
}

// readPassword returns the text of the file without the line ends around it. Blanks may belong to a password.
func readPassword(path string) (secret.String, error) {
	data, err := readLimited(path, maxPassword)
	if err != nil {
		return "", err
	}

	data, err = textfile.Decode(data)
	if err != nil {
		return "", errPasswordNUL
	}

	password := strings.Trim(string(data), "\r\n")
	if password == "" {
		return "", errPasswordEmpty
	}

	return secret.String(password), nil
}

func (c *Config) inFile(key string) bool {
	return c.File != "" && strings.HasPrefix(string(c.Origin(key)), string(fileOrigin(c.File, 0)))
}
