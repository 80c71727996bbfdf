package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoBouncer means that PgBouncer isn't installed.
var ErrNoBouncer = errors.New("no program pgbouncer in PATH or /usr/sbin")

// Bouncer is a PgBouncer in front of a server. It accepts every client that names the server's user.
type Bouncer struct {
	server  *url.URL
	pooling Pooling
	dir     string
	port    int
	command *exec.Cmd
	leash   io.Closer
}

// bouncerScript takes the program, its configuration, and the directory to remove. It ends when its standard input
// does, which also happens when this process is gone.
const bouncerScript = `
"$1" "$2" &
cat >/dev/null
kill -KILL $!
rm -rf -- "$3"
`

// Pooling says what PgBouncer gives its clients.
type Pooling struct {
	// Mode is "transaction" or "session".
	Mode string
	// Size is the number of connections to the server for each database.
	Size int
}

// Transactions gives fewer connections to the server than there are clients, so that they share.
var Transactions = Pooling{"transaction", 3}

// NewBouncer starts PgBouncer in front of the server that an administrator's URL names, for all of its databases.
// The caller must Close it. NewBouncer returns ErrNoBouncer if PgBouncer isn't installed.
func NewBouncer(ctx context.Context, server *url.URL, pooling Pooling) (*Bouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		return nil, ErrNoBouncer
	}

	account, err := unprivileged()
	if err != nil {
		return nil, err
	}

	b := &Bouncer{server: server, pooling: pooling}
	if err := b.start(ctx, program, account); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bouncer) start(ctx context.Context, program string, account *syscall.Credential) (err error) {
	if b.port, err = freePort(); err != nil {
		return err
	}
	if err := b.configure(account); err != nil {
		return err
	}

	b.command = exec.Command("/bin/sh", "-c", bouncerScript, "bouncer", program, b.path("pgbouncer.ini"), b.dir)
	b.command.Dir = "/"
	b.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: account}
	if b.leash, err = b.command.StdinPipe(); err != nil {
		return fmt.Errorf("start PgBouncer: %w", err)
	}

	if err := b.command.Start(); err != nil {
		return fmt.Errorf("start PgBouncer: %w", err)
	}
	return b.waitReady(ctx)
}

// configure writes the files that PgBouncer reads. Nobody else can read them.
func (b *Bouncer) configure(account *syscall.Credential) (err error) {
	owner := &Cluster{credential: account}
	if b.dir, err = owner.makeTempDir(""); err != nil {
		return err
	}
	for name, content := range map[string]string{"pgbouncer.ini": b.configuration(), "users.txt": b.users()} {
		if err := os.WriteFile(b.path(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("configure PgBouncer: %w", err)
		}
		if err := owner.own(b.path(name)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bouncer) configuration() string {
	port := b.server.Port()
	if port == "" {
		port = "5432"
	}
	return fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = %s
default_pool_size = %d
max_client_conn = 500
server_login_retry = 1
logfile = %s
`, b.server.Hostname(), port, listenHost, b.port, b.path("users.txt"), b.pooling.Mode, b.pooling.Size, b.path("log"))
}

func (b *Bouncer) users() string {
	password, _ := b.server.User.Password()
	return quoteUser(b.server.User.Username()) + " " + quoteUser(password) + "\n"
}

func quoteUser(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

func (b *Bouncer) path(name string) string { return filepath.Join(b.dir, name) }

// URL returns the URL of a database on the server, through the pooler.
func (b *Bouncer) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(b.server.User.Username()), Path: "/" + database,
		Host:     net.JoinHostPort(listenHost, strconv.Itoa(b.port)),
		RawQuery: url.Values{"sslmode": {"disable"}, "default_query_exec_mode": {"exec"}}.Encode(),
	}
	return u.String()
}

func (b *Bouncer) waitReady(ctx context.Context) error {
	for {
		refusal := ping(ctx, b.URL(strings.TrimPrefix(b.server.Path, "/")))
		if refusal == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PgBouncer isn't ready: %w (last refusal: %w); its log ends with:\n%s",
				ctx.Err(), refusal, tail(b.path("log")))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends PgBouncer and removes its files.
func (b *Bouncer) Close() error {
	if b.leash == nil {
		return os.RemoveAll(b.dir)
	}
	err := b.leash.Close()
	if b.command.Process != nil {
		err = errors.Join(err, b.command.Wait())
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}
