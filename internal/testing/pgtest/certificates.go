package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority signs certificates for one test.
type Authority struct {
	// Certificate is the authority's own, in PEM form.
	Certificate []byte

	tb     testing.TB
	signed *x509.Certificate
	key    *ecdsa.PrivateKey
}

// Pair is a certificate and its key, in PEM form.
type Pair struct{ Certificate, Key []byte }

// NewAuthority makes an authority that nobody trusts yet.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, key: newKey(tb)}
	a.signed = template("test authority")
	a.signed.IsCA, a.signed.BasicConstraintsValid, a.signed.KeyUsage = true, true, x509.KeyUsageCertSign
	a.Certificate = a.sign(a.signed, a.key)
	return a
}

// Server returns the certificate of a server that is reached by its name or address.
func (a *Authority) Server(name string) Pair {
	a.tb.Helper()
	certificate := template(name)
	certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if address := net.ParseIP(name); address != nil {
		certificate.IPAddresses = []net.IP{address}
	} else {
		certificate.DNSNames = []string{name}
	}
	return a.pair(certificate)
}

// Client returns the certificate of a client that connects as this user.
func (a *Authority) Client(user string) Pair {
	a.tb.Helper()
	certificate := template(user)
	certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.pair(certificate)
}

func (a *Authority) pair(certificate *x509.Certificate) Pair {
	a.tb.Helper()
	key := newKey(a.tb)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return Pair{a.sign(certificate, key), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})}
}

func (a *Authority) sign(certificate *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.tb.Helper()
	signed, err := x509.CreateCertificate(rand.Reader, certificate, a.signed, key.Public(), a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // It never fails.
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}
