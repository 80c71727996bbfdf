package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
)

// Locate implements dialect.Locator.
func (Engine) Locate(s dialect.Settings) (string, error) {
	config, err := parse(s)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%q at %s:%d", config.Database, config.Host, config.Port), nil
}

// newConfig returns the whole configuration of a connection.
func newConfig(s dialect.Settings) (*pgx.ConnConfig, error) {
	options := optionsOf(s)
	if err := checkCertificates(options); err != nil {
		return nil, err
	}
	config, err := parse(s)
	if err != nil {
		return nil, err
	}

	if s.Password != "" {
		config.Password = s.Password.Reveal()
	}

	config.ConnectTimeout = options.ConnectTimeout
	config.DialFunc = watchSilence(noticeRefusal(config.DialFunc), options.SilenceLimit)
	if config.RuntimeParams["application_name"] == "" {
		host, _ := os.Hostname()
		config.RuntimeParams["application_name"] = fmt.Sprintf("guppy, process %d on %s", os.Getpid(), host)
	}

	// A pooler may refuse parameters of the session, and would not keep them.
	if options.Schema != "" && !options.TransactionPooler {
		config.RuntimeParams["search_path"] = quoteIdentifier(options.Schema)
	}

	// Poolers know this parameter. It decides on the texts of reads outside of transactions.
	config.RuntimeParams["client_encoding"] = "UTF8"
	chooseServer(s, config)
	if err := setExecMode(s, config); err != nil {
		return nil, err
	}

	if options.TransactionPooler && config.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		config.RuntimeParams["standard_conforming_strings"] = "on" // the driver relies on it to write values into statements
	}
	return config, nil
}

// parse hides the parser's message, which quotes parts of the URL.
func parse(s dialect.Settings) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(connectionString(s))
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		return nil, fmt.Errorf("%w: a file that the connection needs: %w", dialect.ErrSettings, file)
	case err != nil:
		return nil, errParameter
	}
	return config, nil
}

// connectionString adds other settings to the URL: the driver sets up TLS in no other way.
func connectionString(s dialect.Settings) string {
	options := optionsOf(s)
	text, more := s.URL.Reveal(), options.encryption()
	switch {
	case text == "":
		return joinKeywords(append(options.address(), more...))
	case len(more) == 0:
		return text
	case isKeywords(text):
		return text + " " + joinKeywords(more)
	}

	text = strings.TrimRight(text, "?&")
	separator := "?"
	if strings.Contains(text, "?") {
		separator = "&"
	}
	return text + separator + encodeParameters(more)
}

// encodeParameters writes a space as %20: PostgreSQL takes a "+" for itself.
func encodeParameters(list []keyword) string {
	pairs := make([]string, len(list))
	for i, k := range list {
		pairs[i] = k.name + "=" + strings.ReplaceAll(url.QueryEscape(k.value), "+", "%20")
	}
	return strings.Join(pairs, "&")
}

func joinKeywords(list []keyword) string {
	words := make([]string, len(list))
	for i, k := range list {
		words[i] = k.name + "=" + quoteValue(k.value)
	}
	return strings.Join(words, " ")
}

// chooseServer chooses the writable one among several servers, or a standby for somebody who only reads, unless the URL
// asks for another.
func chooseServer(s dialect.Settings, config *pgx.ConnConfig) {
	_, named := dialect.URLParameter(s.URL, "target_session_attrs")
	if named || config.ValidateConnect != nil || !severalServers(config) {
		return
	}
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if s.Reading {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPreferStandby
	}
}

// severalServers reports whether there are several servers. Attempts to reach one server with TLS and without count
// as one.
func severalServers(config *pgx.ConnConfig) bool {
	for _, other := range config.Fallbacks {
		if other.Host != config.Host || other.Port != config.Port {
			return true
		}
	}
	return false
}

func quoteIdentifier(name string) string { return pgx.Identifier{name}.Sanitize() }
