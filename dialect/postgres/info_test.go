package postgres

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestOldServersAreTold(t *testing.T) {
	for version, old := range map[string]bool{
		"9.6.24": true, "10.1": true, "12.22 (Debian 12.22-1)": true, "13.0": false, "16.4 (Debian 16.4-1)": false,
		"18beta1": false, "": false, "devel": false,
	} {
		if isOld(version) != old {
			t.Errorf("%q: %t", version, !old)
		}
	}
}

func setting(name, value string) dialect.Setting { return dialect.Setting{Name: name, Value: value} }

func TestUnsafeSettingsAreWarnedOf(t *testing.T) {
	sound := []dialect.Setting{setting("fsync", "on"), setting("full_page_writes", "on"),
		setting("synchronous_commit", "on"), setting("autovacuum", "on"),
		setting("max_connections", "100")}
	warnings := func(standby bool, open int64, settings ...dialect.Setting) (codes string) {
		info := dialect.Info{Settings: append(append([]dialect.Setting{}, sound...), settings...)}
		warn(&info, standby, open, 3)
		for _, warning := range info.Warnings {
			codes += warning.Code + " "
		}
		return codes
	}

	for _, tt := range []struct{ got, want string }{
		{warnings(false, 97), ""},
		{warnings(false, 98), "pool "},
		{warnings(true, 1), "standby "},
		{warnings(false, 1, setting("fsync", "off"), setting("synchronous_commit", "off")), "fsync synchronous-commit "},
		{warnings(false, 1, setting("full_page_writes", "off"), setting("autovacuum", "off")),
			"full-page-writes autovacuum "},
		{warnings(false, 1, setting("synchronous_commit", "local")), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
