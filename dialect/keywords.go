package dialect

import (
	"regexp"
	"strings"
)

var (
	// assignment is how a libpq connection string begins.
	assignment = regexp.MustCompile(`^\s*\w+\s*=`)
	// knownKeyword tells a libpq connection string from the path of a file.
	knownKeyword = regexp.MustCompile(
		`(^|\s)(host|hostaddr|port|user|dbname|database|password|passfile|service|sslmode)\s*=`)
)

// isKeywords tells a libpq connection string, or what is left of one that was mangled.
func isKeywords(text string) bool {
	return knownKeyword.MatchString(text) && (assignment.MatchString(text) ||
		!isPlainPath(text) && !isFileURL(text) && !strings.Contains(text, "://"))
}

type keyword struct{ name, value string }

const errKeywords = settingsError(`not a valid connection string; the form is "host=... user=... dbname=..."`)

// spaces are those that libpq knows; others belong to names and values.
const spaces = " \t\r\n\v\f"

// cutKeywords splits a libpq connection string: name=value, spaces between, quotes and backslashes in values.
func cutKeywords(raw string) ([]keyword, error) {
	var list []keyword
	for rest := strings.Trim(raw, spaces); rest != ""; rest = strings.TrimLeft(rest, spaces) {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimRight(name, spaces)
		if !ok || name == "" || strings.ContainsAny(name, spaces+`'\:/@`) {
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

func quoteValue(s string) string {
	if s != "" && !strings.ContainsAny(s, spaces+`'\`) {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func holdsPasswordKeyword(raw string) bool {
	list, _ := cutKeywords(raw)
	for _, k := range list {
		if k.name == "password" && k.value != "" {
			return true
		}
	}
	return false
}
