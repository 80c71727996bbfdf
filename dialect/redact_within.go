package dialect

import (
	"regexp"

	"github.com/guppy-prep/guppy/internal/config/secret"
)

var (
	// urlWithPassword matches URLs that may have a password, in quotes or up to the next blank.
	urlWithPassword = regexp.MustCompile(`"[A-Za-z][A-Za-z0-9+.-]*://[^"]*@[^"]*"|` +
		`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'/@]*:[^\s"']*@[^\s"']*`)
	// namedSecret matches the values of parameters and settings that are named like secrets.
	namedSecret = regexp.MustCompile(`(?i)([a-z0-9_-]*(?:password|passwd|secret|signature|credential|security-token|` +
		`session_token)[a-z0-9_-]*\s*=\s*)('(?:[^'\\]|\\.)*'|(?:[^\s&"',;\\]|\\.)+)`)
)

// RedactWithin returns a text, such as an error, without the secrets of the URLs, connection strings and settings in
// it. It is for texts that are kept: messages are built without secrets, and this is what keeps one that slips in from
// the database, its dumps and its backups.
func RedactWithin(text string) string {
	text = urlWithPassword.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == '"' {
			return `"` + Redact(found[1:len(found)-1]) + `"`
		}
		return Redact(found)
	})
	return namedSecret.ReplaceAllString(text, "${1}"+secret.Redacted)
}
