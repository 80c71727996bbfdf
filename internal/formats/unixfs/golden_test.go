package unixfs

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// goldenCIDs maps a name to the CID that each profile gives it: zN is a file of N zero bytes; dN is a directory of
// N files named by 12 digits, each containing the byte h; tree is a small tree of every kind of entry.
func goldenCIDs(t *testing.T) map[string]map[string]string {
	raw := must[[]byte](t)(os.ReadFile("../../../testdata/golden/cids.json"))
	var cids map[string]map[string]string
	if err := json.Unmarshal(raw, &cids); err != nil {
		t.Fatal(err)
	}
	return cids
}

func TestGolden(t *testing.T) {
	zeros := sha256.Sum256(make([]byte, ChunkSize))
	for name, cids := range goldenCIDs(t) {
		if len(cids) != len(Profiles()) {
			t.Errorf("%s has CIDs for %d profiles", name, len(cids))
		}

		for profile, want := range cids {
			t.Run(name+"/"+profile, func(t *testing.T) {
				p := must[Profile](t)(ParseProfile(profile))
				var got Link
				switch n, _ := strconv.ParseInt(name[1:], 10, 64); {
				case name == "tree":
					got = goldenTree(t, p)
				case name[0] == 'z':
					got = zeroFile(t, p, n, zeros)
				case name[0] == 'd':
					got = numberedDirectory(t, p, n)
				}

				if fmt.Sprint(got.CID) != want {
					t.Errorf("got %v, want %s", got.CID, want)
				}
			})
		}
	}
}

func zeroFile(t *testing.T, p Profile, size int64, zeros [sha256.Size]byte) Link {
	f := p.NewFile(size, newRecorder().emit)
	for ; size >= ChunkSize; size -= ChunkSize {
		if err := f.Add(zeros[:]); err != nil {
			t.Fatal(err)
		}
	}

	if f.got < f.want {
		last := sha256.Sum256(make([]byte, size))
		if err := f.Add(last[:]); err != nil {
			t.Fatal(err)
		}
	}

	return must[Link](t)(f.Close())
}

func numberedDirectory(t *testing.T, p Profile, n int64) Link {
	d := p.NewDirectory(newRecorder().emit)
	for i := range n {
		if err := d.Add(fmt.Sprintf("%012d", i), content("h")); err != nil {
			t.Fatal(err)
		}
	}
	return must[Link](t)(d.Close())
}

func content(s string) Link {
	return Link{CID: RawCID(sha256.Sum256([]byte(s))), Tsize: uint64(len(s))}
}

func goldenTree(t *testing.T, p Profile) Link {
	dir := func(entries ...entry) Link {
		t.Helper()
		return must[dag](t)(buildDirectory(p, entries)).Link
	}

	symlink := func(target string) Link { _, l := Symlink([]byte(target)); return l }
	return dir(
		entry{"a", dir(entry{"b", content("slash")})},
		entry{"a-b", content("dash")},
		entry{"empty", dir()},
		entry{"hello.txt", content("hello world")},
		entry{"link", symlink("hello.txt")},
		entry{"sub", dir(
			entry{"a", content("a")},
			entry{"dangling", symlink("../missing")},
			entry{"deep", dir(entry{"b", content("b")})},
		)},
		entry{"zero", content("")},
	)
}
