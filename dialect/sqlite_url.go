package dialect

import (
	"net/url"
	"path/filepath"
	"strings"
)

type sqliteURLs struct{}

// claim takes any path but one that begins as a URL does: that could be another engine's, with a password.
func (sqliteURLs) claim(url string) bool {
	first, _, _ := strings.Cut(url, "/")
	return isPlainPath(url) || isFileURL(url) || !strings.Contains(first, ":") && !isHalfURL(url)
}

func (sqliteURLs) check(url string) error {
	if isPlainPath(url) || !isFileURL(url) {
		return nil
	}
	return checkFileURL(url)
}

func isFileURL(text string) bool {
	return strings.HasPrefix(text, "sqlite:") || strings.HasPrefix(text, "file:")
}

func checkFileURL(raw string) error {
	_, err := fileOfURL(raw)
	return err
}

const errFileURL = settingsError("not a valid URL of a SQLite file: want sqlite:///PATH, with three slashes, or " +
	"file:PATH, and no parameters")

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

const errNoFile = settingsError("no path of a SQLite file")

// sqliteFile is the absolute path of the file that a URL or plain path names.
func sqliteFile(s Settings) (string, error) {
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

const sqliteDefaultName = "guppy.db"

// sqliteDefaultURL can be taken for nothing but a path, whatever the directory's name.
func sqliteDefaultURL(dataDir string) Secret {
	file := filepath.Join(dataDir, sqliteDefaultName)
	if filepath.IsAbs(file) {
		return Secret(file)
	}
	return Secret("./" + file)
}
