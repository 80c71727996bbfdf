package config

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/store"
)

var (
	errNoHome = errors.New(`the home directory that "~" stands for is not known; write the path in full`)

	errOtherHome = errors.New(`only a "~/" at the beginning stands for a home directory, the user's own: ` +
		`write the path in full, or "./" before a name that begins with "~"`)
	errVariable = errors.New(`variables such as $HOME or %TEMP% are not replaced: ` +
		`write the path in full, or "./" before a name that is spelt so`)
	errCarriageReturn = errors.New("the path ends with a carriage return: whatever it comes from has the line endings " +
		"of Windows")
)

// variable matches what a shell would replace.
var variable = regexp.MustCompile(`\$[A-Za-z_]\w*|\$\{\w[^/}]*\}|%[A-Za-z_]\w+%`)

// ExpandPath replaces a leading "~/" of a path, which no shell has done in a file, an environment variable or a flag
// such as --data-dir=~/x. Whatever else a shell would replace is an error rather than the name of a directory, unless
// it exists or comes after "./".
func ExpandPath(home, path string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if home == "" {
			return "", errNoHome
		}
		path = below(home, path[1:])
	}
	return path, checkPath(path)
}

// ExpandStore is like ExpandPath but takes the place of a store, which may be a URL or a name.
func ExpandStore(home, location string) (string, error) {
	place, err := store.ParseURL(location)
	switch {
	case err != nil || place.Directory == "":
		// The caller finds out what is wrong with a URL.
		return location, nil
	case place.Directory != location:
		return location, checkPath(place.Directory)
	}
	return ExpandPath(home, location)
}

// ExpandDatabaseURL is like ExpandPath but takes the URL of a database, which may be the path of a file.
func ExpandDatabaseURL(home, url string) (string, error) {
	return expandDatabase(home, dialect.Settings{URL: dialect.Secret(url)})
}

func expandDatabase(home string, s dialect.Settings) (string, error) {
	given := s.URL.Reveal()
	if given == "~" || strings.HasPrefix(given, "~/") {
		return ExpandPath(home, given)
	}

	// Only some URLs are paths.
	engine, err := dialect.EngineOf(s)
	if err != nil || given == "" || engine.Facts().Server {
		return given, nil
	}
	if !dialect.IsFileURL(given) {
		return given, checkPath(given)
	}

	files, err := dialect.Files(s)
	if err != nil || len(files) == 0 {
		return given, nil
	}
	return given, checkPath(files[0])
}

// checkPath returns an error for a path with a part that was meant to be replaced. A part that exists is meant as it
// is, except at the beginning of a relative path, where an earlier mistake may have made it.
func checkPath(path string) error {
	end := 0
	for part := range strings.SplitSeq(path, "/") {
		first := end == 0
		end += len(part)

		fault := faultOf(part, first)
		switch at := variable.FindStringIndex(part); {
		case part == ".":
			return nil
		case fault == nil:
		case first && (part[0] == '~' || at != nil && at[0] == 0) || !exists(path[:end]):
			return fault
		}
		end++
	}

	if strings.HasSuffix(path, "\r") && !exists(path) {
		return errCarriageReturn
	}
	return nil
}

// faultOf returns what is wrong with a part of a path unless such a file exists.
func faultOf(part string, first bool) error {
	switch {
	case part == "~", first && strings.HasPrefix(part, "~"):
		return errOtherHome
	case variable.MatchString(part):
		return errVariable
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// below returns the path of a name in a directory. Unlike filepath.Join it keeps the "." that checkPath heeds.
func below(directory, name string) string {
	if name = strings.TrimLeft(name, "/"); name == "" {
		return directory
	}
	return strings.TrimRight(directory, "/") + "/" + name
}
