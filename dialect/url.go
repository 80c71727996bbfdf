package dialect

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// halfURL is one that lost its scheme, or the colon or a slash after it, and that a password may be in.
var halfURL = regexp.MustCompile(
	`(?is)^([^/]*:.*@|[^/]*//[^/]*:.*@|postgres(ql)?/[^/]*:.*@|(postgres(ql)?|sqlite|file)//)`)

func isHalfURL(text string) bool { return halfURL.MatchString(text) }

// isPlainPath tells a path that can be nothing else.
func isPlainPath(text string) bool {
	return strings.HasPrefix(text, ".") || strings.HasPrefix(text, "/") && !isHalfURL(text) ||
		filepath.VolumeName(text) != ""
}

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

// HoldsPassword tells whether there is a password in a URL that For takes.
func HoldsPassword(location Secret) bool {
	text := location.Reveal()
	switch {
	case isKeywords(text):
		return holdsPasswordKeyword(text)
	case isPlainPath(text), !strings.Contains(text, "://"):
		return false
	}
	a := cutURL(text)
	query, _ := url.ParseQuery(a.query)
	return a.password != "" || strings.Join(query["password"], "") != ""
}

// TrimURL removes the white space around a URL or connection string. A path stays as it is.
func TrimURL(location Secret) Secret {
	trimmed := strings.TrimSpace(location.Reveal())
	if isKeywords(trimmed) || isFileURL(trimmed) || strings.Contains(trimmed, "://") {
		return Secret(trimmed)
	}
	return location
}
