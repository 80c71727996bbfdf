// Package cluster runs a private PostgreSQL server from installed programs. It makes a data directory, starts and
// stops the server on it, and never leaves the server behind, not even when its own process is killed.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

const (
	superuser  = "postgres"
	database   = "postgres"
	listenHost = "127.0.0.1"
)

// Options says how a cluster is made. The zero value is a throw-away cluster that trusts local connections.
type Options struct {
	// Dir keeps the cluster: an existing one is started again, and Close leaves it. Without Dir the cluster lies in
	// a temporary directory that Close removes.
	Dir string
	// Password is what a new cluster asks for, by SCRAM, on every connection. Without it connections are trusted.
	Password string
	// Durable leaves fsync and full page writes on, as on a server with real data.
	Durable bool
	// Primary is the cluster that a new cluster follows as a hot standby. It is restarted to be copied.
	Primary *Cluster
	// Settings are further lines of the configuration of a new cluster.
	Settings string
	// TLS is what a new cluster asks for. Without it the server has none.
	TLS *TLS
}

// Cluster is a data directory and the server that runs on it. It is safe for concurrent use.
type Cluster struct {
	programs   programs
	credential *syscall.Credential
	options    Options
	dir        string
	socketDir  string
	port       int
	watchdog   *watchdog

	mu     sync.Mutex
	server *process
}

// New makes a cluster, or takes over the one in Options.Dir, and starts its server. The caller must Close it. New
// returns ErrNoPrograms if PostgreSQL isn't installed.
func New(ctx context.Context, options Options) (*Cluster, error) {
	found, err := choosePrograms()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}

	c := &Cluster{programs: found, credential: credential, options: options}
	if err := c.setUp(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) setUp(ctx context.Context) error {
	var err error
	if c.dir, err = c.makeDir(); err != nil {
		return err
	}

	// The path of a socket has at most about 100 bytes, which TMPDIR may exceed.
	if c.socketDir, err = c.makeTempDir("/tmp"); err != nil {
		return err
	}

	if c.watchdog, err = c.startWatchdog(); err != nil {
		return err
	}

	if err := c.initialize(ctx); err != nil {
		return err
	}

	if c.port, err = freePort(); err != nil {
		return err
	}
	return c.Start(ctx)
}

// Start starts the server, on the same port and data as before, and returns once it answers. It does nothing if the
// server is running.
func (c *Cluster) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.running() {
		return nil
	}
	server, err := c.startProcess()
	if err != nil {
		return err
	}
	c.server = server
	return c.wait(ctx, server, ping)
}

// Stop stops the server and returns once it is gone. It does nothing if the server isn't running.
func (c *Cluster) Stop(ctx context.Context, mode Mode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.server.running() {
		return nil
	}
	return c.server.stop(ctx, mode)
}

// Close stops the server for good and removes temporary files. It may be called again, but not concurrently.
func (c *Cluster) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := errors.Join(c.Stop(ctx, Fast), c.watchdog.dismiss())
	for _, dir := range c.temporaryDirs() {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// URL returns a URL that connects over TCP. It stays the same when the server is stopped and started.
func (c *Cluster) URL() string {
	u := c.baseURL()
	u.Host = net.JoinHostPort(listenHost, strconv.Itoa(c.port))
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}

// SocketURL returns a URL that connects over the server's Unix socket.
func (c *Cluster) SocketURL() string {
	u := c.baseURL()
	u.RawQuery = url.Values{"host": {c.socketDir}, "port": {strconv.Itoa(c.port)}}.Encode()
	return u.String()
}

func (c *Cluster) baseURL() *url.URL {
	u := &url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database}
	if c.options.Password != "" {
		u.User = url.UserPassword(superuser, c.options.Password)
	}
	return u
}

func (c *Cluster) dataDir() string { return filepath.Join(c.dir, "data") }
func (c *Cluster) logFile() string { return filepath.Join(c.dir, "server.log") }

func (c *Cluster) temporaryDirs() []string {
	var dirs []string
	if c.socketDir != "" {
		dirs = append(dirs, c.socketDir)
	}
	if c.options.Dir == "" && c.dir != "" {
		dirs = append(dirs, c.dir)
	}
	return dirs
}

func (c *Cluster) makeDir() (string, error) {
	if c.options.Dir == "" {
		return c.makeTempDir("")
	}
	dir, err := filepath.Abs(c.options.Dir)
	if err != nil {
		return "", fmt.Errorf("cluster directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cluster directory: %w", err)
	}
	return dir, c.own(dir)
}

func (c *Cluster) makeTempDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "guppy-pg-")
	if err != nil {
		return "", fmt.Errorf("temporary cluster directory: %w", err)
	}
	return dir, c.own(dir)
}

// own gives a file to the account that the server runs as.
func (c *Cluster) own(path string) error {
	if c.credential == nil {
		return nil
	}
	if err := os.Chown(path, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
		return fmt.Errorf("hand %s to the server's account: %w", path, err)
	}
	return nil
}
