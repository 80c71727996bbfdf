package gateway_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestWhatIsCutShortIsNoAnswer damages the last block of a file. A client that has begun to read must learn that
// it does not have everything.
func TestWhatIsCutShortIsNoAnswer(t *testing.T) {
	eachLong(t, func(f *fixture) {
		f.write("file", 3<<20+5)
		root := "/ipfs/" + f.prepare()
		f.damageEnd()
		for _, path := range []string{root + "?format=car", root + "?format=tar", root + "/file"} {
			got, err := f.ask(http.MethodGet, path)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				f.Errorf("%s: %v after %d bytes, want an unexpected end", path, err, len(got.body))
			}
		}
		f.get(http.StatusOK, "/") // it goes on
	})
}

// damageEnd changes the last byte of the last shard with chunks of files.
func (f *fixture) damageEnd() {
	f.Helper()
	kind, path := sqlrepo.DataShard, ""
	for row, err := range f.repo.Shards(f.Context(), 1, sqlrepo.ShardFilter{Kind: &kind}) {
		must(f, err)
		path = f.shardFile(row)
	}
	content, err := os.ReadFile(path)
	must(f, err)
	content[len(content)-1] ^= 1
	must(f, os.WriteFile(path, content, 0o600))
}
