package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
)

// withAdvice puts the cause of a failed connection first, and adds the command or setting that may fix it.
func withAdvice(err error, config *pgx.ConnConfig) error {
	failed := newAttempts(err)
	if failed == nil {
		return err
	}

	what, advice := adviceFor(failed, config)
	err = failed
	if what != "" {
		err = fmt.Errorf("%s: %w", what, failed)
	}
	if advice == "" {
		return err
	}
	return dialect.NewAdvised(err, advice)
}

func adviceFor(err *attempts, config *pgx.ConnConfig) (what, advice string) {
	shown := errors.Join(err.shown...)
	var refused *pgconn.PgError
	if errors.As(shown, &refused) {
		return adviceForRefusal(refused.Code, config)
	}

	var unknown x509.UnknownAuthorityError
	var otherName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.Is(shown, errNoTLS):
		return "", "to do without encryption, set repo.sslmode to disable"
	case errors.As(shown, &unknown):
		return "", "set repo.sslrootcert to the file of the authority that signed the server's certificate"
	case errors.As(shown, &otherName):
		return "", "the certificate has another name: set repo.host to that name, or repo.sslmode to verify-ca"
	case errors.As(shown, &invalid):
		return "", "the server's certificate is not valid; repo.sslmode says how it is checked"
	case errors.As(shown, &alert):
		return "", "the server refused TLS as it was offered: see repo.sslcert and repo.sslkey"
	}

	if what = failedAddress(shown); what != "" {
		advice = "start the server, or correct repo.host and repo.port, or repo.database_url"
	}
	return what, advice
}

// These are the SQLSTATEs of a server, or of a pooler before it, that does not let a client in.
const (
	invalidAuthorization = "28000"
	invalidPassword      = "28P01"
	invalidCatalogName   = "3D000"
	protocolViolation    = "08P01"
)

func adviceForRefusal(code string, config *pgx.ConnConfig) (what, advice string) {
	_, path := config.RuntimeParams["search_path"]
	role, server := quoteIdentifier(config.User), fmt.Sprintf("-h %s -p %d", config.Host, config.Port)

	switch {
	case code == protocolViolation && path:
		return "", "if this is a pooler in transaction mode, set repo.pooler to transaction"
	case code == invalidPassword:
		return "the password of role " + role + " is wrong, or none was given", "name a file with the right one in " +
			"repo.password_file, or set GUPPY_REPO_PASSWORD"
	case code == invalidCatalogName:
		return "there is no database " + quoteIdentifier(config.Database),
			fmt.Sprintf("make it with: createdb %s -U %s %s; or name "+
				"another one in repo.dbname or repo.database_url", server, shellWord(config.User), shellWord(config.Database))
	case code == insufficientPrivilege:
		return "role " + role + " may not use the database",
			"GRANT CONNECT ON DATABASE " + quoteIdentifier(config.Database) + " TO " + role
	case code == tooManyConnections:
		return "the server has no connection left", "lower repo.max_open_conns, or raise max_connections on the server"
	case code != invalidAuthorization:
		return "", ""
	case config.TLSConfig == nil:
		advice = "if the server asks for encryption, set repo.sslmode to require or verify-full"
	case len(config.TLSConfig.Certificates) == 0:
		advice = "if the server asks for a client's certificate, set repo.sslcert and repo.sslkey"
	}
	return "the server does not let role " + role + " in", advice
}

// shellWord quotes a word for a shell if necessary.
func shellWord(word string) string {
	if strings.Trim(word, shellPlain) == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

const shellPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"
