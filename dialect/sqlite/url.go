package sqlite

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
)

// Claims accepts any path except one that begins like a URL: that could be another engine's, with a password.
func (Engine) Claims(s dialect.Settings) bool {
	url := s.URL.Reveal()
	first, _, _ := strings.Cut(url, "/")
	return dialect.IsPath(url) || isFileURL(url) || !strings.Contains(first, ":") && !dialect.IsHalfURL(url)
}

// CheckURL implements dialect.Locator.
func (Engine) CheckURL(location string) error {
	if dialect.IsPath(location) || !isFileURL(location) {
		return nil
	}
	_, err := fileOfURL(location)
	return err
}

// Locate implements dialect.Locator.
func (Engine) Locate(s dialect.Settings) (string, error) { return fileOf(s) }

func isFileURL(text string) bool {
	return strings.HasPrefix(text, "sqlite:") || strings.HasPrefix(text, "file:")
}

const errFileURL = dialect.SettingsError("not a valid URL of a SQLite file: want sqlite:///PATH, with three slashes, " +
	"or file:PATH, and no parameters")

// fileOfURL returns the path in a sqlite:///PATH or file:PATH URL.
func fileOfURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Host != "" && u.Host != "localhost" || u.Scheme == "sqlite" && !strings.HasPrefix(raw, "sqlite:///") {
		return "", errFileURL
	}
	file := u.Path + u.Opaque
	if strings.Trim(file, "/") == "" {
		return "", errFileURL
	}
	return file, nil
}

const errNoFile = dialect.SettingsError("no path of a SQLite file")

// fileOf returns the absolute path of the file that a URL or plain path names.
func fileOf(s dialect.Settings) (string, error) {
	name := s.URL.Reveal()
	if name == "" {
		return "", errNoFile
	}
	if isFileURL(name) {
		file, err := fileOfURL(name)
		if err != nil {
			return "", err
		}
		name = file
	}
	return filepath.Abs(name)
}

const defaultName = "guppy.db"

// DefaultURL returns a path that can't be taken for anything else, whatever the name of the directory.
func (Engine) DefaultURL(dataDir string) dialect.Secret {
	file := filepath.Join(dataDir, defaultName)
	switch {
	case strings.HasPrefix(dataDir, "/") && strings.Contains(dataDir, "/./"):
		// The "." says that what follows is meant as it is, and stays.
		return dialect.Secret("/" + strings.Trim(dataDir, "/") + "/" + defaultName)
	case filepath.IsAbs(file):
		return dialect.Secret(file)
	}
	return dialect.Secret("./" + file)
}
