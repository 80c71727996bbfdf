package config

import (
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/config/secret"
)

const (
	urlKey             = "repo.database_url"
	typeKey            = "repo.database_type"
	hostKey            = "repo.host"
	portKey            = "repo.port"
	userKey            = "repo.user"
	dbnameKey          = "repo.dbname"
	passwordKey        = "repo.password"
	passwordFileKey    = "repo.password_file"
	oldPasswordFileKey = "repo.database_password_file"
	sslmodeKey         = "repo.sslmode"
	sslrootcertKey     = "repo.sslrootcert"
	sslcertKey         = "repo.sslcert"
	sslkeyKey          = "repo.sslkey"
	schemaKey          = "repo.schema"
	poolerKey          = "repo.pooler"
	execModeKey        = "repo.query_exec_mode"
	migrateURLKey      = "repo.migrate_url"
	readURLKey         = "repo.read_url"
	sourcePathsKey     = "worker.source_paths"
	storePathsKey      = "store.paths"
)

// databaseKeys are the settings that must be valid one by one before they are checked together.
var databaseKeys = []string{"repo.data_dir", typeKey, urlKey, hostKey, portKey, userKey, dbnameKey, passwordKey,
	passwordFileKey, oldPasswordFileKey, sslmodeKey, sslrootcertKey, sslcertKey, sslkeyKey, schemaKey, poolerKey,
	execModeKey, migrateURLKey, readURLKey}

// namePart is a setting that names the database or refines its name.
type namePart struct{ key, value, parameter string }

func (r *resolver) names() []namePart {
	repo := &r.c.Repo
	port := ""
	if repo.Port != 0 {
		port = fmt.Sprint(repo.Port)
	}
	return set(namePart{hostKey, repo.Host, ""}, namePart{portKey, port, ""}, namePart{userKey, repo.User, ""},
		namePart{dbnameKey, repo.DBName, ""})
}

// refinements returns the settings that may accompany a URL. Each replaces a parameter that the URL may have.
func (r *resolver) refinements() []namePart {
	repo := &r.c.Repo
	return set(namePart{sslmodeKey, repo.SSLMode, "sslmode"}, namePart{sslrootcertKey, repo.SSLRootCert, "sslrootcert"},
		namePart{sslcertKey, repo.SSLCert, "sslcert"}, namePart{sslkeyKey, repo.SSLKey, "sslkey"},
		namePart{schemaKey, repo.Schema, "search_path"}, namePart{execModeKey, repo.QueryExecMode, "default_query_exec_mode"})
}

func set(parts ...namePart) []namePart {
	var named []namePart
	for _, p := range parts {
		if p.value != "" {
			named = append(named, p)
		}
	}
	return named
}

// database leaves the questions of what a URL is for, and whether it is well-formed, to the engines.
func (r *resolver) database() {
	repo := &r.c.Repo
	options := []any{postgres.Options{Host: repo.Host, Database: repo.DBName}}
	url, err := expandDatabase(r.home, dialect.Settings{Type: repo.DatabaseType, URL: repo.DatabaseURL, Options: options})
	if !r.check(urlKey, err) {
		return
	}
	repo.DatabaseURL = secret.String(url)

	engine, err := dialect.EngineOf(dialect.Settings{Type: repo.DatabaseType, URL: repo.DatabaseURL, Options: options})
	if !r.check(urlKey, err) || !r.located(engine) {
		return
	}
	if facts := engine.Facts(); !facts.Server {
		r.ignoreServer(facts.Title)
		return
	}

	r.refine()
	r.password()
	r.otherURL(engine, migrateURLKey, &repo.MigrateURL)
	r.otherURL(engine, readURLKey, &repo.ReadURL)
}

// otherURL refuses a second URL of the database that leads elsewhere. Otherwise what it says goes over the other
// settings. It does not use a URL that a higher layer has not seen: one that names another database for this run means
// that one alone.
func (r *resolver) otherURL(engine dialect.Engine, key string, url *secret.String) {
	if *url == "" {
		return
	}

	for _, naming := range []string{urlKey, hostKey, portKey, dbnameKey} {
		if named := r.c.Origin(naming); named.layer() > r.c.Origin(key).layer() {
			*url = ""
			r.c.unused[key] = fmt.Sprintf("not used: %s comes from %s", naming, named)
			r.warn("%s (%s) is not used, since %s comes from %s: to use it, set it there too", key, r.c.Origin(key), naming,
				named)
			return
		}
	}

	other, err := dialect.EngineOf(dialect.Settings{URL: *url})
	if !r.check(key, err) {
		return
	}
	if got, want := other.Facts(), engine.Facts(); got.Name != want.Name {
		r.check(key, fmt.Errorf("the URL is for %s, but the database is %s", got.Title, want.Title))
	}

	schema := r.c.Repo.Schema
	path, found := dialect.URLParameter(*url, "search_path")
	if found && schema != "" && strings.Trim(path, `"`) != schema {
		r.check(key, fmt.Errorf("its search_path differs from %s: set only one of them", schemaKey))
	}
}

// located reports whether the database has one name, and gives it the usual one if it has none.
func (r *resolver) located(engine dialect.Engine) bool {
	repo := &r.c.Repo
	names, facts := r.names(), engine.Facts()
	usual, found := dialect.DefaultURL(engine, repo.DataDir)
	switch {
	case repo.DatabaseURL != "":
		for _, p := range names {
			r.check(p.key, fmt.Errorf("the database is named by %s too (%s): set one of them", urlKey, r.c.Origin(urlKey)))
		}
		return len(names) == 0
	case found:
		repo.DatabaseURL = usual
		return true
	case len(names) == 0:
		return r.check(typeKey, fmt.Errorf("%s needs a connection string in %s, or %s and %s",
			facts.Title, urlKey, hostKey, dbnameKey))
	}

	repo.DatabaseType = facts.Name
	return true
}

// ignoreServer warns of all that says nothing to an engine without a server.
func (r *resolver) ignoreServer(title string) {
	repo := &r.c.Repo
	ignored := append(r.names(), set(namePart{passwordKey, repo.Password.Reveal(), ""},
		namePart{passwordFileKey, repo.PasswordFile, ""}, namePart{oldPasswordFileKey, repo.DatabasePasswordFile, ""},
		namePart{migrateURLKey, repo.MigrateURL.Reveal(), ""}, namePart{readURLKey, repo.ReadURL.Reveal(), ""})...)
	ignored = append(ignored, r.refinements()...)

	if repo.Pooler != PoolerNone {
		ignored = append(ignored, namePart{key: poolerKey})
	}

	for _, p := range ignored {
		r.warn("%s is ignored: the database is %s", p.key, title)
	}

	repo.Password, repo.MigrateURL, repo.ReadURL = "", "", ""
}

// refine refuses settings that contradict the URL.
func (r *resolver) refine() {
	for _, p := range r.refinements() {
		other, found := dialect.URLParameter(r.c.Repo.DatabaseURL, p.parameter)
		if found && other != p.value && (p.key != schemaKey || strings.Trim(other, `"`) != p.value) {
			r.check(p.key, fmt.Errorf("%s (%s) has a different %s: set only one of them", urlKey, r.c.Origin(urlKey),
				p.parameter))
		}
	}
	r.keyPair()
}

func (r *resolver) keyPair() {
	repo := &r.c.Repo
	switch {
	case repo.SSLKey == "" && repo.SSLCert != "":
		r.check(sslcertKey, fmt.Errorf("it needs %s: set both of them", sslkeyKey))
	case repo.SSLKey != "" && repo.SSLCert == "":
		r.check(sslkeyKey, fmt.Errorf("it needs %s: set both of them", sslcertKey))
	case repo.SSLKey != "":
		r.warnOfReaders(sslkeyKey, repo.SSLKey)
	}
}
