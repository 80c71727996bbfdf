package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gofrs/flock"
)

// EnvTemplates names a directory in which clusters keep a copy of a new data directory. Further clusters copy it, in a
// tenth of the time that initdb takes. Without the variable, every cluster runs initdb.
const EnvTemplates = "GUPPY_TEST_POSTGRES_TEMPLATES"

// fromTemplate makes the data directory: a copy of the template, or with initialize, which makes the template, too.
// Processes that need the template at the same time wait for the first one.
func (c *Cluster) fromTemplate(ctx context.Context, dir string, initialize func() error) (err error) {
	template, err := c.template(dir)
	if err != nil {
		return fmt.Errorf("template of a cluster: %w", err)
	}

	lock := flock.New(template + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("template of a cluster: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()

	_, err = os.Stat(template)
	if err == nil {
		return copyTree(ctx, template, c.dataDir())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("template of a cluster: %w", err)
	}
	if err := initialize(); err != nil {
		return err
	}

	// A copy that is not whole has another name.
	unfinished := template + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("template of a cluster: %w", err)
	}
	if err := copyTree(ctx, c.dataDir(), unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, template)
}

// template returns the path of the template for the server's program and the user that runs it.
func (c *Cluster) template(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	program, err := filepath.EvalSymlinks(c.programs.path("postgres"))
	if err != nil {
		return "", err
	}
	info, err := os.Stat(program)
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Appendln(nil, program, info.ModTime().UnixNano(), os.Geteuid()))
	return filepath.Join(dir, fmt.Sprintf("%x", key[:8])), nil
}

// copyTree copies a directory with the owners of its files.
func copyTree(ctx context.Context, from, to string) error {
	if output, err := exec.CommandContext(ctx, "cp", "-Rp", from, to).CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("copy a cluster: %w:\n%s", err, output), ctx.Err())
	}
	return nil
}
