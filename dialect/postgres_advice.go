package dialect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// withAdvice says which setting may mend a connection that failed.
func withAdvice(err error, config *pgx.ConnConfig) error {
	advice := adviceFor(err, config)
	if advice == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

func adviceFor(err error, config *pgx.ConnConfig) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return adviceForRefusal(refused.Code, config)
	}
	var unknown x509.UnknownAuthorityError
	var otherName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.Is(err, errNoTLS):
		return "to do without encryption, set repo.sslmode to disable"
	case errors.As(err, &unknown):
		return "set repo.sslrootcert to the file of the authority that signed the server's certificate"
	case errors.As(err, &otherName):
		return "the certificate has another name: set repo.host to that name, or repo.sslmode to verify-ca"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid; repo.sslmode says how it is checked"
	case errors.As(err, &alert):
		return "the server refused TLS as it was offered: see repo.sslcert and repo.sslkey"
	}
	return ""
}

// SQLSTATEs of a server, or a pooler before it, that does not let a client in.
const (
	invalidAuthorization = "28000"
	protocolViolation    = "08P01"
)

func adviceForRefusal(code string, config *pgx.ConnConfig) string {
	_, path := config.RuntimeParams["search_path"]
	switch {
	case code == protocolViolation && path:
		return "if this is a pooler in transaction mode, set repo.pooler to transaction"
	case code != invalidAuthorization:
		return ""
	case config.TLSConfig == nil:
		return "if the server asks for encryption, set repo.sslmode to require or verify-full"
	case len(config.TLSConfig.Certificates) == 0:
		return "if the server asks for a client's certificate, set repo.sslcert and repo.sslkey"
	}
	return ""
}
