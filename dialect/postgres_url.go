package dialect

import (
	"net/url"
	"regexp"
	"strings"
)

type postgresURLs struct{}

func (postgresURLs) claim(url string) bool {
	scheme, _, isURL := strings.Cut(url, "://")
	return isURL && isPostgresScheme(scheme) || isKeywords(url)
}

func isPostgresScheme(scheme string) bool { return scheme == "postgres" || scheme == "postgresql" }

func (postgresURLs) check(url string) error {
	if isKeywords(url) {
		_, err := cutKeywords(url)
		return err
	}
	return checkPostgresURL(url)
}

const (
	errPostgresURL = settingsError("not a valid postgres:// URL; write special characters as %XX, or leave the password " +
		`out and name a password file, or use the form "host=... user=... dbname=..."`)
	errPostgresParameter = settingsError("the PostgreSQL driver refuses the database URL: check the values of its " +
		"parameters, such as port and sslmode, and the files that it names")
)

// checkPostgresURL refuses a URL whose password may have a bare "@", "/", "?" or "#": it can look well-formed, with the
// rest of the password for its host or database.
func checkPostgresURL(raw string) error {
	a := cutURL(raw)
	for _, part := range []string{a.user, a.password, a.path} {
		if _, err := url.PathUnescape(part); err != nil {
			return errPostgresURL
		}
	}
	if _, err := url.ParseQuery(a.query); err != nil {
		return errPostgresURL
	}
	if a.ambiguous || !validHosts(a.hosts) {
		return errPostgresURL
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
