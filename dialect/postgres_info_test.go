package dialect

import "testing"

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

func TestUnsafeSettingsAreWarnedOf(t *testing.T) {
	sound := []Setting{{"fsync", "on"}, {"full_page_writes", "on"}, {"synchronous_commit", "on"}, {"autovacuum", "on"},
		{"max_connections", "100"}}
	warnings := func(standby bool, open int64, settings ...Setting) (codes string) {
		info := Info{Settings: append(append([]Setting{}, sound...), settings...)}
		postgresWarn(&info, standby, open, 3)
		for _, warning := range info.Warnings {
			codes += warning.Code + " "
		}
		return codes
	}
	for _, tt := range []struct{ got, want string }{
		{warnings(false, 97), ""},
		{warnings(false, 98), "pool "},
		{warnings(true, 1), "standby "},
		{warnings(false, 1, Setting{"fsync", "off"}, Setting{"synchronous_commit", "off"}), "fsync synchronous-commit "},
		{warnings(false, 1, Setting{"full_page_writes", "off"}, Setting{"autovacuum", "off"}),
			"full-page-writes autovacuum "},
		{warnings(false, 1, Setting{"synchronous_commit", "local"}), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
