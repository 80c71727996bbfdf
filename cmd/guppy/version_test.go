package main

import (
	"runtime/debug"
	"testing"
)

func TestCommitOf(t *testing.T) {
	const revision = "5fe02fdf40f7120bbe864ce06dc1c4ac0ed3843e"
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	for name, test := range map[string]struct {
		module   string
		settings []debug.BuildSetting
		want     string
	}{
		"go build in a checkout":         {"v0.0.0-20261129224239-5fe02fdf40f7", vcs("false"), "5fe02fdf40f7"},
		"go build of changes":            {"v0.1.0+dirty", vcs("true"), "5fe02fdf40f7-dirty"},
		"go install of a commit":         {"v0.0.0-20261129224239-5fe02fdf40f7", nil, "5fe02fdf40f7"},
		"go install of a commit, tagged": {"v0.1.1-0.20261129224239-5fe02fdf40f7", nil, "5fe02fdf40f7"},
		"go install of a tag":            {"v0.1.0", nil, "v0.1.0"},
		"go run":                         {"(devel)", nil, ""},
		"go test":                        {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: test.module}, Settings: test.settings}
			if got := commitOf(info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
