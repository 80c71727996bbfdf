package postgres

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
)

// Claims implements dialect.Locator. Without a URL, a host or a database is enough.
func (Engine) Claims(s dialect.Settings) bool {
	url, options := s.URL.Reveal(), optionsOf(s)
	if url == "" {
		return options.Host != "" || options.Database != ""
	}
	scheme, _, isURL := strings.Cut(url, "://")
	return isURL && isScheme(scheme) || isKeywords(url)
}

// Direct implements dialect.URLAdapter. The URL alone names the server. TLS settings stay unless the URL has its own.
func (Engine) Direct(s dialect.Settings) dialect.Settings {
	options := dialect.OptionsOf[Options](s)
	options.Host, options.Port, options.User, options.Database, options.ExecMode = "", 0, "", "", ""
	options.TransactionPooler = false

	for name, value := range map[string]*string{
		"sslmode": &options.SSLMode, "sslrootcert": &options.SSLRootCert, "sslcert": &options.SSLCert,
		"sslkey": &options.SSLKey,
	} {
		if _, found := dialect.URLParameter(s.URL, name); found {
			*value = ""
		}
	}
	return dialect.WithOptions(s, options)
}

// Elsewhere implements dialect.URLAdapter. Only the patience of connecting stays.
func (Engine) Elsewhere(s dialect.Settings) dialect.Settings {
	return dialect.WithOptions(s, Options{ConnectTimeout: dialect.OptionsOf[Options](s).ConnectTimeout})
}

func isScheme(scheme string) bool { return scheme == "postgres" || scheme == "postgresql" }

// CheckURL implements dialect.Locator.
func (Engine) CheckURL(location string) error {
	if isKeywords(location) {
		_, err := cutKeywords(location)
		return err
	}
	return checkURL(location)
}

const (
	errURL = dialect.SettingsError("not a valid postgres:// URL; write special characters as %XX, or leave the password " +
		`out and name a password file, or use the form "host=... user=... dbname=..."`)
	errParameter = dialect.SettingsError("the PostgreSQL driver refuses the database URL: check the values of its " +
		"parameters, such as port and sslmode, and the files that it names")
)

// checkURL refuses a URL whose password may have a bare "@", "/", "?" or "#": it can look well-formed, with the
// rest of the password for its host or database.
func checkURL(raw string) error {
	a := dialect.CutURL(raw)
	for _, part := range []string{a.User, a.Password, a.Path} {
		if _, err := url.PathUnescape(part); err != nil {
			return errURL
		}
	}

	if _, err := url.ParseQuery(a.Query); err != nil {
		return errURL
	}
	if a.Ambiguous || !validHosts(a.Hosts) {
		return errURL
	}
	return nil
}

var hostPort = regexp.MustCompile(`^(\[[0-9A-Za-z:.%_-]+\]|[^\[\]:\s]*)(:[0-9]*)?$`)

func validHosts(hosts string) bool {
	for host := range strings.SplitSeq(hosts, ",") {
		if !hostPort.MatchString(host) {
			return false
		}
	}
	return true
}
