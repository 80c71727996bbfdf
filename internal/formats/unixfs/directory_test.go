package unixfs

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

func buildDirectory(p Profile, entries []entry, options ...DirectoryOption) (dag, error) {
	r := newRecorder()
	d := p.NewDirectory(r.emit, options...)
	defer d.Discard()
	if err := addAll(d, entries); err != nil {
		return dag{}, err
	}
	return r.finish(d.Close())
}

func addAll(d *Directory, entries []entry) error {
	for _, e := range entries {
		if err := d.Add(e.name, e.Link); err != nil {
			return err
		}
	}
	return nil
}

func requireReference(t failer, p Profile, entries []entry) {
	t.Helper()
	got := must[dag](t)(buildDirectory(p, entries))
	got.requireEqual(t, must[dag](t)(referenceOf(p).directory(entries)))
}

// nameShapes are generators of names, by the name of their shape.
var nameShapes = map[string]func(r *rand.Rand, i int) string{
	"numbers": func(_ *rand.Rand, i int) string { return fmt.Sprintf("%d", i) },
	"unicode": func(r *rand.Rand, i int) string {
		return fmt.Sprintf("%c%c-%d.tar", 0x3b1+r.IntN(20), 0x1f600+r.IntN(60), i)
	},
	"long": func(_ *rand.Rand, i int) string { return strings.Repeat("x", 247) + fmt.Sprintf("%08d", i) },
	"bytes": func(r *rand.Rand, i int) string {
		b := make([]byte, 1+r.IntN(60))
		for i := range b {
			b[i] = byte(0x30 + r.IntN(0x100-0x30))
		}
		return string(b) + fmt.Sprintf("\xff%d", i)
	},
}

func shapes() []string {
	var names []string
	for name := range nameShapes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// entriesOf returns n entries in the order of their names, with links of many sizes.
func entriesOf(shape string, n int, seed uint64) []entry {
	r := rand.New(rand.NewPCG(seed, 1))
	entries := make([]entry, n)
	for i := range entries {
		entries[i] = entry{nameShapes[shape](r, i), randomLink(r)}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return entries
}

func randomLink(r *rand.Rand) Link {
	digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, r.Uint64()))
	codec := []uint64{cid.Raw, cid.DagProtobuf}[r.IntN(2)]
	return Link{CID: newCID(codec, digest), Tsize: r.Uint64() >> (16 + r.IntN(48))}
}

func TestDirectoryEqualsReference(t *testing.T) {
	eachProfile(t, func(t *testing.T, p Profile) {
		for _, shape := range shapes() {
			for _, n := range []int{0, 1, 2, 300, 850, 900, 3000, 5000} {
				t.Run(fmt.Sprintf("%s/%d", shape, n), func(t *testing.T) {
					requireReference(t, p, entriesOf(shape, n, uint64(n)))
				})
			}
		}
		t.Run("numbers/20000", func(t *testing.T) { requireReference(t, p, entriesOf("numbers", 20000, 7)) })
	})
}

func TestRandomDirectoryEqualsReference(t *testing.T) {
	eachProfile(t, func(t *testing.T, p Profile) {
		rapid.Check(t, func(t *rapid.T) {
			shape := rapid.SampledFrom(shapes()).Draw(t, "shape")
			n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(800, 1100)).Draw(t, "entries")
			requireReference(t, p, entriesOf(shape, n, rapid.Uint64().Draw(t, "seed")))
		})
	})
}

// TestDirectoryThreshold checks that a directory at the threshold is one block, and that one more byte makes it a
// HAMT.
func TestDirectoryThreshold(t *testing.T) {
	eachProfile(t, func(t *testing.T, p Profile) {
		for _, over := range []int64{-1, 0, 1, 2} {
			t.Run(fmt.Sprint(over), func(t *testing.T) {
				entries := directoryOfSize(t, p, hamtThreshold+over)
				requireReference(t, p, entries)
				blocks := must[dag](t)(buildDirectory(p, entries)).blocks
				if isHAMT := len(blocks) > 1; isHAMT != (over > 0) {
					t.Errorf("a HAMT: %v", isHAMT)
				}
			})
		}
	})
}

// directoryOfSize returns a directory of exactly that size, as the profile measures it.
func directoryOfSize(t *testing.T, p Profile, size int64) []entry {
	d := p.NewDirectory(nil)
	measure := func() int64 { return p.directorySize(d.block, d.names) }

	var entries []entry
	for i := 0; measure() < size-250; i++ {
		e := entry{fmt.Sprintf("%0100d", i), content("h")}
		entries = append(entries, e)
		d.count(e.name, e.Link)
	}

	block, names := d.block, d.names
	for n := 1; n < 256; n++ {
		last := entry{strings.Repeat("z", n), content("h")}
		d.block, d.names = block, names
		if d.count(last.name, last.Link); measure() == size {
			return append(entries, last)
		}
	}

	t.Fatalf("no directory measures %d bytes", size)
	return nil
}

func TestSymlinkEqualsReference(t *testing.T) {
	targets := []string{"", "a", "../missing", "\xff\xfe", "héllo", strings.Repeat("x", 4095)}
	eachProfile(t, func(t *testing.T, p Profile) {
		for _, target := range targets {
			b, l := Symlink([]byte(target))
			r := newRecorder()
			if err := r.emit(b); err != nil {
				t.Fatal(err)
			}
			got := must[dag](t)(r.finish(l, nil))
			got.requireEqual(t, must[dag](t)(referenceOf(p).symlink(target)))
		}
	})
}

func TestDirectoryRejects(t *testing.T) {
	l := content("h")
	for _, c := range []struct {
		name string
		add  []entry
		want error
	}{
		{"empty name", []entry{{"", l}}, ErrInvalidName},
		{"NUL", []entry{{"a\x00b", l}}, ErrInvalidName},
		{"slash", []entry{{"a/b", l}}, ErrInvalidName},
		{"duplicate", []entry{{"a", l}, {"a", l}}, ErrOrder},
		{"out of order", []entry{{"b", l}, {"a", l}}, ErrOrder},
		{"signed order", []entry{{"\xff", l}, {"a", l}}, ErrOrder},
		{"no CID", []entry{{"a", Link{}}}, ErrInvalidLink},
		{"size", []entry{{"a", Link{CID: l.CID, Tsize: math.MaxInt64 + 1}}}, ErrInvalidLink},
		{"sum of sizes", []entry{{"a", Link{CID: l.CID, Tsize: math.MaxInt64}}, {"b", l}}, ErrInvalidLink},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := UnixFSv1_2025.NewDirectory(newRecorder().emit)
			if err := addAll(d, c.add); !errors.Is(err, c.want) {
				t.Errorf("Add: got %v, want %v", err, c.want)
			}
			if _, err := d.Close(); !errors.Is(err, c.want) {
				t.Errorf("Close: got %v, want %v", err, c.want)
			}
		})
	}
}

func TestDirectoryClosesOnce(t *testing.T) {
	d := Guppy.NewDirectory(newRecorder().emit)
	must[Link](t)(d.Close())
	if _, err := d.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("Close: got %v, want %v", err, ErrClosed)
	}
	if err := d.Add("a", content("h")); !errors.Is(err, ErrClosed) {
		t.Errorf("Add: got %v, want %v", err, ErrClosed)
	}
	if _, err := Profile(9).NewDirectory(nil).Close(); !errors.Is(err, ErrUnknownProfile) {
		t.Errorf("Close: got %v, want %v", err, ErrUnknownProfile)
	}
}

func TestDirectoryPassesOnErrorsOfEmit(t *testing.T) {
	emitted := errors.New("emit")
	for _, n := range []int{0, 5000} {
		for fail := range min(3, n+1) {
			d := Guppy.NewDirectory(func(Block) error {
				if fail--; fail < 0 {
					return emitted
				}
				return nil
			})
			if err := addAll(d, entriesOf("long", n, 1)); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Close(); !errors.Is(err, emitted) {
				t.Errorf("%d entries: got %v, want %v", n, err, emitted)
			}
		}
	}
}

// These names have the same hash. They were made by running the hash function backwards.
const collidingA, collidingB = "-3D2'KoR5m~V{[Um", "AWffX}apTvhwjF,U"

func TestHashCollision(t *testing.T) {
	entries := entriesOf("long", 1000, 1)
	entries = append(entries, entry{collidingA, content("a")}, entry{collidingB, content("b")})
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	for _, spillAt := range []int{0, defaultSpillAt} {
		_, err := buildDirectory(Guppy, entries, withSpillAt(spillAt))
		if !errors.Is(err, ErrHashCollision) || !strings.Contains(err.Error(), collidingA) {
			t.Errorf("got %v, want %v", err, ErrHashCollision)
		}
	}

	// A directory in one block has room for both.
	requireReference(t, Guppy, []entry{{collidingA, content("a")}, {collidingB, content("b")}})
}

// TestDeepHAMTEqualsReference uses names whose hashes differ only in their last byte, so they lie at the greatest
// depth.
func TestDeepHAMTEqualsReference(t *testing.T) {
	eachProfile(t, func(t *testing.T, p Profile) {
		entries := entriesOf("long", 1000, 1)
		for _, name := range []string{"AcZ6u5G9fZ*qrX5.", "iT`KUNVAwd,_'Gh>", "_+I^91WO:KVHFCu?"} {
			entries = append(entries, entry{name, content(name)})
		}
		slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
		requireReference(t, p, entries)
	})
}

// FuzzDirectory checks that a directory either rejects names or equals the reference's, whatever the names are.
func FuzzDirectory(f *testing.F) {
	f.Add("a\nb\nc", true)
	f.Add("\xff\xfe\n\x00\n\xc3\x28", false)
	f.Add("a/b", false)
	f.Fuzz(func(t *testing.T, lines string, sorted bool) {
		names := strings.Split(lines, "\n")
		if sorted {
			slices.Sort(names)
			names = slices.Compact(names)
		}

		var entries []entry
		for _, name := range names {
			entries = append(entries, entry{name, content(name)})
		}

		got, err := buildDirectory(UnixFSv1_2025, entries)
		if errors.Is(err, ErrInvalidName) || errors.Is(err, ErrOrder) && !sorted {
			return
		}

		if err != nil {
			t.Fatal(err)
		}
		got.requireEqual(t, must[dag](t)(boxoReference{}.directory(entries)))
	})
}
