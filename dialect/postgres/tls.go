package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/guppy-prep/guppy/dialect"
)

// systemCertificates stands for the system's own list of authorities in place of a file.
const systemCertificates = "system"

// checkCertificates describes unusable files better than the driver does.
func checkCertificates(o Options) error {
	if (o.SSLCert == "") != (o.SSLKey == "") {
		return dialect.SettingsError("repo.sslcert and repo.sslkey belong together: set both of them")
	}
	if o.SSLRootCert != "" && o.SSLRootCert != systemCertificates {
		authorities, err := readSetting("repo.sslrootcert", o.SSLRootCert)
		if err != nil {
			return err
		}

		if !x509.NewCertPool().AppendCertsFromPEM(authorities) {
			return dialect.SettingsError(fmt.Sprintf("repo.sslrootcert: %s holds no certificate in PEM form", o.SSLRootCert))
		}
	}
	if o.SSLCert == "" {
		return nil
	}
	return checkKeyPair(o)
}

func checkKeyPair(o Options) error {
	certificate, err := readSetting("repo.sslcert", o.SSLCert)
	if err != nil {
		return err
	}
	key, err := readSetting("repo.sslkey", o.SSLKey)
	if err != nil {
		return err
	}

	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return dialect.SettingsError("repo.sslcert and repo.sslkey are no certificate and its key, without a password, " +
			"in PEM form")
	}
	return nil
}

func readSetting(setting, path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", dialect.ErrSettings, setting, err)
	}
	return content, nil
}

var errNoTLS = errors.New("the server has no TLS")

// noticeRefusal makes a server's answer that it has no TLS a distinct error. The driver's own error differs only in
// its text.
func noticeRefusal(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &firstAnswer{Conn: conn}, nil
	}
}

// firstAnswer is a connection whose first answer is inspected: the answer to a request for TLS is one byte.
type firstAnswer struct {
	net.Conn
	seen bool
}

func (c *firstAnswer) Read(answer []byte) (int, error) {
	n, err := c.Conn.Read(answer)
	if !c.seen && n > 0 {
		c.seen = true
		if len(answer) == 1 && answer[0] == 'N' {
			return 0, errNoTLS
		}
	}
	return n, err
}
