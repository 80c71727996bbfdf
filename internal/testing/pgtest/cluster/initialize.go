package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// initialize makes the data directory unless it exists.
func (c *Cluster) initialize(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(c.dataDir(), "PG_VERSION"))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster directory: %w", err)
	}

	if c.options.Primary != nil {
		return c.copyPrimary(ctx, c.options.Primary)
	}
	if err := c.makeData(ctx); err != nil {
		return err
	}
	return errors.Join(c.configure(c.options.Settings), c.configureTLS())
}

// makeData makes the data directory of a server that follows no other.
func (c *Cluster) makeData(ctx context.Context) error {
	if dir := os.Getenv(EnvTemplates); dir != "" && c.options.Password == "" {
		return c.fromTemplate(ctx, dir, func() error { return c.initdb(ctx) })
	}
	return c.initdb(ctx)
}

func (c *Cluster) initdb(ctx context.Context) error {
	authArgs, err := c.authArgs()
	if err != nil {
		return err
	}

	// Only initdb reads the password file.
	defer func() { _ = os.Remove(c.passwordFile()) }()

	args := []string{"-D", c.dataDir(), "-U", superuser, "--encoding=UTF8", "--no-locale", "--no-sync"}
	return c.run(ctx, "initdb", append(args, authArgs...)...)
}

// copyPrimary makes the data directory of a standby, a copy of that of the server that it follows. The server is
// stopped meanwhile: pg_basebackup, which copies a running one, is not among the programs of every installation.
func (c *Cluster) copyPrimary(ctx context.Context, primary *Cluster) error {
	if err := primary.Stop(ctx, Fast); err != nil {
		return err
	}
	err := copyTree(ctx, primary.dataDir(), c.dataDir())
	if err := errors.Join(err, primary.Start(ctx)); err != nil {
		return err
	}

	following := fmt.Sprintf("primary_conninfo = '%s'\n", primary.URL())
	return errors.Join(c.write("postgresql.auto.conf", []byte(following)), c.write("standby.signal", nil))
}

// configure adds settings to the server's configuration.
func (c *Cluster) configure(settings string) error {
	file, err := os.OpenFile(filepath.Join(c.dataDir(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	_, err = file.WriteString(settings + "\n")
	return errors.Join(err, file.Close())
}

// write writes a file of the data directory.
func (c *Cluster) write(name string, content []byte) error {
	path := filepath.Join(c.dataDir(), name)
	return errors.Join(os.WriteFile(path, content, 0o600), c.own(path))
}

func (c *Cluster) authArgs() ([]string, error) {
	if c.options.Password == "" {
		return []string{"--auth=trust"}, nil
	}

	// Use a file: everybody can see a program's arguments.
	if err := os.WriteFile(c.passwordFile(), []byte(c.options.Password+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	return []string{"--auth=scram-sha-256", "--pwfile=" + c.passwordFile()}, c.own(c.passwordFile())
}

func (c *Cluster) passwordFile() string { return filepath.Join(c.dir, "password") }

// run runs a program to its end, or kills it if the context ends.
func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	if output, err := c.command(ctx, name, args...).CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w:\n%s", name, err, output), ctx.Err())
	}
	return nil
}

// unprivileged returns the account to run the server as, since PostgreSQL refuses to run as root. It returns nil,
// which means the account of this process, if this process does not run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if account, err := user.Lookup(name); err == nil {
			return credential(account)
		}
	}
	return nil, errors.New("PostgreSQL doesn't run as root, and there is no account postgres or nobody to run it as")
}

func credential(account *user.User) (*syscall.Credential, error) {
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("account %s: %w", account.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
