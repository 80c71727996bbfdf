package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/secret"
)

const databaseFile = "guppy.db"

var (
	errScheme    = errors.New("want postgres://, postgresql://, sqlite:///path, file:path or the path of a SQLite file")
	errSQLiteURL = errors.New("a sqlite URL is sqlite:///path, with three slashes; parameters need file:path?name=value")
	errNoURL     = errors.New("PostgreSQL needs a connection string in repo.database_url")
)

// Engine returns SQLite or Postgres: DatabaseType if it is set, or else what DatabaseURL is for. It returns "" if
// they make no sense, which cannot be after Load.
func (r Repo) Engine() string {
	engine, err := r.engine()
	if err != nil {
		return ""
	}
	return engine
}

// engine gives errors that quote no part of the URL.
func (r Repo) engine() (string, error) {
	engine, err := engineOf(r.DatabaseURL.Reveal())
	switch {
	case err != nil:
		return "", err
	case r.DatabaseType == "" || r.DatabaseType == engine:
		return engine, nil
	case r.DatabaseURL == "":
		return "", errNoURL
	}
	return "", fmt.Errorf("is for %s, but repo.database_type is %s", engine, r.DatabaseType)
}

func engineOf(raw string) (string, error) {
	scheme, _, hasScheme := strings.Cut(raw, "://")
	switch {
	case isPlainPath(raw), strings.HasPrefix(raw, "file:"):
		return SQLite, nil
	case hasScheme && (scheme == "postgres" || scheme == "postgresql"):
		return Postgres, checkPostgresURL(raw)
	case strings.HasPrefix(raw, "sqlite:"):
		_, err := sqlitePath(raw)
		return SQLite, err
	case hasScheme, strings.HasPrefix(raw, "postgres:"), strings.HasPrefix(raw, "postgresql:"), halfURL.MatchString(raw):
		return "", errScheme
	case isKeywordForm(raw):
		_, err := cutKeywords(raw)
		return Postgres, err
	}
	return SQLite, nil
}

// sqlitePath returns the path in a sqlite:/// URL.
func sqlitePath(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host != "" || u.User != nil || strings.Trim(u.Path, "/") == "" ||
		u.RawQuery != "" || u.Fragment != "" || !strings.HasPrefix(raw, "sqlite:///") {
		return "", errSQLiteURL
	}
	return filepath.Clean(u.Path), nil
}

// resolveSQLite makes DatabaseURL a path or a file: URI.
func (r *Repo) resolveSQLite(home string) error {
	path, err := r.sqliteDSN(home)
	r.DatabaseURL = secret.String(path)
	return err
}

func (r *Repo) sqliteDSN(home string) (string, error) {
	switch raw := r.DatabaseURL.Reveal(); {
	case raw == "":
		return r.defaultPath(), nil
	case strings.HasPrefix(raw, "sqlite:"):
		return sqlitePath(raw)
	default:
		return expand(home, raw)
	}
}

// defaultPath starts with "/" or ".", so that no DataDir makes it look like something else than a path.
func (r *Repo) defaultPath() string {
	path := filepath.Join(r.DataDir, databaseFile)
	if filepath.IsAbs(path) {
		return path
	}
	return "./" + path
}
