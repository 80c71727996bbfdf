package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// attempts is the error of a failed connection. The driver joins the errors of all attempts, with TLS and without,
// for each address. The text has only the errors that say the most.
type attempts struct {
	all   error
	shown []error
}

func (a *attempts) Error() string {
	texts := make([]string, len(a.shown))
	for i, err := range a.shown {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (a *attempts) Unwrap() []error { return append(slices.Clone(a.shown), a.all) }

// newAttempts returns nil unless err comes from connecting.
func newAttempts(err error) *attempts {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return nil
	}

	best, a := -1, &attempts{all: err}
	said := map[string]bool{}
	for _, one := range leaves(connect.Unwrap()) {
		rank, text := telling(one), one.Error()
		if rank > best {
			best, a.shown = rank, nil
			clear(said)
		}

		if rank == best && !said[text] {
			a.shown, said[text] = append(a.shown, one), true
		}
	}

	if len(a.shown) == 0 {
		return nil
	}
	return a
}

// leaves returns the errors that were joined somewhere below an error.
func leaves(err error) []error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		joined, ok := inner.(interface{ Unwrap() []error }) //nolint:errorlint // it is this very error that is taken apart
		if !ok {
			continue
		}
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, leaves(one)...)
		}
		return all
	}
	return []error{err}
}

// telling ranks an error by how far its attempt came.
func telling(err error) int {
	var server *pgconn.PgError
	var unknown x509.UnknownAuthorityError
	var otherName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError

	switch {
	case errors.As(err, &server) && server.Code != invalidAuthorization:
		return 5
	case server != nil:
		return 4
	case errors.As(err, &unknown), errors.As(err, &otherName), errors.As(err, &invalid), errors.As(err, &alert):
		return 3
	case errors.Is(err, errNoTLS):
		return 2
	}
	return 1
}

// failedAddress describes how a connection failed before a server answered.
func failedAddress(err error) (what string) {
	var lookup *net.DNSError
	switch {
	case errors.As(err, &lookup):
		return "there is no host " + lookup.Name
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "no server listens there"
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return "no answer came in time"
	}
	return ""
}
