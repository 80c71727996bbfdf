package config

import (
	"errors"
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/secret"
)

const (
	urlKey          = "repo.database_url"
	typeKey         = "repo.database_type"
	passwordFileKey = "repo.database_password_file"
)

// database leaves the questions of what a URL is for, and whether it is well-formed, to the dialects.
func (r *resolver) database() {
	repo := &r.c.Repo
	url, err := expand(r.home, repo.DatabaseURL.Reveal())
	if !r.check(urlKey, err) {
		return
	}
	repo.DatabaseURL = secret.String(url)
	d, err := dialect.For(repo.DatabaseType, repo.DatabaseURL)
	if !r.check(urlKey, err) || url == "" && !r.defaultURL(d) {
		return
	}
	r.password(d)
}

func (r *resolver) defaultURL(d dialect.Dialect) bool {
	if d.DefaultURL == nil {
		return r.check(typeKey, fmt.Errorf("%s needs a connection string in %s", d.Title, urlKey))
	}
	r.c.Repo.DatabaseURL = d.DefaultURL(r.c.Repo.DataDir)
	return true
}

var errTwoPasswords = errors.New(urlKey + " has a password too: set one of them")

func (r *resolver) password(d dialect.Dialect) {
	repo := &r.c.Repo
	switch {
	case repo.DatabasePasswordFile == "":
		return
	case !d.TakesPassword:
		r.warn("%s is ignored: the database is %s", passwordFileKey, d.Title)
		return
	case dialect.HoldsPassword(repo.DatabaseURL):
		r.check(passwordFileKey, errTwoPasswords)
		return
	}
	password, mode, err := readPassword(repo.DatabasePasswordFile)
	if !r.check(passwordFileKey, err) {
		return
	}
	repo.Password = password
	if mode&0o044 != 0 {
		r.warn("%s: group or others can read %s (mode %#o); chmod 600 mends it",
			passwordFileKey, repo.DatabasePasswordFile, mode)
	}
}
