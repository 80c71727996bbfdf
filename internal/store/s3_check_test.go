package store_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/store"
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
