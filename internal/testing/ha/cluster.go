package ha

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/internal/testing/pgtest/cluster"
)

// Replication says what a commit waits for.
type Replication string

const (
	// Synchronous commits wait for a standby, which alone may become the leader.
	Synchronous Replication = "synchronous"
	// Asynchronous commits wait for nobody. A failover may lose the last ones.
	Asynchronous Replication = "asynchronous"
)

// nodes is how many servers a cluster has.
const nodes = 3

// startLimit limits how long a cluster takes to start, and to be whole again after a fault.
const startLimit = time.Minute

// Cluster is a PostgreSQL cluster that fails over. Its methods are for one goroutine.
type Cluster struct {
	tb          testing.TB
	host        *host
	replication Replication
	programs    string
	patroni     string
	port        int
	nodes       []*node
	client      *http.Client
}

// Start starts a cluster for a test and returns once its leader has two standbys. The cluster ends when the test
// does. A program that is not installed fails the test.
func Start(tb testing.TB, replication Replication) *Cluster {
	tb.Helper()
	began := time.Now()
	c := &Cluster{tb: tb, replication: replication, client: &http.Client{Timeout: time.Second}}
	if err := c.start(); err != nil {
		tb.Fatal(err)
	}
	c.AwaitWhole()
	tb.Logf("a cluster with %s replication started in %v", replication, time.Since(began).Round(time.Millisecond))
	return c
}

func (c *Cluster) start() (err error) {
	etcd, etcdErr := find("etcd")
	haproxy, haproxyErr := find("haproxy")
	if c.patroni, err = find("patroni"); errors.Join(err, etcdErr, haproxyErr) != nil {
		return errors.Join(err, etcdErr, haproxyErr)
	}
	if c.programs, err = cluster.ProgramDir(); err != nil {
		return err
	}

	if c.host, err = newHost(); err != nil {
		return err
	}
	c.tb.Cleanup(func() {
		if err := c.host.close(); err != nil {
			c.tb.Errorf("end the cluster: %v", err)
		}
		c.client.CloseIdleConnections()
	})

	etcdPort, err := c.startEtcd(etcd)
	if err != nil {
		return err
	}
	for i := range nodes {
		if err := c.startNode(fmt.Sprintf("%s%d", nodePrefix, i+1), etcdPort); err != nil {
			return err
		}
	}
	return c.startProxy(haproxy)
}

// find returns the path of a program.
func find(name string) (string, error) {
	for _, place := range []string{name, "/usr/sbin/" + name, "/usr/bin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %s: apt-get install patroni etcd-server haproxy pgbouncer", name)
}

func (c *Cluster) startEtcd(program string) (port int, err error) {
	port, portErr := cluster.FreePort()
	peers, err := cluster.FreePort()
	if err := errors.Join(portErr, err); err != nil {
		return 0, err
	}

	own, peer := "http://"+address(port), "http://"+address(peers)
	err = errors.Join(c.host.write(nil, "etcd", "log"),
		c.host.start("etcd", program, "--name", "etcd", "--data-dir", c.host.path("etcd", "data"),
			"--listen-client-urls", own, "--advertise-client-urls", own, "--listen-peer-urls", peer,
			"--initial-advertise-peer-urls", peer, "--initial-cluster", "etcd="+peer))
	if err != nil {
		return 0, err
	}
	return port, c.awaitEtcd(port)
}

// awaitEtcd returns once etcd knows its version. Patroni ends if it asks before.
func (c *Cluster) awaitEtcd(port int) error {
	ctx, cancel := context.WithTimeout(c.tb.Context(), startLimit)
	defer cancel()
	for {
		answer, err := c.ask(ctx, http.MethodGet, &node{api: port}, "/version", nil)
		if err == nil && !bytes.Contains(answer, []byte("not_decided")) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("etcd isn't ready: %w; its log ends with:\n%s", ctx.Err(), c.host.log("etcd"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *Cluster) startNode(name string, etcdPort int) (err error) {
	n := &node{name: name}
	port, portErr := cluster.FreePort()
	api, apiErr := cluster.FreePort()
	n.port, n.api = port, api
	if err := errors.Join(portErr, apiErr); err != nil {
		return err
	}

	wal, walErr := newRelay(address(port))
	etcd, etcdErr := newRelay(address(etcdPort))
	if err := errors.Join(walErr, etcdErr); err != nil {
		return err
	}
	n.wal, n.etcd = wal, etcd
	c.tb.Cleanup(func() { wal.close(); etcd.close() })

	configuration, err := n.configuration(c.host, c.programs, c.replication)
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, n)
	if err := c.host.write(configuration, name, "patroni.yml"); err != nil {
		return err
	}
	return c.startPatroni(n)
}

func (c *Cluster) startPatroni(n *node) error {
	return c.host.start(n.name, c.patroni, c.host.path(n.name, "patroni.yml"))
}

// startProxy starts HAProxy, which asks each Patroni whether its server is the leader, and ends the sessions of a
// server that has ceased to be.
func (c *Cluster) startProxy(program string) (err error) {
	if c.port, err = cluster.FreePort(); err != nil {
		return err
	}

	var text strings.Builder
	fmt.Fprintf(&text, `global
	maxconn 500
defaults
	mode tcp
	timeout connect 2s
	timeout client 1h
	timeout server 1h
	timeout check 1s
listen postgres
	bind %s
	option httpchk OPTIONS /primary
	http-check expect status 200
	default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
`, address(c.port))
	for _, n := range c.nodes {
		fmt.Fprintf(&text, "\tserver %s %s check port %d\n", n.name, address(n.port), n.api)
	}

	if err := c.host.write([]byte(text.String()), "haproxy", "haproxy.cfg"); err != nil {
		return err
	}
	return c.host.start("haproxy", program, "-db", "-f", c.host.path("haproxy", "haproxy.cfg"))
}

// URL returns the URL of the leader, whichever it is, through HAProxy.
func (c *Cluster) URL() string {
	return (&url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: address(c.port), Path: "/postgres",
		RawQuery: url.Values{"sslmode": {"disable"}}.Encode(),
	}).String()
}

// ask sends a request to a node's Patroni.
func (c *Cluster) ask(ctx context.Context, method string, n *node, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address(n.api)+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()

	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest && method != http.MethodGet {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return answer, err
}

func (c *Cluster) view(ctx context.Context, n *node) (v view, err error) {
	answer, err := c.ask(ctx, http.MethodGet, n, "/patroni", nil)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(answer, &v)
}

// leader returns the server that takes writes, or nil.
func (c *Cluster) leader(ctx context.Context) (leader *node, seen view) {
	for _, n := range c.nodes {
		if v, err := c.view(ctx, n); err == nil && v.isLeader() {
			return n, v
		}
	}
	return nil, seen
}

// AwaitWhole returns once there is a leader that all other servers follow. It fails the test if that takes too long.
func (c *Cluster) AwaitWhole() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), startLimit)
	defer cancel()
	for {
		leader, seen := c.leader(ctx)
		if leader != nil && seen.followers() == nodes-1 && c.isReady(ctx, leader) {
			return
		}

		select {
		case <-ctx.Done():
			c.fatalf("the cluster is not whole after %v", startLimit)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// isReady reports whether HAProxy leads to the leader and whether etcd knows, in a synchronous cluster, which standby
// may become the leader. Without that Patroni has none take over, whatever happens to the leader.
func (c *Cluster) isReady(ctx context.Context, leader *node) bool {
	answer, err := c.ask(ctx, http.MethodGet, leader, "/cluster", nil)
	if err != nil || bytes.Contains(answer, []byte(`"sync_standby"`)) != (c.replication == Synchronous) {
		return false
	}

	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }() // it has seen what it came for
	var standby bool
	err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby)
	return err == nil && !standby
}

// fatalf ends the test with the ends of all logs.
func (c *Cluster) fatalf(format string, args ...any) {
	c.tb.Helper()
	for _, name := range []string{"etcd", "haproxy", c.nodes[0].name, c.nodes[1].name, c.nodes[2].name} {
		c.tb.Logf("the log of %s ends with:\n%s", name, c.host.log(name))
	}
	c.tb.Fatalf(format, args...)
}

// Timeline returns the timeline of the leader: each promotion begins another one.
func (c *Cluster) Timeline() int {
	_, seen := c.leader(c.tb.Context())
	return seen.Timeline
}
