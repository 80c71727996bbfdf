package source_test

import (
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestWhatIsADifference covers what protocols, tools and people do to files.
func TestWhatIsADifference(t *testing.T) {
	const at = 1_700_000_000_123_456_789
	was := sqlrepo.Fingerprint{Kind: sqlrepo.File, Size: 5, ModTime: at, Mode: 0o644, Ctime: at, Inode: 7}
	type seen = sqlrepo.Fingerprint
	for name, test := range map[string]struct {
		change  func(now *seen)
		compare source.Comparison
		differs bool
	}{
		"nothing":                      {func(*seen) {}, source.Comparison{}, false},
		"another length":               {func(now *seen) { now.Size++ }, source.Comparison{}, true},
		"another time":                 {func(now *seen) { now.ModTime++ }, source.Comparison{}, true},
		"the same time in another era": {func(now *seen) { now.Era++ }, source.Comparison{Window: time.Hour}, true},
		"chmod": {func(now *seen) { now.Mode, now.Ctime = 0o600, at+5e9 }, source.Comparison{},
			false},
		"a time that was set back": {func(now *seen) { now.Ctime = at + 5e9 }, source.Comparison{}, true},
		"ctimes that are made up": {func(now *seen) { now.Ctime = at + 5e9 }, source.Comparison{IgnoreCtime: true},
			false},
		"no ctime":                {func(now *seen) { now.Ctime = 0 }, source.Comparison{}, false},
		"another file":            {func(now *seen) { now.Inode = 8 }, source.Comparison{}, true},
		"inodes that are made up": {func(now *seen) { now.Inode = 8 }, source.Comparison{IgnoreInode: true}, false},
		"no inode":                {func(now *seen) { now.Inode = 0 }, source.Comparison{}, false},
		"SMB": {func(now *seen) { now.ModTime, now.Ctime, now.Inode = at/100*100, 0, 0 },
			source.Comparison{}, false},
		"microseconds": {func(now *seen) { now.ModTime, now.Ctime = at/1e3*1e3, at/1e3*1e3 },
			source.Comparison{}, false},
		"seconds": {func(now *seen) { now.ModTime, now.Ctime = at/1e9*1e9, at/1e9*1e9 },
			source.Comparison{}, false},
		"another part of a second":  {func(now *seen) { now.ModTime = at/1e9*1e9 + 500 }, source.Comparison{}, true},
		"seconds that were rounded": {func(now *seen) { now.ModTime = at/1e9*1e9 + 1e9 }, source.Comparison{}, true},
		"within the window": {func(now *seen) { now.ModTime = at/1e9*1e9 + 1e9 },
			source.Comparison{Window: time.Second}, false},
		"outside of the window": {func(now *seen) { now.ModTime = at + 1e9 + 1 },
			source.Comparison{Window: time.Second}, true},
		"something else": {func(now *seen) { now.Kind = sqlrepo.Directory }, source.Comparison{}, true},
		"mounted elsewhere": {func(now *seen) { now.Inode, now.Ctime, now.Mode = 8, 9, 0o777 },
			source.Comparison{}.Recognition(), false},
		"whole seconds, a second later": {func(now *seen) { now.ModTime = at/1e9*1e9 + 1e9 }, source.Comparison{}, true},
	} {
		before := was
		if name == "whole seconds, a second later" {
			before.ModTime = at / 1e9 * 1e9
		}

		now := before
		test.change(&now)

		for _, pair := range [][2]seen{{before, now}, {now, before}} {
			if why := test.compare.Difference(pair[0], pair[1]); (why != "") != test.differs {
				t.Errorf("%s: the difference is %q", name, why)
			}
		}
	}
}

// TestLinksAndDirectories checks entries whose whole content is in their fingerprint.
func TestLinksAndDirectories(t *testing.T) {
	link := sqlrepo.Fingerprint{Kind: sqlrepo.Symlink, Target: []byte("a"), Mode: 0o777}
	other := link
	other.Target = []byte("b")
	directory := sqlrepo.Fingerprint{Kind: sqlrepo.Directory, Mode: 0o755}
	closed := directory
	closed.Mode = 0o700
	if (source.Comparison{}).Difference(link, other) == "" || (source.Comparison{}).Difference(directory, closed) == "" {
		t.Error("they count as the same")
	}
}
