package dialect

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSettings is returned for settings that name no database that could be opened.
var ErrSettings = errors.New("database settings")

// settingsError is an ErrSettings whose text says all. It quotes nothing of a URL, which may hold a password anywhere.
type settingsError string

func (e settingsError) Error() string { return string(e) }

func (settingsError) Is(target error) bool { return target == ErrSettings }

const errNoURL = settingsError("not a database URL: want postgres://..., postgresql://..., host=..., sqlite:///PATH, " +
	"file:PATH or a path (begin it with ./ if its first name has a colon)")

// For returns the dialect of a configured engine. Without a name it is inferred from the URL. It returns ErrSettings
// when the name is unknown or disagrees with the URL, or when the URL is for no engine or malformed. The error quotes
// nothing of the URL.
func For(name string, url Secret) (Dialect, error) {
	if name != "" {
		named, err := withName(name)
		if err != nil || url == "" {
			return named, err
		}
	}
	inferred, err := infer(url.Reveal())
	if err != nil {
		return Dialect{}, err
	}
	if name != "" && name != inferred.Name {
		return Dialect{}, settingsError(fmt.Sprintf("the URL is for %s, but repo.database_type is %s", inferred.Name, name))
	}
	return inferred, nil
}

func withName(name string) (Dialect, error) {
	for _, d := range dialects() {
		if d.Name == name {
			return d, nil
		}
	}
	return Dialect{}, settingsError(
		fmt.Sprintf("unknown database type %q (allowed: %s)", Redact(name), strings.Join(Names(), ", ")))
}

func infer(url string) (Dialect, error) {
	for _, d := range dialects() {
		if d.urls.claim(url) {
			return d, d.urls.check(url)
		}
	}
	return Dialect{}, errNoURL
}
