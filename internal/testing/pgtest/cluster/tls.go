package cluster

import (
	"errors"
	"fmt"
)

// TLS makes a server accept only encrypted connections over TCP, from clients with a certificate for their user.
// All of it is in PEM form.
type TLS struct{ Certificate, Key, ClientAuthority []byte }

const hostRules = `local all all trust
hostssl all all 127.0.0.1/32 trust clientcert=verify-full
`

// configureTLS sets up a new data directory for a server with TLS.
func (c *Cluster) configureTLS() error {
	if c.options.TLS == nil {
		return nil
	}
	var err error
	for name, content := range map[string][]byte{
		"server.crt": c.options.TLS.Certificate, "server.key": c.options.TLS.Key,
		"root.crt": c.options.TLS.ClientAuthority, "pg_hba.conf": []byte(hostRules),
	} {
		err = errors.Join(err, c.write(name, content))
	}
	if err != nil {
		return fmt.Errorf("configure TLS: %w", err)
	}
	return nil
}

func (c *Cluster) tlsArgs() []string {
	if c.options.TLS == nil {
		return nil
	}
	return []string{"-c", "ssl=on", "-c", "ssl_ca_file=root.crt"}
}
