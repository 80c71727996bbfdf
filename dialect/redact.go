package dialect

import (
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/secret"
)

// plainParameters may be shown. Any other parameter of a URL may be a secret.
var plainParameters = strings.Fields(`
	host hostaddr port user dbname database service servicefile passfile
	sslmode sslcert sslrootcert application_name connect_timeout target_session_attrs
	search_path statement_timeout default_query_exec_mode
	mode cache vfs immutable _pragma _txlock _time_format`)

// Redact returns a database URL, for any engine and however mangled, without its secrets: it keeps the scheme, user,
// hosts and database. One that cannot be read for certain is hidden whole. Text that is no URL stays as it is.
func Redact(text string) string {
	switch {
	case isKeywords(text):
		return redactKeywords(text)
	case isPlainPath(text):
		return text
	case isFileURL(text):
		return redactFile(text)
	case strings.Contains(text, "://"):
		return redactURL(text)
	case isHalfURL(text):
		return secret.Redacted
	}
	return text
}

func redactFile(raw string) string {
	file, query, _ := strings.Cut(raw, "?")
	if checkFileURL(file) != nil {
		return secret.Redacted
	}
	return file + redactQuery(query)
}

func redactURL(raw string) string {
	a := cutURL(raw)
	if strings.ContainsAny(a.scheme, ":@=/?#") {
		return secret.Redacted
	}
	if a.ambiguous {
		return a.scheme + "://" + secret.Redacted
	}
	return a.scheme + "://" + redactUser(a) + a.hosts + a.path + redactQuery(a.query)
}

// redactUser shows no user of an unknown scheme: "user:" and the password "//p" look like the scheme and the user of a
// URL.
func redactUser(a address) string {
	switch {
	case a.user+a.password == "":
		return ""
	case !isPostgresScheme(a.scheme):
		return secret.Redacted + "@"
	case a.password == "":
		return a.user + "@"
	}
	return a.user + ":" + secret.Redacted + "@"
}

func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	params := strings.Split(query, "&")
	for i, param := range params {
		name, _, named := strings.Cut(param, "=")
		switch {
		case !named:
			params[i] = secret.Redacted
		case !slices.Contains(plainParameters, name):
			params[i] = name + "=" + secret.Redacted
		}
	}
	return "?" + strings.Join(params, "&")
}

func redactKeywords(raw string) string {
	list, err := cutKeywords(raw)
	if err != nil {
		return secret.Redacted
	}
	words := make([]string, 0, len(list))
	for _, k := range list {
		value := secret.Redacted
		if slices.Contains(plainParameters, k.name) {
			value = quoteValue(k.value)
		}
		words = append(words, k.name+"="+value)
	}
	return strings.Join(words, " ")
}
