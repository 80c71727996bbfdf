//go:build long

package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
)

func init() { checks = "40" }

// TestEveryRootIsTheReferences prepares random trees and compares their roots with those of boxo and go-unixfsnode.
func TestEveryRootIsTheReferences(t *testing.T) {
	for profile, reference := range references {
		t.Run(profile, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				root := randomTree(t, rt)
				f := newFixture(t, enginetest.Engines()[0].Open(t), source.Local(), root, func(j *pipeline.Job) {
					j.Fresh.Profile = profile
				})
				upload := f.complete()

				want, err := reference(root)
				must(t, err)
				if upload.RootCID.Cid != want {
					rt.Fatalf("%s: root is %s, the reference's is %s", root, upload.RootCID, want)
				}

				checkShards(t, f, upload)
			})
		})
	}
}

// sizes are near the sizes at which the shape of a file changes: chunks, and segments of a 2 MiB shard.
var sizes = []int{0, 1, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2<<20 + 7, 5 << 20}

func randomTree(tb testing.TB, rt *rapid.T) string {
	root := tb.TempDir()
	random := rand.NewChaCha8([32]byte{rapid.Byte().Draw(rt, "seed")})
	name := rapid.OneOf(
		rapid.StringMatching(`[a-c. \n\-]{1,3}`),
		rapid.StringOfN(rapid.RuneFrom([]rune("äß€漢🐟a")), 1, 8, 255),
		rapid.Just(strings.Repeat("n", 255)),
		rapid.Just("\xff\xfe not utf-8"),
	).Filter(func(s string) bool { return s != "." && s != ".." })

	large := 0
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, base := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID[string]).Draw(rt, "names") {
			path := filepath.Join(dir, base)
			switch kind := rapid.IntRange(0, 9).Draw(rt, "kind"); {
			case kind < 3 && depth < 6:
				must(tb, os.Mkdir(path, 0o755))
				fill(path, depth+1)
			case kind == 3:
				must(tb, os.Symlink(rapid.SampledFrom([]string{"a", "../missing", "/abs/ölute"}).Draw(rt, "target"), path))
			default:
				size := rapid.IntRange(0, 3000).Draw(rt, "size")
				if kind == 9 && large < 3 {
					size, large = rapid.SampledFrom(sizes).Draw(rt, "large"), large+1
				}

				content := make([]byte, size)
				_, _ = random.Read(content)
				must(tb, os.WriteFile(path, content, 0o644))
			}
		}
	}

	fill(root, 0)

	// Wide directories take long, so only some trees have one.
	if rapid.IntRange(0, 9).Draw(rt, "wide") == 0 {
		wideDirectory(tb, filepath.Join(root, "wide"), rapid.IntRange(4700, 6100).Draw(rt, "links"))
	}

	return root
}

// wideDirectory makes a directory with about as many links as make it a HAMT.
func wideDirectory(tb testing.TB, dir string, links int) {
	must(tb, os.Mkdir(dir, 0o755))
	for i := range links {
		must(tb, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%012d", i)), []byte("h"), 0o644))
	}
}
