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

// What the server is used with.
const (
	// AccessKey is not secret.
	AccessKey = "guppytestaccess"
	// SecretKey must be found in no output.
	SecretKey = "guppytestsecret"
	// BucketName is that of the bucket that is there.
	BucketName = "guppy-test"

	version     = "v1.8.0"
	startWithin = time.Minute
)

// Server is an S3 server with one bucket.
type Server struct {
	// Endpoint is the URL of the proxy before it, Bucket that of the bucket for a store, with an empty prefix.
	Endpoint, Bucket string
	// Objects is the directory in which the server keeps the objects of the bucket.
	Objects string
	// Client talks to the server past the faults.
	Client *minio.Core

	mu    sync.Mutex
	fault Fault
}

// Fault deals with a request instead of the server, or lets it pass. It may call pass to have the server's answer.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// Start starts a server that ends with the test. The keys of this process are the server's then.
func Start(tb testing.TB) *Server {
	tb.Helper()
	for key, value := range Environ() {
		tb.Setenv(key, value)
	}
	return StartAlone(tb)
}

// Environ are the variables with which a process may use the server.
func Environ() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
	}
}

// StartAlone is Start for a test that leaves the environment as it is.
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

// URL is that of a store in a bucket and prefix.
func (s *Server) URL(place string) string {
	return "s3://" + place + "?endpoint=" + url.QueryEscape(s.Endpoint)
}

// Disturb has a fault deal with all requests from now on; nil ends that.
func (s *Server) Disturb(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

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

// run starts the server and waits until it answers.
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

// program finds the server: the one that is named, the one of this repository, or one that is installed.
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
