package dialect_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// These make the test binary a program that uses the database of this URL, or writes to it, until its input ends.
const (
	envUse   = "GUPPY_TEST_DIALECT_USE"
	envWrite = "GUPPY_TEST_DIALECT_WRITE"
)

// useUntilClosed says that it holds the lock, or why it doesn't.
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

// user is a process that uses a database.
type user struct {
	*exec.Cmd
	input io.Closer
	said  string
}

func startUser(t *testing.T, settings dialect.Settings) *user {
	t.Helper()
	return startUserAs(t, envUse, settings)
}

func startUserAs(t *testing.T, env string, settings dialect.Settings) *user {
	t.Helper()
	u := &user{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")}
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
	u.input = input
	u.said, _ = bufio.NewReader(output).ReadString('\n')
	t.Cleanup(func() {
		_ = u.input.Close()
		_ = u.Wait()
	})
	return u
}

// holder is how a lock's error names the process.
func (u *user) holder() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("process %d on %s", u.Process.Pid, host)
}

func TestProcessesShareTheUse(t *testing.T) {
	each(t, func(t *testing.T, settings dialect.Settings) {
		db := open(t, settings)
		mine := mustUse(t, db)
		second, first := startUser(t, settings), startUser(t, settings) // the last one to come goes first
		for _, u := range []*user{first, second} {
			if u.said != "in use\n" {
				t.Fatalf("another process says %q", u.said)
			}
		}
		release(t, mine)
		_, err := db.LockAll(t.Context(), db)
		if !errors.Is(err, dialect.ErrLocked) || !namesEither(err, first, second) {
			t.Errorf("all beside two that use it: %v", err)
		}
		if err := errors.Join(first.input.Close(), first.Wait()); err != nil {
			t.Error(err)
		}
		_, err = db.LockAll(t.Context(), db)
		if !errors.Is(err, dialect.ErrLocked) || !namesEither(err, second) || namesEither(err, first) {
			t.Errorf("all beside one that uses it: %v", err)
		}
		if err := second.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		all := mustLockSoon(t, db)
		if third := startUser(t, settings); !strings.Contains(third.said, dialect.ErrLocked.Error()) {
			t.Errorf("another process says %q beside all", third.said)
		}
		release(t, all)
	})
}

func namesEither(err error, users ...*user) bool {
	for _, u := range users {
		if strings.Contains(err.Error(), u.holder()) {
			return true
		}
	}
	return false
}

// mustLockSoon waits for the lock of a process that was killed.
func mustLockSoon(t *testing.T, db *dialect.DB) dialect.Lock {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		all, err := db.LockAll(t.Context(), db)
		if err == nil {
			return all
		}
		if !errors.Is(err, dialect.ErrLocked) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestUseOutlivesItsConnection ends the session that holds the lock: LockAll is kept away again after a moment.
func TestUseOutlivesItsConnection(t *testing.T) {
	db := openPostgres(t)
	use, other := mustUse(t, db), mustUse(t, db)
	release(t, other)
	before := lockSessions(t, db)
	execute(t, db, fmt.Sprintf("SELECT pg_terminate_backend(%d)", before[0]))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if now := lockSessions(t, db); len(now) == 1 && now[0] != before[0] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the lock was not taken again")
		}
	}
	requireLocked(t, db)
	release(t, use)
	release(t, mustLock(t, db))
	if used := db.Writer.Stats().InUse; used != 0 {
		t.Errorf("%d connections are still in use", used)
	}
}
