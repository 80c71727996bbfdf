package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// bucketServer is an S3 server, with its objects in a directory.
type bucketServer struct {
	dir     string
	at      string
	client  *minio.Client
	command *exec.Cmd
	output  bytes.Buffer
	ended   chan struct{}
}

const (
	bucketAccess, bucketSecret = "guppybenchaccess", "guppybenchsecret"
	bucketName                 = "guppy-bench"
	bucketStart                = time.Minute
)

// startBuckets starts versitygw in an empty directory. The caller must close the server.
func startBuckets(ctx context.Context, dir string) (*bucketServer, error) {
	program, err := versitygw()
	if err != nil {
		return nil, err
	}

	s := &bucketServer{dir: dir, ended: make(chan struct{})}
	if err := errors.Join(os.Mkdir(s.objects(), 0o700), os.Mkdir(s.meta(), 0o700)); err != nil {
		return nil, err
	}
	if s.at, err = freeAddress(ctx); err != nil {
		return nil, err
	}

	s.client, err = minio.New(s.at, &minio.Options{
		Creds: credentials.NewStaticV4(bucketAccess, bucketSecret, ""), Region: "us-east-1",
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, err
	}

	s.command = exec.Command(program, "--quiet", "--keep-alive", "--port", s.at, "posix", "--sidecar", s.meta(),
		s.objects()) //nolint:noctx // close ends it
	s.command.Env = []string{"ROOT_ACCESS_KEY=" + bucketAccess, "ROOT_SECRET_KEY=" + bucketSecret, "HOME=" + dir}
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait()
	}()
	return s, s.ready(ctx)
}

// versitygw returns the path of the server's program: the one that the environment names, the one that make has built,
// or an installed one.
func versitygw() (string, error) {
	if named := os.Getenv("GUPPY_TEST_VERSITYGW"); named != "" {
		return named, nil
	}
	if built, err := filepath.Glob("bin/versitygw-*"); err == nil && len(built) > 0 {
		return filepath.Abs(built[len(built)-1])
	}
	found, err := exec.LookPath("versitygw")
	if err != nil {
		return "", fmt.Errorf("no S3 server: run scripts/ensure-versitygw, or set GUPPY_TEST_VERSITYGW: %w", err)
	}
	return found, nil
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *bucketServer) objects() string { return filepath.Join(s.dir, "objects") }
func (s *bucketServer) meta() string    { return filepath.Join(s.dir, "meta") }

// ready waits until the server answers.
func (s *bucketServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bucketStart)
	defer cancel()
	for {
		if _, err := s.client.ListBuckets(ctx); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the S3 server ended:\n%s", tail(s.output.Bytes()))
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), s.close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// empty makes the bucket, or makes it again without objects.
func (s *bucketServer) empty(ctx context.Context) error {
	for _, top := range []string{s.objects(), s.meta()} {
		if err := os.RemoveAll(filepath.Join(top, bucketName)); err != nil {
			return err
		}
	}
	return s.client.MakeBucket(ctx, bucketName, minio.MakeBucketOptions{})
}

// environ returns what a process needs to use the server.
func (s *bucketServer) environ() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + bucketAccess, "AWS_SECRET_ACCESS_KEY=" + bucketSecret,
		"AWS_EC2_METADATA_DISABLED=true"}
}

// storeURL returns the URL of a store in the bucket, for a process that reaches the server at an address.
func storeURL(address string) string {
	return "s3://" + bucketName + "?endpoint=" + url.QueryEscape("http://"+address)
}

func (s *bucketServer) close() error {
	err := s.command.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.ended
	return err
}
