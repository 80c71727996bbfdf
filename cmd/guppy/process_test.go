package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/pgtest"
)

// engine creates an empty database and returns its URL.
type engine struct {
	name  string
	fresh func(testing.TB) string
}

func engines() []engine {
	return []engine{
		{"sqlite", func(testing.TB) string { return "" }}, // the one in the home directory
		{"postgres", pgtest.URL},
	}
}

// eachLong returns all engines with the build tag long, and the embedded one without, see enginetest.EachLong.
func eachLong() []engine {
	if long {
		return engines()
	}
	return engines()[:1]
}

// built is the program as users have it: fast, and gone for good when it is killed. All tests share it, because
// linking it takes longer than most of them.
var built = sync.OnceValues(func() (program string, err error) {
	program = filepath.Join(programs, "guppy")
	if output, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return program, nil
})

func build(t *testing.T) (program string) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// installation is the program with a home and a database of its own.
type installation struct {
	program, home, url string
	// env is added to the environment.
	env []string
}

func install(t *testing.T, program string, e engine) *installation {
	return &installation{program: program, home: t.TempDir(), url: e.fresh(t)}
}

func (i *installation) store() string { return filepath.Join(i.home, ".guppy", "shards") }

func (i *installation) command(args ...string) *exec.Cmd {
	command := exec.Command(i.program, args...)
	command.Env = []string{
		quickExit,
		"HOME=" + i.home, "PATH=" + filepath.Dir(i.program) + ":" + os.Getenv("PATH"), "GUPPY_DATABASE_URL=" + i.url,
		"GUPPY_WORKER_LEASE=1s", // the work of killed processes is soon free
	}
	command.Env = append(command.Env, i.env...)
	return command
}

// process is a running command.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan struct{}
	err            error
}

// start starts the program. The program is killed when the test ends.
func (i *installation) start(t *testing.T, args ...string) *process {
	t.Helper()
	return i.startUnder(t, nil, args...)
}

// startUnder is like start but runs the program under another one, such as nohup, with the other program's own
// arguments.
func (i *installation) startUnder(t *testing.T, under []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: i.command(args...), ended: make(chan struct{})}

	if len(under) > 0 {
		other := exec.Command(under[0], append(slices.Clone(under[1:]), p.Args...)...)
		p.Path, p.Args = other.Path, other.Args
	}

	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}

	go func() {
		defer close(p.ended)
		p.err = p.Wait()
	}()

	t.Cleanup(func() {
		_ = p.Process.Kill() // it has mostly ended by itself
		<-p.ended
	})

	return p
}

// exit waits until the program has ended. It returns the exit code, or -1 if a signal ended the program.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	<-p.ended
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatal(p.err)
	}
	return p.ProcessState.ExitCode()
}

// running waits until the store has n shards. It returns false if the program ends first.
func (i *installation) running(p *process, n int) bool {
	for {
		select {
		case <-p.ended:
			return false
		case <-time.After(time.Millisecond):
		}
		if found, _ := filepath.Glob(filepath.Join(i.store(), "*.car")); len(found) >= n {
			return true
		}
	}
}

// run runs the program, which must succeed, and returns its standard output.
func (i *installation) run(t *testing.T, args ...string) string {
	t.Helper()
	p := i.start(t, args...)
	if code := p.exit(t); code != 0 {
		t.Fatalf("guppy %s: exit code %d\n%s%s", args, code, &p.stdout, &p.stderr)
	}
	return p.stdout.String()
}

// runIfThere is like run but returns nothing if there is no database yet, because the process that was about to
// make it was killed.
func (i *installation) runIfThere(t *testing.T, args ...string) string {
	t.Helper()
	p := i.start(t, args...)
	if code := p.exit(t); code != exitComplete && code != exitDatabase {
		t.Fatalf("guppy %s: exit code %d\n%s", args, code, &p.stderr)
	}
	return p.stdout.String()
}

// outcome is the result of a preparation, which must be sound.
type outcome struct {
	root   string
	shards []string
	dump   string
}

func (i *installation) outcome(t *testing.T) outcome {
	t.Helper()

	i.run(t, "check", "--read-data")
	o := outcome{dump: normalise(i.run(t, "dump"))}
	if uploads := i.uploads(t); len(uploads) > 0 {
		o.root = uploads[len(uploads)-1].RootCID
	}

	entries, err := os.ReadDir(i.store())
	if err != nil {
		t.Fatal(err)
	}

	for _, entry := range entries {
		o.shards = append(o.shards, entry.Name())
	}

	return o
}

func (i *installation) uploads(t *testing.T) []uploadView {
	t.Helper()
	return decodeUploads(t, i.run(t, "upload", "ls", "--all", "--json"))
}

func decodeUploads(t *testing.T, printed string) []uploadView {
	t.Helper()
	var list struct{ Uploads []json.RawMessage }
	noError(t, json.Unmarshal([]byte(printed), &list))

	uploads := make([]uploadView, len(list.Uploads))
	for i, printed := range list.Uploads {
		uploads[i].contentCounts = &contentCounts{} // which JSON can't make
		noError(t, json.Unmarshal(printed, &uploads[i]))
	}
	return uploads
}

// requireSame compares outcomes, even those of different engines.
func requireSame(t *testing.T, got, want outcome) {
	t.Helper()
	if want.root == "" || got.root != want.root {
		t.Errorf("root %q, want %q", got.root, want.root)
	}

	if len(want.shards) == 0 || !slices.Equal(got.shards, want.shards) {
		t.Errorf("the store has\n%s\nwant\n%s", strings.Join(got.shards, "\n"), strings.Join(want.shards, "\n"))
	}

	if got.dump == want.dump {
		return
	}

	gotLines, wantLines := strings.Split(got.dump, "\n"), strings.Split(want.dump, "\n")
	for n := range min(len(gotLines), len(wantLines)) {
		if gotLines[n] != wantLines[n] {
			t.Errorf("the dump differs in line %d:\n%s\nwant\n%s", n+1, gotLines[n], wantLines[n])
			return
		}
	}
	t.Errorf("the dump has %d lines, want %d", len(gotLines), len(wantLines))
}

// complete reports whether the upload is complete. A further run would begin another upload.
func (i *installation) complete(t *testing.T) bool {
	t.Helper()
	listed := i.runIfThere(t, "upload", "ls", "--all", "--json")
	if listed == "" {
		return false
	}
	uploads := decodeUploads(t, listed)
	return len(uploads) > 0 && uploads[len(uploads)-1].State == "complete"
}

// interrupt sends a signal to a run, which must then end soon.
func (p *process) interrupt(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}

	sent := time.Now()
	if code := p.exit(t); code != exitInterrupted {
		t.Fatalf("exit code %d\n%s", code, &p.stderr)
	}

	if took := time.Since(sent); took > 2*time.Second {
		t.Errorf("it took %v to end", took)
	}
	if p.stdout.Len() > 0 {
		t.Errorf("it printed %s", &p.stdout)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
