//go:build long

package unixfs

import (
	"fmt"
	"slices"
	"testing"
)

// TestLargeFileEqualsReference uses the smallest file with three levels at full width, and a file of one more
// chunk.
func TestLargeFileEqualsReference(t *testing.T) {
	const chunkSize = 4
	content := counted((maxFileLinks*maxFileLinks + 1) * chunkSize)
	eachProfile(t, func(t *testing.T, p Profile) {
		got := must[dag](t)(buildFile(p, content, chunkSize, maxFileLinks))
		got.requireEqual(t, must[dag](t)(referenceOf(p).file(content, chunkSize, maxFileLinks)))
	})
}

func TestSpillChangesNothing(t *testing.T) {
	for _, shape := range shapes() {
		entries := entriesOf(shape, 12000, 3)
		want := newRecorder()
		d := Guppy.NewDirectory(want.emit)
		if err := addAll(d, entries); err != nil {
			t.Fatal(err)
		}

		root := must[Link](t)(d.Close())
		for _, spillAt := range []int{0, 20_000, 100_000, 400_000} {
			t.Run(fmt.Sprintf("%s/%d", shape, spillAt), func(t *testing.T) {
				got := newRecorder()
				d := Guppy.NewDirectory(got.emit, withSpillAt(spillAt), WithTempDir(t.TempDir()))
				if err := addAll(d, entries); err != nil {
					t.Fatal(err)
				}
				if d.spill == nil || len(d.spill.runs) < 1 {
					t.Fatal("nothing was spilled")
				}
				if l := must[Link](t)(d.Close()); l != root {
					t.Errorf("root: got %v, want %v", l, root)
				}
				if !slices.Equal(got.order, want.order) {
					t.Error("blocks differ")
				}
			})
		}
	}
}
