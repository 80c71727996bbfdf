//go:build linux

package storm_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	_ "github.com/guppy-prep/guppy/dialect/engines" // makes both known
)

// requireNoLeases checks that no leases are left over.
func (s *storm) requireNoLeases(t *testing.T) {
	t.Helper()
	url := s.url
	if url == "" {
		url = s.path("data-disk/data/guppy.db")
	}
	db, err := dialect.Open(t.Context(), dialect.Settings{URL: dialect.Secret(url)})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	var leases int
	must(t, db.Reader.GetContext(t.Context(), &leases,
		"SELECT (SELECT COUNT(*) FROM shards WHERE token <> 0) + (SELECT COUNT(*) FROM uploads WHERE token <> 0)"))
	if leases != 0 {
		t.Errorf("%d leases are left over", leases)
	}
}
