package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/guppy-prep/guppy/internal/store/s3test"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

type scriptCommand = func(ts *testscript.TestScript, neg bool, args []string)

func scriptCommands() map[string]scriptCommand {
	return map[string]scriptCommand{
		"exits":     scriptExits,
		"until":     scriptUntil,
		"follow":    plain(2, scriptFollow),
		"postgres":  scriptPostgres,
		"s3":        scriptS3,
		"sql":       scriptSQL,
		"sample":    plain(1, func(ts *testscript.TestScript, args []string) error { return writeSample(ts.MkAbs(args[0])) }),
		"write":     plain(2, scriptWrite),
		"sparse":    plain(2, scriptSparse),
		"special":   plain(2, scriptSpecial),
		"mode":      plain(2, scriptMode),
		"count":     plain(2, scriptCount),
		"key":       plain(2, scriptKey),
		"normalise": plain(1, scriptNormalise),
		"json":      scriptJSON,
		"save":      plain(2, scriptSave),
		"jsonlines": plain(1, scriptJSONLines),
		"sound":     scriptSound,
	}
}

// plain returns a script command that takes n arguments and no "!".
func plain(n int, run func(ts *testscript.TestScript, args []string) error) scriptCommand {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != n {
			ts.Fatalf("want %d arguments and no !", n)
		}
		ts.Check(run(ts, args))
	}
}

// scriptSound requires that the repository and its store are sound, in every byte: sound [FLAG...]
func scriptSound(ts *testscript.TestScript, neg bool, args []string) {
	scriptExits(ts, neg, append([]string{"0", "guppy", "check", "--read-data"}, args...))
}

// scriptExits runs a program that must end with the given exit code: exits CODE PROGRAM ARGUMENT...
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program argument...")
	}

	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}

	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	for _, output := range []string{"stdout", "stderr"} {
		if err := markless(ts.ReadFile(output)); err != nil {
			ts.Fatalf("%s: %v", output, err)
		}
	}
}

// markless returns an error if a text that was printed has the mark of a command, which only placedResult takes away.
func markless(text string) error {
	if _, command, marked := strings.Cut(text, toRun); marked {
		return fmt.Errorf("a command has its mark: %s%.60q", program, command)
	}
	return nil
}

// scriptUntil runs a program repeatedly until it succeeds and prints text that matches: until PATTERN PROGRAM
// ARGUMENT...
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern program argument...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%q did not come", args[0])
}

// scriptFollow runs, in a shell that knows $'...', the command that the last program has printed: the group of a
// pattern. The command must end with the given exit code: follow CODE PATTERN
func scriptFollow(ts *testscript.TestScript, args []string) error {
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	if len(found) != 2 {
		return fmt.Errorf("no command %q", args[1])
	}
	ts.Logf("> %s", found[1])
	scriptExits(ts, false, []string{args[0], "bash", "-c", found[1]})
	return nil
}

// scriptPostgres sets PGURL to an empty database: postgres [PASSWORD]
//
// With a password, the database is on a server that asks for the password. PGURL_BARE is then the same URL
// without it.
func scriptPostgres(ts *testscript.TestScript, _ bool, args []string) {
	tb, ok := ts.Value(testingKey{}).(testing.TB)
	if !ok {
		ts.Fatalf("no test to clean up after")
	}

	if len(args) == 1 {
		protected, err := url.Parse(pgtest.Start(tb, pgtest.WithPassword(args[0])).URL())
		ts.Check(err)
		ts.Setenv("PGURL", protected.String())
		protected.User = url.User(protected.User.Username())
		ts.Setenv("PGURL_BARE", protected.String())
		return
	}

	ts.Setenv("PGURL", pgtest.URL(tb))
}

// scriptS3 starts an S3 server, sets the keys of the environment, and sets S3 to the URL of its bucket and S3_ENDPOINT
// to that of the server. Then it makes the server drop all connections, or serve them again: s3 [away|back]
func scriptS3(ts *testscript.TestScript, neg bool, args []string) {
	server, started := ts.Value(serverKey{}).(*s3Server)
	if !started || neg {
		ts.Fatalf("usage: s3 [away|back]")
	}

	switch {
	case len(args) == 0 && server.Server == nil:
		tb, ok := ts.Value(testingKey{}).(testing.TB)
		if !ok {
			ts.Fatalf("no test to clean up after")
		}
		server.Server = s3test.StartAlone(tb)
		for key, value := range s3test.Environ() {
			ts.Setenv(key, value)
		}
		ts.Setenv("S3", server.Bucket)
		ts.Setenv("S3_ENDPOINT", server.Endpoint)
		ts.Setenv("S3_OBJECTS", server.Objects)
	case len(args) == 1 && args[0] == "away":
		server.Disturb(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	case len(args) == 1 && args[0] == "back":
		server.Disturb(nil)
	default:
		ts.Fatalf("usage: s3 [away|back]")
	}
}

// serverKey is the key of a script's own s3Server.
type serverKey struct{}

// s3Server is the S3 server of a script, if it has started one.
type s3Server struct{ *s3test.Server }

// testingKey is the key of a script's own testing.TB.
type testingKey struct{}

// scriptSQL runs a statement: sql URL|FILE STATEMENT
func scriptSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql database statement")
	}

	driver, database := "sqlite", args[0]
	if strings.Contains(database, "://") {
		driver = "pgx"
	} else {
		database = ts.MkAbs(database)
	}

	db, err := sql.Open(driver, database)
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// scriptWrite writes a text without a newline at its end. Both arguments may have Go's escapes: write PATH TEXT
func scriptWrite(ts *testscript.TestScript, args []string) error {
	path, err := unescape(args[0])
	if err != nil {
		return err
	}

	text, err := unescape(args[1])
	if err != nil {
		return err
	}

	path = ts.MkAbs(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func unescape(s string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

// scriptSparse makes a file of zeros, which takes long to read but no space: sparse PATH MEBIBYTES
func scriptSparse(ts *testscript.TestScript, args []string) error {
	mebibytes, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	return writeSparse(ts.MkAbs(args[0]), mebibytes<<20)
}

// scriptSpecial makes an entry that is neither file, directory nor symlink: special fifo|socket PATH
func scriptSpecial(ts *testscript.TestScript, args []string) error {
	kinds := map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK}
	return unix.Mknod(ts.MkAbs(args[1]), kinds[args[0]]|0o644, 0)
}

// scriptMode compares the permissions of the files found: mode 0700 GLOB
func scriptMode(ts *testscript.TestScript, args []string) error {
	found, err := filepath.Glob(ts.MkAbs(args[1]))
	if err == nil && len(found) == 0 {
		err = errors.New("nothing found")
	}

	for _, path := range found {
		info, statErr := os.Lstat(path)
		if statErr != nil {
			return statErr
		}

		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			err = errors.Join(err, fmt.Errorf("%s has mode %s, want %s", path, got, args[0]))
		}
	}
	return err
}

// scriptCount counts files: count N GLOB
func scriptCount(ts *testscript.TestScript, args []string) error {
	found, err := filepath.Glob(ts.MkAbs(args[1]))
	if err != nil {
		return err
	}
	if strconv.Itoa(len(found)) != args[0] {
		return fmt.Errorf("want %s, found %d: %s", args[0], len(found), found)
	}
	return nil
}

func scriptNormalise(ts *testscript.TestScript, args []string) error {
	return os.WriteFile(ts.MkAbs(args[0]), []byte(normalise(ts.ReadFile(args[0]))), 0o644)
}
