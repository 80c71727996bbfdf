package check_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// likeShard returns a shard of as many blocks as another one, each as long as there, and with other content.
func likeShard(t *testing.T, content []byte) []byte {
	t.Helper()
	like := []byte(car.Header)
	for reader := car.NewReader(bytes.NewReader(content)); ; {
		section, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return like
		}
		must(t, err)

		data := slices.Clone(section.Data)
		for i := range data {
			data[i] ^= 0xff
		}
		like = car.AppendSectionHeader(like, cid.Raw, sha256.Sum256(data), int64(len(data)))
		like = append(like, data...)
	}
}

// TestAStrayFileIsNotTakenForAShard has a shard without a digest, and a file in the store that no row names: a good
// shard with as many bytes and blocks. The shard's own file may be gone.
func TestAStrayFileIsNotTakenForAShard(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		want := f.roots()
		for _, lost := range []bool{false, true} {
			id := f.shardOf(1, sqlrepo.DataShard)
			path := f.file(id)
			content, err := os.ReadFile(path)
			must(t, err)

			like := likeShard(t, content)
			stray := filepath.Join(f.dir, shard.Name(sha256.Sum256(like)))
			if len(like) != len(content) || stray == path {
				t.Fatalf("%s has %d bytes, want %d", stray, len(like), len(content))
			}
			must(t, os.WriteFile(stray, like, 0o600))
			f.execute("UPDATE shards SET digest = NULL WHERE id = ?", id)
			if lost {
				must(t, os.Remove(path))
			}

			did := strings.Join(f.repair(), "; ")
			f.finish()
			f.sound("after " + did)
			if got := f.roots(); !slices.Equal(got, want) {
				t.Errorf("roots %q, want %q, after %s", got, want, did)
			}

			// The same blocks in the same order give the same file, wherever they come from.
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("the file is not what it was: %v, after %s", err, did)
			}
			if got, err := os.ReadFile(stray); err != nil || !bytes.Equal(got, like) {
				t.Errorf("the stray file is not what it was: %v, after %s", err, did)
			}
			must(t, os.Remove(stray))
			f.sound("without the stray file")
		}
	})
}

// TestTheFileOfAnOrphanIsNoStray deletes the row of an upload, but not those of its shards: a repair may still use the
// files.
func TestTheFileOfAnOrphanIsNoStray(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		digest, ok := shard.ParseName(filepath.Base(f.file(f.shardOf(0, sqlrepo.DataShard))))
		f.execute("DELETE FROM uploads WHERE id = ?", f.uploads[0].ID)
		for _, problem := range f.problems() {
			if problem.Code == check.CodeStoreStray {
				t.Error(problem)
			}
		}

		needs, err := f.repo.StillNamed(t.Context(), "another store", []sqlrepo.Digest{digest})
		if err != nil || !ok || !needs[digest].Here {
			t.Errorf("%+v, %v", needs, err)
		}
	})
}
