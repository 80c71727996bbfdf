package dialect

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// halfURL matches a URL that may have a password but lost its scheme, or the colon or a slash after it.
var halfURL = compileHalfURL()

// compileHalfURL builds halfURL from the schemes of the registered engines.
func compileHalfURL() *regexp.Regexp {
	forms := []string{`[^/]*:.*@`, `[^/]*//[^/]*:.*@`}
	for _, engine := range registered {
		facts := engine.Facts()
		schemes := "(" + strings.Join(facts.Schemes, "|") + ")"
		forms = append(forms, schemes+"//")
		if facts.Server {
			forms = append(forms, schemes+`/[^/]*:.*@`)
		}
	}
	return regexp.MustCompile(`(?is)^(` + strings.Join(forms, "|") + `)`)
}

// IsHalfURL reports whether text looks like a URL that lost its scheme, or the colon or a slash after it. There may be
// a password in it.
func IsHalfURL(text string) bool { return halfURL.MatchString(text) }

// IsPath reports whether text can only be the path of a file.
func IsPath(text string) bool {
	return strings.HasPrefix(text, ".") || strings.HasPrefix(text, "/") && !IsHalfURL(text) ||
		filepath.VolumeName(text) != ""
}

// IsFileURL reports whether text is a URL of an engine without a server, well-formed or not: it begins with one of
// their schemes and a colon.
func IsFileURL(text string) bool { return fileEngine(text) != nil }

// fileEngine returns the engine without a server that a URL is for, or nil.
func fileEngine(text string) Engine {
	scheme, _, _ := strings.Cut(text, ":")
	for _, engine := range registered {
		facts := engine.Facts()
		if !facts.Server && len(scheme) < len(text) && slices.Contains(facts.Schemes, scheme) {
			return engine
		}
	}
	return nil
}

// isServerScheme reports whether the scheme belongs to an engine with a server.
func isServerScheme(scheme string) bool {
	return slices.ContainsFunc(registered, func(engine Engine) bool {
		facts := engine.Facts()
		return facts.Server && slices.Contains(facts.Schemes, scheme)
	})
}

// connectionStrings returns the engine that text is a connection string of, or nil.
func connectionStrings(text string) ConnectionStrings {
	for _, engine := range registered {
		if taker, able := engine.(ConnectionStrings); able && taker.IsConnectionString(text) {
			return taker
		}
	}
	return nil
}

// Address is a connection URL cut into its parts. net/url refuses lists of hosts, and puts the password into its
// errors.
type Address struct {
	Scheme, User, Password, Hosts, Path, Query string
	// Ambiguous is true if the true parts may differ from these.
	Ambiguous bool
}

// CutURL cuts a URL into its parts. It never fails: if the parts can't be found for certain, the result is
// Ambiguous.
func CutURL(raw string) Address {
	var a Address
	var rest string
	a.Scheme, rest, _ = strings.Cut(raw, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}

	authority, tail := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		a.User, a.Password, _ = strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
	}
	a.Hosts = authority
	a.Path, a.Query, _ = strings.Cut(tail, "?")

	// A password with a raw "/", "?", "#" or "@" leaves such a character in the wrong part.
	a.Ambiguous = strings.ContainsAny(tail, "@#") || strings.ContainsAny(a.User+a.Password, "@#")
	return a
}

// HoldsPassword reports whether there is a password in a URL or connection string.
func HoldsPassword(location Secret) bool {
	text := location.Reveal()
	taker := connectionStrings(text)
	if taker == nil && (IsPath(text) || !strings.Contains(text, "://")) {
		return false
	}
	return strings.Join(parameters(text, taker)["password"], "") != "" || taker == nil && CutURL(text).Password != ""
}

// URLParameter returns the value of a parameter in a URL or connection string, and reports whether it has the
// parameter.
func URLParameter(location Secret, name string) (value string, found bool) {
	text := location.Reveal()
	taker := connectionStrings(text)
	values := parameters(text, taker)[name]
	if taker == nil && IsPath(text) || len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}

// parameters returns the parameters of a connection string, if taker is its engine, or of a URL.
func parameters(text string, taker ConnectionStrings) url.Values {
	if taker != nil {
		return taker.Parameters(text)
	}
	query, _ := url.ParseQuery(CutURL(text).Query)
	return query
}

// TrimURL removes the white space around a URL or connection string. A path stays as it is.
func TrimURL(location Secret) Secret {
	trimmed := strings.TrimSpace(location.Reveal())
	if connectionStrings(trimmed) != nil || IsFileURL(trimmed) || strings.Contains(trimmed, "://") {
		return Secret(trimmed)
	}
	return location
}
