package config

import (
	"fmt"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/secret"
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
	sourcePathsKey     = "worker.source_paths"
)

// databaseKeys are the settings that must be valid one by one before they are checked together.
var databaseKeys = []string{"repo.data_dir", typeKey, urlKey, hostKey, portKey, userKey, dbnameKey, passwordKey,
	passwordFileKey, oldPasswordFileKey, sslmodeKey, sslrootcertKey, sslcertKey, sslkeyKey, schemaKey, poolerKey,
	execModeKey, migrateURLKey}

// part is a setting that names the database or refines its name.
type part struct{ key, value, parameter string }

func (r *resolver) names() []part {
	repo := &r.c.Repo
	port := ""
	if repo.Port != 0 {
		port = fmt.Sprint(repo.Port)
	}
	return set(part{hostKey, repo.Host, ""}, part{portKey, port, ""}, part{userKey, repo.User, ""},
		part{dbnameKey, repo.DBName, ""})
}

// refinements returns the settings that may accompany a URL. Each replaces a parameter that the URL may have.
func (r *resolver) refinements() []part {
	repo := &r.c.Repo
	return set(part{sslmodeKey, repo.SSLMode, "sslmode"}, part{sslrootcertKey, repo.SSLRootCert, "sslrootcert"},
		part{sslcertKey, repo.SSLCert, "sslcert"}, part{sslkeyKey, repo.SSLKey, "sslkey"},
		part{schemaKey, repo.Schema, "search_path"}, part{execModeKey, repo.QueryExecMode, "default_query_exec_mode"})
}

func set(parts ...part) []part {
	var given []part
	for _, p := range parts {
		if p.value != "" {
			given = append(given, p)
		}
	}
	return given
}

// database checks the settings of the database together. The dialects decide which engine a URL is for and
// whether the URL is well-formed.
func (r *resolver) database() {
	repo := &r.c.Repo
	url, err := expand(r.home, repo.DatabaseURL.Reveal())
	if !r.check(urlKey, err) {
		return
	}
	repo.DatabaseURL = secret.String(url)

	d, err := dialect.Settings{Type: repo.DatabaseType, URL: repo.DatabaseURL,
		Server: dialect.Server{Host: repo.Host, Database: repo.DBName}}.Dialect()
	if !r.check(urlKey, err) || !r.located(d) {
		return
	}

	if !d.TakesPassword {
		r.ignoreServer(d)
		return
	}

	r.refine()
	r.password()
	r.migrateURL(d)
}

// migrateURL checks the URL for changing the schema. It must lead to the same engine and, if it has a
// search_path, to the same schema as the other settings. Its parameters override those settings.
func (r *resolver) migrateURL(d dialect.Dialect) {
	repo := &r.c.Repo
	if repo.MigrateURL == "" {
		return
	}

	other, err := dialect.Settings{URL: repo.MigrateURL}.Dialect()
	if !r.check(migrateURLKey, err) {
		return
	}

	if other.Name != d.Name {
		r.check(migrateURLKey, fmt.Errorf("the URL is for %s, but the database is %s", other.Title, d.Title))
	}

	path, found := dialect.URLParameter(repo.MigrateURL, "search_path")
	if found && repo.Schema != "" && strings.Trim(path, `"`) != repo.Schema {
		r.check(migrateURLKey, fmt.Errorf("it has another search_path than %s: set one of them", schemaKey))
	}
}

// located reports whether the database has exactly one name. A database without a name gets the default of its
// engine.
func (r *resolver) located(d dialect.Dialect) bool {
	repo := &r.c.Repo
	names := r.names()
	switch {
	case repo.DatabaseURL != "":
		for _, p := range names {
			r.check(p.key, fmt.Errorf("the database is named by %s too (%s): set one of them", urlKey, r.c.Origin(urlKey)))
		}
		return len(names) == 0
	case d.DefaultURL != nil:
		repo.DatabaseURL = d.DefaultURL(repo.DataDir)
		return true
	case len(names) == 0:
		return r.check(typeKey, fmt.Errorf("%s needs a connection string in %s, or %s and %s",
			d.Title, urlKey, hostKey, dbnameKey))
	}

	// Without a URL, only the type says which engine the host belongs to.
	repo.DatabaseType = d.Name
	return true
}

// ignoreServer warns of all settings that an engine without a server ignores.
func (r *resolver) ignoreServer(d dialect.Dialect) {
	repo := &r.c.Repo
	ignored := append(r.names(), set(part{passwordKey, repo.Password.Reveal(), ""},
		part{passwordFileKey, repo.PasswordFile, ""}, part{oldPasswordFileKey, repo.DatabasePasswordFile, ""},
		part{migrateURLKey, repo.MigrateURL.Reveal(), ""})...)
	ignored = append(ignored, r.refinements()...)

	if repo.Pooler != PoolerNone {
		ignored = append(ignored, part{key: poolerKey})
	}

	for _, p := range ignored {
		r.warn("%s is ignored: the database is %s", p.key, d.Title)
	}

	repo.Password, repo.MigrateURL = "", ""
}

// refine refuses settings that contradict the URL.
func (r *resolver) refine() {
	for _, p := range r.refinements() {
		other, found := dialect.URLParameter(r.c.Repo.DatabaseURL, p.parameter)
		if found && other != p.value && (p.key != schemaKey || strings.Trim(other, `"`) != p.value) {
			r.check(p.key, fmt.Errorf("%s (%s) has another %s: set one of them", urlKey, r.c.Origin(urlKey), p.parameter))
		}
	}
	r.keyPair()
}

func (r *resolver) keyPair() {
	repo := &r.c.Repo
	switch {
	case repo.SSLKey == "" && repo.SSLCert != "":
		r.check(sslcertKey, fmt.Errorf("it goes with %s: set both of them", sslkeyKey))
	case repo.SSLKey != "" && repo.SSLCert == "":
		r.check(sslkeyKey, fmt.Errorf("it goes with %s: set both of them", sslcertKey))
	case repo.SSLKey != "":
		r.warnOfReaders(sslkeyKey, repo.SSLKey)
	}
}
