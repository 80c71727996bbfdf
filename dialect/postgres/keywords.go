package postgres

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config/secret"
)

var (
	// assignment matches the beginning of a libpq connection string.
	assignment = regexp.MustCompile(`^\s*\w+\s*=`)
	// knownKeyword distinguishes a libpq connection string from the path of a file.
	knownKeyword = regexp.MustCompile(
		`(^|\s)(host|hostaddr|port|user|dbname|database|password|passfile|service|sslmode)\s*=`)
)

// isKeywords reports whether text is a libpq connection string, or what is left of one that was mangled.
func isKeywords(text string) bool {
	return knownKeyword.MatchString(text) && (assignment.MatchString(text) ||
		!dialect.IsPath(text) && !dialect.IsFileURL(text) && !strings.Contains(text, "://"))
}

type keyword struct{ name, value string }

const errKeywords = dialect.SettingsError(`not a valid connection string; the form is "host=... user=... dbname=..."`)

// spaces are the white space of libpq. Other white space belongs to names and values.
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

// IsConnectionString implements dialect.ConnectionStrings.
func (Engine) IsConnectionString(text string) bool { return isKeywords(text) }

// Parameters implements dialect.ConnectionStrings.
func (Engine) Parameters(text string) url.Values {
	list, _ := cutKeywords(text)
	parameters := url.Values{}
	for _, k := range list {
		parameters.Add(k.name, k.value)
	}
	return parameters
}

// plainParameters may be shown.
var plainParameters = strings.Fields(`
	host hostaddr port user dbname database service servicefile passfile
	sslmode sslcert sslrootcert application_name connect_timeout target_session_attrs
	search_path statement_timeout default_query_exec_mode`)

// RedactConnectionString implements dialect.ConnectionStrings.
func (Engine) RedactConnectionString(text string) string {
	list, err := cutKeywords(text)
	if err != nil {
		return secret.Redacted
	}

	words := make([]string, 0, len(list))
	for _, k := range list {
		value := secret.Redacted
		if dialect.IsPlainParameter(k.name) {
			value = quoteValue(k.value)
		}
		words = append(words, k.name+"="+value)
	}
	return strings.Join(words, " ")
}
