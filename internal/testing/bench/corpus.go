package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// corpus is a set of files and what preparing them may cost.
type corpus struct {
	name string
	// files yields each file's path and size.
	files func(*rand.Rand) iter.Seq2[string, int64]
	// room is the most space that the files take.
	room int64
	// unit is what the size of the database is divided by; count returns the number of units.
	unit  string
	count func(preparation) int64
	// targets has the target of each engine.
	targets map[string]target
	// apart compares the times with the database near and far away.
	apart func(near, far float64) check
}

// target limits the wall time, as a multiple of the limit program's, and the bytes of database for each unit.
type target struct{ ratio, database float64 }

func corpora() []corpus {
	const directories, files, longest = 100, 200, 16 << 10
	bigFiles := []int64{1 << 30, 1 << 30, 300<<20 + 123}
	return []corpus{{
		name: "small", files: manySmall(directories, files, longest), room: directories * files * longest,
		unit: "entry", count: preparation.entries,
		targets: map[string]target{"sqlite": {2.5, 400}, "postgres": {4, 600}},
		apart:   func(near, far float64) check { return within("time far - near", "s", far-near, 1) },
	}, {
		name: "big", files: fewBig(bigFiles), room: 3 << 30,
		unit: "node", count: func(p preparation) int64 { return p.Nodes },
		targets: map[string]target{"sqlite": {1.25, 150}, "postgres": {1.25, 200}},
		apart:   func(near, far float64) check { return within("time far / near", "", far/near, 1.25) },
	}}
}

func manySmall(directories, files int, longest int64) func(*rand.Rand) iter.Seq2[string, int64] {
	return func(random *rand.Rand) iter.Seq2[string, int64] {
		return func(yield func(string, int64) bool) {
			for i := range directories * files {
				path := filepath.Join(fmt.Sprintf("directory-%02d", i/files), fmt.Sprintf("file-%03d", i%files))
				if !yield(path, random.Int64N(longest+1)) {
					return
				}
			}
		}
	}
}

func fewBig(sizes []int64) func(*rand.Rand) iter.Seq2[string, int64] {
	return func(*rand.Rand) iter.Seq2[string, int64] {
		return func(yield func(string, int64) bool) {
			for i, size := range sizes {
				if !yield(fmt.Sprintf("file-%d", i), size) {
					return
				}
			}
		}
	}
}

// contents counts what was written.
type contents struct{ Files, Bytes int64 }

// write makes the files below dir. The same seed gives the same files everywhere.
func (c corpus) write(ctx context.Context, dir string, seed uint64) (written contents, err error) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	content, sizes := rand.NewChaCha8(key), rand.New(rand.NewPCG(seed, 0))

	for name, size := range c.files(sizes) {
		if ctx.Err() != nil {
			return written, context.Cause(ctx)
		}
		if err := writeFile(filepath.Join(dir, name), io.LimitReader(content, size)); err != nil {
			return written, fmt.Errorf("corpus %s: %w", c.name, err)
		}
		written.Files++
		written.Bytes += size
	}
	return written, nil
}

func writeFile(path string, content io.Reader) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(file, content)
	return err
}
