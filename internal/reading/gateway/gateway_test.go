package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	carv2 "github.com/ipld/go-car/v2"
	"github.com/multiformats/go-multihash"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestFilesAndDirectories(t *testing.T) {
	each(t, func(f *fixture) {
		large, odd := f.write("dir/large.bin", 3<<20+5), f.write("dir/a b#c?é%.txt", 100)
		f.write("dir/empty", 0)
		must(f, os.MkdirAll(filepath.Join(f.root, "none"), 0o755))
		root := "/ipfs/" + f.prepare()

		got := f.get(http.StatusOK, root+"/dir/large.bin")
		equal(f.T, "the same bytes", bytes.Equal(got.body, large), true)
		equal(f.T, "type options", got.Header.Get("X-Content-Type-Options"), "nosniff")
		equal(f.T, "cached for ever", strings.Contains(got.Header.Get("Cache-Control"), "immutable"), true)
		got = f.get(http.StatusOK, root+"/dir/a%20b%23c%3F%C3%A9%25.txt")
		equal(f.T, "the same bytes", bytes.Equal(got.body, odd), true)
		equal(f.T, "length", len(f.get(http.StatusOK, root+"/dir/empty").body), 0)

		page := string(f.get(http.StatusOK, root+"/dir/").body)
		for _, want := range []string{`/dir/large.bin"`, `/dir/a%20b%23c%3F%C3%A9%25.txt"`, "3.1 MB"} {
			if !strings.Contains(page, want) {
				f.Errorf("the page has no %s:\n%s", want, page)
			}
		}
		equal(f.T, "redirect", f.get(http.StatusMovedPermanently, root+"/dir").Header.Get("Location"), root+"/dir/")
		f.get(http.StatusOK, root+"/none/")
		f.get(http.StatusNotFound, root+"/dir/absent")
		f.get(http.StatusNotFound, root+"/dir/large.bin/below")
		f.get(http.StatusNotFound, "/ipfs/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
		f.get(http.StatusBadRequest, "/ipfs/nonsense")
	})
}

func TestRanges(t *testing.T) {
	eachLong(t, func(f *fixture) {
		content := f.write("file", 5<<20+7)
		path := "/ipfs/" + f.prepare() + "/file"
		size := len(content)
		check := func(header string, from, to int) {
			f.Helper()
			got := f.get(http.StatusPartialContent, path, "Range: bytes="+header)
			equal(f.T, header, got.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", from, to-1, size))
			equal(f.T, header+": the same bytes", bytes.Equal(got.body, content[from:to]), true)
		}

		check("0-0", 0, 1)
		check("-5", size-5, size)
		check(fmt.Sprintf("%d-", size-1), size-1, size)
		check(fmt.Sprintf("10-%d", size*2), 10, size)
		check("3-9,20-29", 3, 10) // of several ranges the first

		random := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			from := random.IntN(size)
			to := from + 1 + random.IntN(min(size-from, 3<<20>>random.IntN(22)+1))
			check(fmt.Sprintf("%d-%d", from, to-1), from, to)
		}

		f.get(http.StatusRequestedRangeNotSatisfiable, path, fmt.Sprintf("Range: bytes=%d-", size))
	})
}

func TestHeadersAlone(t *testing.T) {
	eachLong(t, func(f *fixture) {
		content := f.write("file", 1<<20+7)
		path := "/ipfs/" + f.prepare() + "/file"

		got, err := f.ask(http.MethodHead, path)
		must(f, err)
		equal(f.T, "status", got.StatusCode, http.StatusOK)
		equal(f.T, "length", got.ContentLength, int64(len(content)))
		equal(f.T, "body", len(got.body), 0)

		etag := got.Header.Get("Etag")
		if etag == "" {
			f.Errorf("no ETag: %v", got.Header)
		}

		f.get(http.StatusNotModified, path, "If-None-Match: "+etag)
		f.get(http.StatusOK, path, `If-None-Match: "another"`)
	})
}

// TestBlocksCanBeVerified reads CARs and blocks, and compares them with the rows of the upload.
func TestBlocksCanBeVerified(t *testing.T) {
	eachLong(t, func(f *fixture) {
		f.write("dir/large", 3<<20+5)
		f.write("dir/small", 5)
		root := f.prepare()
		known := f.nodes()

		for _, got := range []answer{
			f.get(http.StatusOK, "/ipfs/"+root+"?format=car"),
			f.get(http.StatusOK, "/ipfs/"+root, "Accept: application/vnd.ipld.car"),
		} {
			reader, err := carv2.NewBlockReader(bytes.NewReader(got.body))
			must(f, err)
			equal(f.T, "root", fmt.Sprint(reader.Roots), "["+root+"]")

			found := map[cid.Cid]bool{}
			for {
				block, err := reader.Next() // it compares each block with its CID
				if errors.Is(err, io.EOF) {
					break
				}
				must(f, err)
				found[block.Cid()] = true
				equal(f.T, "known", known[block.Cid()], int32(len(block.RawData())))
			}

			equal(f.T, "blocks", len(found), len(known))
		}

		for c := range known {
			got := f.get(http.StatusOK, "/ipfs/"+c.String(), "Accept: application/vnd.ipld.raw")
			sum, err := c.Prefix().Sum(got.body)
			must(f, err)
			equal(f.T, "CID of the bytes", sum, c)
		}
	})
}

// nodes returns the lengths of all blocks in the repository.
func (f *fixture) nodes() map[cid.Cid]int32 {
	f.Helper()
	nodes := map[cid.Cid]int32{}
	for row, err := range f.repo.Shards(f.Context(), 1, sqlrepo.ShardFilter{}) {
		must(f, err)
		for node, err := range f.repo.Nodes(f.Context(), row.ID) {
			must(f, err)
			hash := append([]byte{0x12, 32}, node.Digest[:]...)
			nodes[cid.NewCidV1(uint64(node.Codec), hash)] = node.Length
		}
	}
	return nodes
}

func TestTheListOfRoots(t *testing.T) {
	eachLong(t, func(f *fixture) {
		if page := string(f.get(http.StatusOK, "/").body); !strings.Contains(page, "no complete upload") {
			f.Errorf("%s", page)
		}

		f.write("file", 5)
		root := f.prepare()

		got := f.get(http.StatusOK, "/")
		for _, want := range []string{`<a href="/ipfs/` + root + `/">`, "&lt;source&gt;"} {
			if !strings.Contains(string(got.body), want) {
				f.Errorf("no %s in %s", want, got.body)
			}
		}

		equal(f.T, "cached", got.Header.Get("Cache-Control"), "no-cache")

		var list struct {
			Roots []struct {
				CID    string `json:"root_cid"`
				Source string
			}
		}
		must(f, json.Unmarshal(f.get(http.StatusOK, "/", "Accept: application/json").body, &list))
		equal(f.T, "roots", fmt.Sprint(list.Roots), "[{"+root+" <source>}]")
	})
}

func TestWhatIsRefused(t *testing.T) {
	eachLong(t, func(f *fixture) {
		f.write("file", 5)
		path := "/ipfs/" + f.prepare() + "/file"

		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			got, err := f.ask(method, path)
			must(f, err)
			equal(f.T, method, got.StatusCode, http.StatusMethodNotAllowed)
			equal(f.T, "allowed", got.Header.Get("Allow"), "GET, HEAD, OPTIONS")
		}

		f.get(http.StatusForbidden, path, "Host: example.com")
		f.get(http.StatusForbidden, path, "Host: localhost.example.com:8080")
		for _, host := range []string{"localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1", "[::1]:8080"} {
			f.get(http.StatusOK, path, "Host: "+host)
		}

		for _, other := range []string{"/ipns/example.com/", "/api/v0/id", "/favicon.ico"} {
			f.get(http.StatusNotFound, other)
		}
	})
}

// TestContentIsContained requires that a page of content can read neither the list of roots nor other roots.
func TestContentIsContained(t *testing.T) {
	eachLong(t, func(f *fixture) {
		f.write("page.html", 5)
		root := "/ipfs/" + f.prepare()
		for _, path := range []string{root + "/", root + "/page.html", root + "/absent"} {
			got, err := f.ask(http.MethodGet, path)
			must(f, err)
			policy := strings.Fields(got.Header.Get("Content-Security-Policy"))
			equal(f.T, path+" is sandboxed", len(policy) > 0 && policy[0] == "sandbox", true)
			equal(f.T, path+" has the origin of others", slices.Contains(policy, "allow-same-origin"), false)
		}

		policy := f.get(http.StatusOK, "/").Header.Get("Content-Security-Policy")
		equal(f.T, "no scripts in the list", strings.HasPrefix(policy, "default-src 'none';"), true)
	})
}

// TestBytesInACIDAreNotServed asks for a page that anybody can put into a link.
func TestBytesInACIDAreNotServed(t *testing.T) {
	each(t, func(f *fixture) {
		hash, err := multihash.Sum([]byte("<script>alert(1)</script>"), multihash.IDENTITY, -1)
		must(f, err)
		c := cid.NewCidV1(cid.Raw, hash)

		for _, text := range []string{c.String(), fmt.Sprintf("F%X", c.Bytes())} {
			for _, path := range []string{text, text + "/", text + "?format=raw", text + "?filename=a.html", "/" + text} {
				got, err := f.ask(http.MethodGet, "/ipfs/"+path)
				must(f, err)

				if got.StatusCode == http.StatusMovedPermanently || got.StatusCode == http.StatusTemporaryRedirect {
					got, err = f.ask(http.MethodGet, got.Header.Get("Location"))
					must(f, err)
				}

				equal(f.T, path, got.StatusCode, http.StatusBadRequest)
				equal(f.T, path+" is served", strings.Contains(string(got.body), "alert"), false)
			}
		}
	})
}

const hello = "/ipfs/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

// TestAnUploadUnderWay asks for a block of the first shard while the last one is being packed.
func TestAnUploadUnderWay(t *testing.T) {
	each(t, func(f *fixture) {
		must(f, os.WriteFile(filepath.Join(f.root, "a"), []byte("hello world"), 0o644))
		f.write("b", 2<<20)
		f.write("c", 2<<20)
		f.get(http.StatusNotFound, hello)

		held := &holding{FS: source.Local(), name: "c", release: make(chan struct{})}
		f.job.FS = held

		var preparing sync.WaitGroup
		defer preparing.Wait()
		release := sync.OnceFunc(func() { close(held.release) })
		defer release()

		var root string
		preparing.Go(func() { root = f.prepare() })
		for served := false; !served; {
			got, err := f.ask(http.MethodGet, hello)
			must(f, err)
			served = got.StatusCode == http.StatusOK && string(got.body) == "hello world"
		}

		uploads, err := f.repo.Uploads(f.Context(), sqlrepo.UploadFilter{})
		must(f, err)
		equal(f.T, "state", uploads[0].State, sqlrepo.Packing)

		release()
		preparing.Wait()
		f.get(http.StatusOK, "/ipfs/"+root+"/")
	})
}

// holding opens a file only when it is released.
type holding struct {
	source.FS
	name    string
	release chan struct{}
}

func (h *holding) Open(path string) (source.File, error) {
	if filepath.Base(path) == h.name {
		<-h.release
	}
	return h.FS.Open(path)
}

func TestDamagedBlocksAreNotServed(t *testing.T) {
	eachLong(t, func(f *fixture) {
		must(f, os.WriteFile(filepath.Join(f.root, "hello"), []byte("hello world"), 0o644))
		f.prepare()

		for row, err := range f.repo.Shards(f.Context(), 1, sqlrepo.ShardFilter{}) {
			must(f, err)
			path := f.shardFile(row)
			content, err := os.ReadFile(path)
			must(f, err)
			must(f, os.WriteFile(path, bytes.ReplaceAll(content, []byte("hello"), []byte("jello")), 0o600))
		}

		got := f.get(http.StatusInternalServerError, hello)
		if strings.Contains(string(got.body), f.dir) {
			f.Errorf("a client hears where the store is: %s", got.body)
		}
	})
}

// TestManyClients lets 64 clients read everything at the same time.
func TestManyClients(t *testing.T) {
	each(t, func(f *fixture) {
		content := map[string][]byte{}
		for i := range 12 {
			name := fmt.Sprintf("dir%d/%d", i%3, i)
			content[name] = f.write(name, i*i*1000)
		}
		root := "/ipfs/" + f.prepare() + "/"

		var clients sync.WaitGroup
		for range 64 {
			clients.Go(func() {
				for name, want := range content {
					got, err := f.ask(http.MethodGet, root+name)
					if err != nil || !bytes.Equal(got.body, want) {
						f.Errorf("%s: %d bytes instead of %d: %v", name, len(got.body), len(want), err)
						return
					}
				}
			})
		}
		clients.Wait()
	})
}
