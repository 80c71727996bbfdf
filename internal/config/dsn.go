package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/guppy-prep/guppy/internal/secret"
)

// address is a connection URL cut into its parts. net/url refuses the lists of hosts that PostgreSQL knows, and puts
// the password into its errors.
type address struct {
	scheme, user, password, hosts, path, query string
	ambiguous                                  bool
}

// cutURL never fails: what it cannot tell apart for certain it calls ambiguous.
func cutURL(raw string) address {
	var a address
	var rest string
	a.scheme, rest, _ = strings.Cut(raw, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		a.user, a.password, _ = strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
	}
	a.hosts = authority
	a.path, a.query, _ = strings.Cut(tail, "?")
	// A password with a raw "/", "?", "#" or "@" leaves such a character where none belongs.
	a.ambiguous = strings.ContainsAny(tail, "@#") || strings.ContainsAny(a.user+a.password, "@#")
	return a
}

var errPostgresURL = errors.New(`not a valid postgres:// URL; write special characters as %XX, ` +
	`or use the form "host=... user=... dbname=..."`)

// checkPostgresURL gives fixed errors, since those of net/url quote the URL.
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

// keywordForm tells a libpq connection string from the path of a file.
var keywordForm = regexp.MustCompile(
	`(^|\s)(host|hostaddr|port|user|dbname|database|password|passfile|service|sslmode)\s*=`)

func isKeywordForm(raw string) bool { return keywordForm.MatchString(raw) }

// halfURL is a URL that lost its "//" or its scheme, and has a password.
var halfURL = regexp.MustCompile(`^[^/]*:[^/]*@`)

// isPlainPath tells a path that can be nothing else.
func isPlainPath(raw string) bool { return strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, ".") }

type keyword struct{ name, value string }

var errKeywords = errors.New(`not a valid connection string; the form is "host=... user=... dbname=..."`)

// spaces are those that libpq knows; others belong to names and values.
const spaces = " \t\r\n\v\f"

// cutKeywords splits a libpq connection string: name=value, spaces between, quotes and backslashes in values.
func cutKeywords(raw string) ([]keyword, error) {
	var list []keyword
	for rest := strings.Trim(raw, spaces); rest != ""; rest = strings.TrimLeft(rest, spaces) {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimRight(name, spaces)
		if !ok || name == "" || strings.ContainsAny(name, spaces+`'\`) {
			return nil, errKeywords
		}
		value, remaining, ok := cutValue(strings.TrimLeft(after, spaces))
		if !ok {
			return nil, errKeywords
		}
		list, rest = append(list, keyword{name, value}), remaining
	}
	return list, nil
}

func cutValue(s string) (value, rest string, ok bool) {
	quoted := strings.HasPrefix(s, "'")
	s = strings.TrimPrefix(s, "'")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\\':
			return "", "", false
		case quoted && c == '\'':
			return b.String(), s[i+1:], true
		case !quoted && strings.IndexByte(spaces, c) >= 0:
			return b.String(), s[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}

// holdsPassword tells whether a PostgreSQL connection string has a password in it.
func holdsPassword(dsn secret.String) bool {
	raw := dsn.Reveal()
	if strings.Contains(raw, "://") {
		a := cutURL(raw)
		query, _ := url.ParseQuery(a.query)
		return a.password != "" || query.Get("password") != ""
	}
	list, _ := cutKeywords(raw)
	for _, k := range list {
		if k.name == "password" && k.value != "" {
			return true
		}
	}
	return false
}
