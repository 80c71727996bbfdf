package dialecttest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// Main runs the tests of a package, or acts as a process that StartUser or StartWriter has started.
func Main(m *testing.M) {
	if url := os.Getenv(envUse); url != "" {
		useUntilClosed(url, func(ctx context.Context, db *dialect.DB) error {
			_, err := db.LockUse(ctx)
			return err
		})
	}

	if url := os.Getenv(envWrite); url != "" {
		useUntilClosed(url, func(ctx context.Context, db *dialect.DB) error {
			_, err := db.Begin(ctx)
			return err
		})
	}
	pgtest.Main(m)
}

// These variables turn a test binary into a program that uses the database of this URL, or writes to it, until its
// input ends.
const (
	envUse   = "GUPPY_TEST_DIALECT_USE"
	envWrite = "GUPPY_TEST_DIALECT_WRITE"
)

// useUntilClosed prints that it holds the lock, or why it doesn't, and waits for the end of its input.
func useUntilClosed(url string, use func(context.Context, *dialect.DB) error) {
	db, err := dialect.Open(context.Background(), dialect.Settings{URL: dialect.Secret(url)})
	if err == nil {
		err = use(context.Background(), db)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("in use")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// User is a process that uses a database.
type User struct {
	*exec.Cmd
	Input io.Closer
	Said  string
}

// StartUser starts a process that holds a lock of LockUse until its input ends.
func StartUser(t *testing.T, settings dialect.Settings) *User {
	t.Helper()
	return startUserAs(t, envUse, settings)
}

// StartWriter starts a process that has a transaction under way until its input ends.
func StartWriter(t *testing.T, settings dialect.Settings) *User {
	t.Helper()
	return startUserAs(t, envWrite, settings)
}

func startUserAs(t *testing.T, env string, settings dialect.Settings) *User {
	t.Helper()
	u := &User{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")}
	u.Env = append(os.Environ(), env+"="+settings.URL.Reveal())

	input, err := u.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}

	output, err := u.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Start(); err != nil {
		t.Fatal(err)
	}

	u.Input = input
	u.Said, _ = bufio.NewReader(output).ReadString('\n')
	t.Cleanup(func() {
		_ = u.Input.Close()
		_ = u.Wait()
	})
	return u
}

// Holder returns the name of the process in the error of a lock.
func (u *User) Holder() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("process %d on %s", u.Process.Pid, host)
}
