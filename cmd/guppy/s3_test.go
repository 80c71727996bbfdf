package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/store/s3test"
)

// bucket makes an installation keep its shards on an S3 server.
func (i *installation) bucket(t *testing.T) *s3test.Server {
	t.Helper()
	server := s3test.StartAlone(t)
	for key, value := range s3test.Environ() {
		i.env = append(i.env, key+"="+value)
	}
	i.env = append(i.env, "GUPPY_PREPARE_STORE="+server.Bucket)
	return server
}

// outcomeIn is like outcome but for an installation whose shards are on a server. The server must hold nothing
// else.
func (i *installation) outcomeIn(t *testing.T, server *s3test.Server) outcome {
	t.Helper()

	i.run(t, "check", "--read-data")
	i.run(t, "store", "check", "--read-data")
	uploads := i.uploads(t)
	o := outcome{root: uploads[len(uploads)-1].RootCID, dump: normalise(i.run(t, "dump"))}

	entries, err := os.ReadDir(server.Objects)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, ".sgw") {
			o.shards = append(o.shards, name)
		}
	}

	if left := partsOn(t, server); left > 0 {
		t.Errorf("%d uploads are left over", left)
	}

	return o
}

func partsOn(t *testing.T, server *s3test.Server) int {
	t.Helper()
	list, err := server.Client.ListMultipartUploads(t.Context(), s3test.BucketName, "", "", "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Uploads)
}

// TestS3HoldsWhatADirectoryDoes compares a bucket with a directory, after a run that two processes shared until one of
// them was killed while it sent parts, and after gc cleaned up between a killed run and the next one.
func TestS3HoldsWhatADirectoryDoes(t *testing.T) {
	t.Parallel()
	holdsWhatADirectoryDoes(t, engines()[0], "collected")
}

// bucketPrepare is a preparation whose shards are sent in parts.
func bucketPrepare(source string) []string {
	return []string{"prepare", source, "--shard-size", "6MiB"}
}

// bucketRuns are runs into a bucket that end with the upload complete.
var bucketRuns = map[string]func(t *testing.T, i *installation, server *s3test.Server, source string){
	"undisturbed": func(t *testing.T, i *installation, _ *s3test.Server, source string) {
		i.run(t, bucketPrepare(source)...)
	},
	"shared": func(t *testing.T, i *installation, server *s3test.Server, source string) {
		alone := append(bucketPrepare(source), "--workers", "1")
		i.killedInAPart(t, server, alone, func() {
			if code := i.start(t, alone...).exit(t); code != exitComplete {
				t.Errorf("the other one: exit code %d", code)
			}
		})
	},
	"full": func(t *testing.T, i *installation, server *s3test.Server, source string) {
		server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Method == http.MethodPut && r.URL.Query().Has("partNumber") {
				w.WriteHeader(http.StatusInsufficientStorage)
				return
			}
			pass.ServeHTTP(w, r)
		})

		p := i.start(t, bucketPrepare(source)...)
		if code := p.exit(t); code != exitFailure || !strings.Contains(p.stderr.String(), "no space left") {
			t.Errorf("exit code %d\n%s", code, &p.stderr)
		}

		server.Disturb(nil)
		i.run(t, bucketPrepare(source)...)
	},
	"collected": func(t *testing.T, i *installation, server *s3test.Server, source string) {
		i.killedInAPart(t, server, bucketPrepare(source), func() {})
		if left := partsOn(t, server); left == 0 {
			t.Error("nothing was left over")
		}

		planned, removed := i.run(t, "gc"), i.run(t, "gc", "--yes")
		found := strings.Replace(planned, "found ", "removed ", 1)
		if !strings.HasPrefix(found, removed) || removed == "" {
			t.Errorf("it was planned to remove %s\nand removed %s", planned, removed)
		}

		if left := partsOn(t, server); left > 0 {
			t.Errorf("%d uploads are left after gc", left)
		}

		i.run(t, bucketPrepare(source)...)
	},
}

// holdsWhatADirectoryDoes compares a bucket with a directory after each of the named runs.
func holdsWhatADirectoryDoes(t *testing.T, e engine, names ...string) {
	t.Helper()
	program, corpus := build(t), t.TempDir()
	if err := writeCorpus(corpus); err != nil {
		t.Fatal(err)
	}

	t.Run(e.name, func(t *testing.T) {
		directory := install(t, program, e)
		directory.run(t, bucketPrepare(corpus)...)
		want := directory.outcome(t)

		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				i := install(t, program, e)
				server := i.bucket(t)
				bucketRuns[name](t, i, server, corpus)
				requireSame(t, i.outcomeIn(t, server), want)
			})
		}
	})
}

// killedInAPart kills a run while it sends the second half of a part of its second shard, and then lets another
// run finish.
func (i *installation) killedInAPart(t *testing.T, server *s3test.Server, args []string, meanwhile func()) {
	t.Helper()

	sending, parts := make(chan struct{}), make(chan struct{}, 1)
	server.Disturb(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut && r.URL.Query().Has("partNumber") {
			select {
			case parts <- struct{}{}: // the first part passes
			default:
				_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
				select {
				case sending <- struct{}{}:
				case <-time.After(time.Minute):
				}
				_, _ = io.Copy(io.Discard, r.Body) // the end of the connection is only noticed after that
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
		}
		pass.ServeHTTP(w, r)
	})

	killed := i.start(t, args...)
	select {
	case <-sending:
	case <-killed.ended:
		t.Fatalf("it was over too early: %s", &killed.stderr)
	}

	server.Disturb(nil)
	send(t, killed, syscall.SIGKILL)
	if code := killed.exit(t); code != -1 {
		t.Errorf("the run that was to be killed: exit code %d", code)
	}

	meanwhile()
}

// TestStoresAreCopied copies stores from a directory to a bucket and back. Each copy can take the place of its
// original.
func TestStoresAreCopied(t *testing.T) {
	program, corpus := build(t), t.TempDir()
	if err := writeSample(corpus); err != nil {
		t.Fatal(err)
	}

	i := install(t, program, engines()[0])
	i.run(t, "prepare", corpus)
	server := i.bucket(t)

	names := func(directory string) (found []string) {
		entries, err := os.ReadDir(directory)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if name := entry.Name(); !strings.HasPrefix(name, ".sgw") {
				found = append(found, name)
			}
		}
		return found
	}

	copied := func(args ...string) (view storeCopyView) {
		t.Helper()
		output := i.run(t, append([]string{"store", "copy", "--json"}, args...)...)
		if err := json.Unmarshal([]byte(output), &view); err != nil || !view.Finished || view.Ignored > 0 {
			t.Errorf("%s: %v", output, err)
		}
		return view
	}

	all := int64(len(names(i.store())) - 1)
	if view := copied(i.store(), server.Bucket); view.Copied != all || view.Skipped != 0 {
		t.Errorf("copied %+v", view)
	}

	if got, want := names(server.Objects), names(i.store()); !slices.Equal(got, want) {
		t.Errorf("the bucket has %q, want %q", got, want)
	}

	if view := copied(i.store(), server.Bucket, "--verify"); view.Copied != 0 || view.Skipped != all {
		t.Errorf("copied again %+v", view)
	}

	back := filepath.Join(t.TempDir(), "back")
	copied(server.Bucket, back)
	if got, want := names(back), names(i.store()); !slices.Equal(got, want) {
		t.Errorf("the copy of the bucket has %q, want %q", got, want)
	}

	// The copy takes the place of the original store.
	i.run(t, "store", "check", back, "--read-data")
	if err := os.RemoveAll(i.store()); err != nil {
		t.Fatal(err)
	}
	i.run(t, "store", "set", "shards", server.Bucket)
	i.run(t, "store", "check", "--read-data")

	if err := writeFile(filepath.Join(corpus, "more"), []byte("more")); err != nil {
		t.Fatal(err)
	}
	i.run(t, "prepare", corpus) // into the bucket
	i.run(t, "store", "check", "--read-data")
}

// TestABucketIsMended damages an object in a bucket. Its content is packed again, and gc removes the object.
func TestABucketIsMended(t *testing.T) {
	t.Parallel()
	program, corpus := build(t), t.TempDir()
	if err := writeSample(corpus); err != nil {
		t.Fatal(err)
	}
	for _, e := range eachLong() {
		t.Run(e.name, func(t *testing.T) {
			i := install(t, program, e)
			server := i.bucket(t)
			i.run(t, "prepare", corpus)
			want := i.outcomeIn(t, server)

			shard := filepath.Join(server.Objects, want.shards[slices.IndexFunc(want.shards, func(name string) bool {
				return strings.HasSuffix(name, ".car")
			})])

			content, err := os.ReadFile(shard)
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)-1] ^= 1
			if err := os.WriteFile(shard, content, 0o600); err != nil {
				t.Fatal(err)
			}

			// Both checks find the damage.
			for _, args := range [][]string{{"check", "--read-data"}, {"store", "check", "--read-data"}} {
				p := i.start(t, args...)
				if p.exit(t) != exitIncomplete || !strings.Contains(p.stdout.String(), filepath.Base(shard)) {
					t.Errorf("%s: exit code %d\n%s%s", args, p.exit(t), &p.stdout, &p.stderr)
				}
			}

			i.run(t, "check", "--read-data", "--repair", "--give-up", "--yes")
			i.run(t, "prepare", corpus)
			if _, err := os.Stat(shard + ".damaged"); err != nil {
				t.Error(err)
			}

			i.run(t, "gc", "--strays", "--yes")
			if got := i.outcomeIn(t, server); got.root != want.root || slices.ContainsFunc(got.shards, func(name string) bool {
				return strings.HasSuffix(name, ".damaged")
			}) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}
