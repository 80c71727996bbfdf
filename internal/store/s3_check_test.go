package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/s3test"
)

// TestWhatIsWrongIsSaid checks the errors for buckets that exist but cannot be used.
func TestWhatIsWrongIsSaid(t *testing.T) {
	s := newS3(t)
	host := strings.TrimPrefix(s.server.Endpoint, "http://")

	for name, tt := range map[string]struct{ key, location, says, saysNot string }{
		"region":   {"", s.server.Bucket + "&region=nowhere-1", "region= in the URL", "400 Bad Request"},
		"plain":    {"", "s3://guppy-test?endpoint=" + url.QueryEscape(host), "say endpoint=http://" + host, "no bucket"},
		"keys":     {"unknownkey", s.server.Bucket, "the keys have to be right", "no bucket"},
		"the name": {"", s.server.URL("no-such-bucket"), "no bucket no-such-bucket", "keys"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.key != "" {
				t.Setenv("AWS_ACCESS_KEY_ID", tt.key)
			}
			_, err := store.OpenURL(t.Context(), tt.location, store.Options{TempDir: t.TempDir()})
			if !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), tt.says) ||
				strings.Contains(err.Error(), tt.saysNot) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestServersWithoutConditions checks that all processes agree on the last identity when a server accepts several
// at once.
func TestServersWithoutConditions(t *testing.T) {
	for name, fault := range map[string]s3test.Fault{
		"refused": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if r.Header.Get("If-None-Match") != "" {
				refuse(w, 501, "NotImplemented")
				return
			}
			pass.ServeHTTP(w, r)
		},
		"ignored": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &s3{t, s3test.StartAlone(t), nil}
			open := opener(t, s.server.URL(s3test.BucketName+"/p"))
			if fault == nil {
				// Removing the object first makes the server ignore the condition.
				fault = func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
					if r.Header.Get("If-None-Match") != "" {
						key := strings.TrimPrefix(r.URL.Path, "/"+s3test.BucketName+"/")
						err := s.server.Client.RemoveObject(r.Context(), s3test.BucketName, key, minio.RemoveObjectOptions{})
						t.Logf("removed %s for a %s: %v", key, r.Method, err)
					}
					pass.ServeHTTP(w, r)
				}
			}

			s.server.Disturb(fault)

			identities := make(chan string, 4)
			for range cap(identities) {
				from := open()
				go func() {
					identity, err := from.Identify(context.WithoutCancel(t.Context()))
					if err != nil {
						identity = err.Error()
					}
					identities <- identity
				}()
			}

			first := <-identities
			for range cap(identities) - 1 {
				if next := <-identities; next != first {
					t.Errorf("it is %q and %q", first, next)
				}
			}

			if marker, err := open().Marker(t.Context()); marker != first || err != nil {
				t.Errorf("it is %q, not %q: %v", marker, first, err)
			}
		})
	}
}

// TestBucketsThatCanNotBeUsed checks that unusable buckets are distinguished from missing blobs.
func TestBucketsThatCanNotBeUsed(t *testing.T) {
	s := newS3(t)
	open := func(location string) error {
		_, err := store.OpenURL(t.Context(), location, store.Options{TempDir: t.TempDir()})
		return err
	}

	err := open(s.server.URL("no-such-bucket"))
	if !errors.Is(err, store.ErrUnusable) || errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "no bucket no-such-bucket") {
		t.Errorf("no bucket: %v", err)
	}

	if err := s.server.Client.RemoveBucket(t.Context(), s3test.BucketName); err != nil {
		t.Fatal(err)
	}

	for op, call := range map[string]func() error{
		"size":      func() error { _, err := s.store.Size(t.Context(), "name.car"); return err },
		"open":      func() error { _, err := s.store.Open(t.Context(), "name.car"); return err },
		"marker":    func() error { _, err := s.store.Marker(t.Context()); return err },
		"put":       func() error { return s.put(t.Context(), random(5)) },
		"put parts": func() error { return s.put(t.Context(), random(9<<20)) },
		"list": func() error {
			for _, err := range s.store.Committed(t.Context()) {
				return err
			}
			return nil
		},
		"unfinished": func() error { _, err := s.store.Unfinished(t.Context(), ""); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrUnusable) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", op, err)
		}
	}

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	err = open(s.server.Bucket)
	if !errors.Is(err, store.ErrUnusable) || !errors.Is(err, fs.ErrPermission) ||
		strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong keys: %v", err)
	}

	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONFIG_FILE", os.Getenv("AWS_SHARED_CREDENTIALS_FILE"))
	err = open(s.server.Bucket)
	if !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("no keys: %v", err)
	}
}

// TestKeysInAFile checks that keys in a file are found by their profile, and that a store may have no prefix.
func TestKeysInAFile(t *testing.T) {
	s := newS3(t)
	file := filepath.Join(t.TempDir(), "credentials")
	content := fmt.Sprintf("[shards]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s3test.AccessKey,
		s3test.SecretKey)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "shards",
	} {
		t.Setenv(key, value)
	}

	s.store = opener(t, s.server.Bucket+"&region=us-east-1&path_style=true")()
	if err := s.put(t.Context(), random(5)); err != nil {
		t.Fatal(err)
	}

	s.checkHolds(random(5))
	if url := store.BlobURL(s.store.URL(), "name.car"); url != "s3://"+s3test.BucketName+"/name.car" {
		t.Errorf("it is at %s", url)
	}

	if _, err := os.Stat(filepath.Join(s.server.Objects, "name.car")); err != nil {
		t.Error(err)
	}
}
