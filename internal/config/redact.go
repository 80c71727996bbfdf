package config

import (
	"strings"

	"github.com/guppy-prep/guppy/internal/secret"
)

// open lists the parameters of connection strings that may be shown. Any other may be a secret.
var open = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields(`
		host hostaddr port user dbname database service servicefile passfile
		sslmode sslcert sslrootcert application_name connect_timeout target_session_attrs
		search_path statement_timeout default_query_exec_mode
		mode cache vfs immutable _pragma _txlock _time_format`) {
		names[name] = true
	}
	return names
}()

// redact returns a connection string without its secrets. Text that is no connection string stays as it is, and a
// connection string that cannot be read for certain is hidden whole.
func redact(raw string) string {
	switch {
	case isPlainPath(raw):
		return raw
	case strings.HasPrefix(raw, "file:"):
		path, query, _ := strings.Cut(raw, "?")
		return path + redactQuery(query)
	case strings.Contains(raw, "://"):
		return redactURL(raw)
	case isKeywordForm(raw):
		return redactKeywords(raw)
	case halfURL.MatchString(raw):
		return secret.Redacted
	}
	return raw
}

func redactURL(raw string) string {
	a := cutURL(raw)
	if a.ambiguous {
		return a.scheme + "://" + secret.Redacted
	}
	user := a.user
	if a.password != "" {
		user += ":" + secret.Redacted
	}
	if user != "" {
		user += "@"
	}
	return a.scheme + "://" + user + a.hosts + a.path + redactQuery(a.query)
}

func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	params := strings.Split(query, "&")
	for i, param := range params {
		if name, _, _ := strings.Cut(param, "="); !open[name] {
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
		if open[k.name] {
			value = quoteValue(k.value)
		}
		words = append(words, k.name+"="+value)
	}
	return strings.Join(words, " ")
}

func quoteValue(s string) string {
	if s != "" && !strings.ContainsAny(s, spaces+`'\`) {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
