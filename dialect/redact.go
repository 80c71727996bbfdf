package dialect

import (
	"slices"
	"strings"

	"github.com/guppy-prep/guppy/internal/config/secret"
)

// Redact returns a database URL without its secrets, for any engine and however mangled. It keeps the scheme, user,
// hosts and database. A URL that can't be read for certain is hidden completely. Text that is not a URL stays as it
// is.
func Redact(text string) string {
	if taker := connectionStrings(text); taker != nil {
		return taker.RedactConnectionString(text)
	}

	switch {
	case IsPath(text):
		return text
	case IsFileURL(text):
		return redactFile(text)
	case strings.Contains(text, "://"):
		return redactURL(text)
	case IsHalfURL(text):
		return secret.Redacted
	}
	return text
}

func redactFile(raw string) string {
	file, query, _ := strings.Cut(raw, "?")
	if fileEngine(file).CheckURL(file) != nil {
		return secret.Redacted
	}
	return file + redactQuery(query)
}

func redactURL(raw string) string {
	a := CutURL(raw)
	if strings.ContainsAny(a.Scheme, ":@=/?#") {
		return secret.Redacted
	}
	if a.Ambiguous {
		return a.Scheme + "://" + secret.Redacted
	}
	return a.Scheme + "://" + redactUser(a) + a.Hosts + a.Path + redactQuery(a.Query)
}

// redactUser hides the user of an unknown scheme: "user:" and the password "//p" look like the scheme and the user
// of a URL.
func redactUser(a Address) string {
	switch {
	case a.User+a.Password == "":
		return ""
	case !isServerScheme(a.Scheme):
		return secret.Redacted + "@"
	case a.Password == "":
		return a.User + "@"
	}
	return a.User + ":" + secret.Redacted + "@"
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
		case !IsPlainParameter(name):
			params[i] = name + "=" + secret.Redacted
		}
	}
	return "?" + strings.Join(params, "&")
}

// IsPlainParameter reports whether a parameter of a URL may be shown, because it is not a secret of any engine.
func IsPlainParameter(name string) bool {
	return slices.ContainsFunc(registered, func(engine Engine) bool {
		return slices.Contains(engine.Facts().PlainParameters, name)
	})
}
