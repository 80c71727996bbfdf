// Package s3test starts a real S3 server for a test, behind a proxy that can disturb what goes through it.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The keys and the bucket of the server.
const (
	// AccessKey is not a secret.
	AccessKey = "guppytestaccess"
	// SecretKey must not appear in any output.
	SecretKey = "guppytestsecret"
	// BucketName is the name of the bucket that the server has.
	BucketName = "guppy-test"

	version     = "v1.8.0"
	startWithin = time.Minute
)

// Server is an S3 server with one bucket.
type Server struct {
	// Endpoint is the URL of the proxy in front of the server. Bucket is the URL of a store in the bucket, with
	// an empty prefix.
	Endpoint, Bucket string
	// Objects is the directory where the server keeps the objects of the bucket.
	Objects string
	// Client is a client of the server that no fault disturbs.
	Client *minio.Core

	mu    sync.Mutex
	fault Fault
}

// Fault handles a request in place of the server. It may call pass to get the server's answer.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// Start starts a server that runs until the test ends, and sets the environment of this process so that it uses
// the server's keys.
func Start(tb testing.TB) *Server {
	tb.Helper()
	for key, value := range Environ() {
		tb.Setenv(key, value)
	}
	return StartAlone(tb)
}

// Environ returns the environment variables with which a process can use the server.
func Environ() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
	}
}

// StartAlone is like Start but leaves the environment unchanged.
func StartAlone(tb testing.TB) *Server {
	tb.Helper()
	top, err := os.MkdirTemp("", "s3-") // the path of a socket has to be short
	must(tb, err)
	tb.Cleanup(func() { must(tb, os.RemoveAll(top)) })

	objects, meta, socket := filepath.Join(top, "objects"), filepath.Join(top, "meta"), filepath.Join(top, "socket")
	must(tb, errors.Join(os.Mkdir(objects, 0o700), os.Mkdir(meta, 0o700)))
	run(tb, socket, objects, meta)

	s := &Server{Objects: filepath.Join(objects, BucketName)}
	direct := listen(tb, forward(socket))
	s.Client = client(tb, direct.URL)
	must(tb, s.Client.MakeBucket(context.Background(), BucketName, minio.MakeBucketOptions{}))

	s.Endpoint = listen(tb, s.disturbed(forward(socket))).URL
	s.Bucket = s.URL(BucketName)
	return s
}

// URL returns the URL of a store in a place, which is a bucket with an optional prefix.
func (s *Server) URL(place string) string {
	return "s3://" + place + "?endpoint=" + url.QueryEscape(s.Endpoint)
}

// Disturb makes fault handle all requests from now on. Nil ends that.
func (s *Server) Disturb(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// disturbed passes requests on to the present fault.
func (s *Server) disturbed(pass http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		fault := s.fault
		s.mu.Unlock()
		if fault == nil {
			pass.ServeHTTP(w, r)
			return
		}
		fault(w, r, pass)
	})
}

// forward returns a proxy to the server at a socket.
func forward(socket string) http.Handler {
	dialer := net.Dialer{}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true, DisableCompression: true,
	}

	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "socket"
			r.Out.Host = r.In.Host // it is signed
		},
		Transport: transport, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

func listen(tb testing.TB, handler http.Handler) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	return server
}

func client(tb testing.TB, endpoint string) *minio.Core {
	tb.Helper()
	u, err := url.Parse(endpoint)
	must(tb, err)
	found, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	must(tb, err)
	return found
}

// run starts the server and waits until it answers. The server runs until the test ends.
func run(tb testing.TB, socket, objects, meta string) {
	tb.Helper()
	var output bytes.Buffer

	ctx, end := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program(tb), "--quiet", "--keep-alive", "--port", socket,
		"posix", "--sidecar", meta, objects)
	command.Env = []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey, "HOME=" + filepath.Dir(socket)}
	command.Stdout, command.Stderr = &output, &output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second

	must(tb, command.Start())
	exited, failure := make(chan struct{}), error(nil)
	go func() {
		defer close(exited)
		failure = command.Wait()
	}()

	tb.Cleanup(func() {
		end()
		<-exited
	})

	limit := time.After(startWithin)
	for {
		if conn, err := net.Dial("unix", socket); err == nil { //nolint:noctx // a moment
			must(tb, conn.Close())
			return
		}
		select {
		case <-exited:
			tb.Fatalf("the S3 server ended: %v\n%s", failure, output.Bytes())
		case <-limit:
			tb.Fatal("the S3 server does not answer")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// program returns the path of the server's program: the one that the environment names, the one built in this
// repository, or an installed one.
func program(tb testing.TB) string {
	tb.Helper()
	if named := os.Getenv("GUPPY_TEST_VERSITYGW"); named != "" {
		return named
	}

	directory, err := os.Getwd()
	must(tb, err)
	for ; directory != filepath.Dir(directory); directory = filepath.Dir(directory) {
		built := filepath.Join(directory, "bin", "versitygw-"+version)
		if _, err := os.Stat(built); err == nil {
			return built
		}
	}

	found, err := exec.LookPath("versitygw")
	if err != nil {
		tb.Fatal(fmt.Errorf("no S3 server for the tests: run scripts/ensure-versitygw, as make test does, or set "+
			"GUPPY_TEST_VERSITYGW to versitygw %s: %w", version, err))
	}
	return found
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
