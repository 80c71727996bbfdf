package pgtest

import (
	"context"
	"testing"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// Mode is the way in which a server is stopped.
type Mode = cluster.Mode

// The ways to stop a server: cleanly, or as if it had crashed.
const (
	Fast      = cluster.Fast
	Immediate = cluster.Immediate
)

// Server is a private server for one test, which may stop and start it. Failures are reported as errors of the
// test, so its methods may be called from any goroutine.
type Server struct {
	tb      testing.TB
	cluster *cluster.Cluster
}

// Option configures a private server.
type Option func(*cluster.Options)

// WithPassword makes the server ask for a password (SCRAM), which its URLs then contain.
func WithPassword(password string) Option {
	return func(options *cluster.Options) { options.Password = password }
}

// WithTLS makes the server accept only encrypted connections over TCP, from clients whose certificate is for their
// user and signed by the authority.
func WithTLS(server Pair, clients *Authority) Option {
	return func(options *cluster.Options) {
		options.TLS = &cluster.TLS{
			Certificate: server.Certificate, Key: server.Key, ClientAuthority: clients.Certificate,
		}
	}
}

// Start starts a private server, always from installed programs. It is removed when the test ends.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	var configured cluster.Options
	for _, option := range options {
		option(&configured)
	}

	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	started, err := cluster.New(ctx, configured)
	if err != nil {
		fatal(tb, err)
	}

	tb.Cleanup(func() {
		if err := started.Close(); err != nil {
			tb.Errorf("remove the test's server: %v", err)
		}
	})
	return &Server{tb: tb, cluster: started}
}

// URL returns the URL of the server's one database, empty at first. It stays the same when the server is stopped
// and started.
func (s *Server) URL() string { return s.cluster.URL() }

// SocketURL returns the URL of the same database over a Unix socket.
func (s *Server) SocketURL() string { return s.cluster.SocketURL() }

// Stop stops the server and returns once it is gone.
func (s *Server) Stop(mode Mode) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	if err := s.cluster.Stop(ctx, mode); err != nil {
		s.tb.Errorf("stop the test's server: %v", err)
	}
}

// Start starts a stopped server, on the same port and data, and returns once it accepts connections.
func (s *Server) Start() {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.cluster.Start(ctx); err != nil {
		s.tb.Errorf("start the test's server: %v", err)
	}
}

// Restart breaks every connection: it stops the server cleanly and starts it again.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop(Fast)
	s.Start()
}
