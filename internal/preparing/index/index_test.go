package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// memory is a repository with some shards. Shard n has n.Nodes nodes.
type memory struct {
	shards  []sqlrepo.Indexable
	covered map[int64]bool
	saved   []sqlrepo.NewIndex
	// crashAt is the number of the recording call that fails, or 0. changeAt is the number of the call that finds that
	// others were quicker.
	crashAt, changeAt, calls int
	complete                 bool
}

func (m *memory) Uncovered(context.Context, int64, int64) iter.Seq2[sqlrepo.Indexable, error] {
	return func(yield func(sqlrepo.Indexable, error) bool) {
		for _, shard := range m.shards {
			if !m.covered[shard.ID] && !yield(shard, nil) {
				return
			}
		}
	}
}

func (m *memory) NodesOf(_ context.Context, shards []int64, begin func(), visit func(sqlrepo.ShardNode) error) error {
	for attempt := range 2 { // the first attempt is given up in the middle
		begin()
		for i, key := range shards {
			for n := range m.shards[key].Nodes {
				node := sqlrepo.Node{Position: int32(100 * n), Length: 60, Digest: sha256.Sum256([]byte{byte(key), byte(n)})}
				if err := visit(sqlrepo.ShardNode{Shard: key, Node: node}); err != nil {
					return err
				}
			}

			if i == 0 && attempt == 0 {
				break
			}
		}
	}

	return nil
}

var errCrash = errors.New("crash")

func (m *memory) SaveIndexes(ctx context.Context, _ sqlrepo.Stage, indexes []sqlrepo.NewIndex) error {
	switch m.calls++; m.calls {
	case m.crashAt:
		return errCrash
	case m.changeAt:
		return sqlrepo.ErrSpaceChanged
	}

	for _, index := range indexes {
		if err := index.Publish(ctx); err != nil {
			return err
		}

		for _, key := range index.Covers {
			m.covered[key] = true
		}
	}

	m.saved = append(m.saved, indexes...)
	return nil
}

func (m *memory) CompleteUpload(ctx context.Context, stage sqlrepo.Stage,
	indexes []sqlrepo.NewIndex) (sqlrepo.Upload, error) {
	err := m.SaveIndexes(ctx, stage, indexes)
	m.complete = err == nil
	return stage.Upload, err
}

func (m *memory) Spaces(context.Context) ([]sqlrepo.Space, error) {
	return []sqlrepo.Space{{DID: "did:key:z6MkTest"}, {ID: 1, DID: "did:key:z6MkTest"}}, nil
}

func (m *memory) StillNamed(_ context.Context, _ string,
	digests []sqlrepo.Digest) (map[sqlrepo.Digest]sqlrepo.Need, error) {
	named := map[sqlrepo.Digest]sqlrepo.Need{}
	for _, digest := range digests {
		if slices.ContainsFunc(m.saved, func(index sqlrepo.NewIndex) bool { return bytes.Equal(index.Digest, digest[:]) }) {
			named[digest] = sqlrepo.Need{Here: true}
		}
	}
	return named, nil
}

var root = sqlrepo.CID{Cid: cid.MustParse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")}

// memoryStore holds the committed blobs.
type memoryStore struct {
	store.Store
	blobs map[string][]byte
}

func (s memoryStore) Create(context.Context, string) (store.Blob, error) {
	return &memoryBlob{to: s}, nil
}

type memoryBlob struct {
	store.Blob
	bytes.Buffer
	to memoryStore
}

func (b *memoryBlob) Write(p []byte) (int, error) { return b.Buffer.Write(p) }

func (b *memoryBlob) Commit(_ context.Context, name string) error {
	b.to.blobs[name] = b.Bytes()
	return nil
}

func (b *memoryBlob) Abort() error { return nil }

func (s memoryStore) Size(_ context.Context, name string) (int64, error) {
	blob, ok := s.blobs[name]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return int64(len(blob)), nil
}

func (s memoryStore) Marker(context.Context) (string, error) { return "memory", nil }

// Trash leaves the blob in place until it is deleted: nobody else uses this store.
func (s memoryStore) Trash(_ context.Context, owner, name string) (store.Trashed, error) {
	return store.Trashed{Owner: owner, Name: name}, nil
}

func (s memoryStore) Delete(_ context.Context, trashed store.Trashed) error {
	delete(s.blobs, trashed.Name)
	return nil
}

func (s memoryStore) Restore(context.Context, store.Trashed) error { return nil }

func (m *memory) run(t *rapid.T, files store.Store, most, batch int64) error {
	indexer := Indexer{Repo: m, Store: files, Owner: "test", batch: batch}
	upload := sqlrepo.Upload{ID: 1, IndexLayout: "storacha", IndexSlices: most, RootCID: root}
	_, err := indexer.Run(t.Context(), sqlrepo.Stage{Upload: upload})
	return err
}

func drawShards(t *rapid.T) (shards []sqlrepo.Indexable) {
	for i, nodes := range rapid.SliceOfN(rapid.Int64Range(1, 12), 0, 20).Draw(t, "nodes") {
		digest := sha256.Sum256([]byte{byte(i)})
		shards = append(shards, sqlrepo.Indexable{ID: int64(i), Nodes: nodes, Size: 100 * nodes, Digest: digest[:],
			Layout: string(blobindex.Spec)})
	}
	return shards
}

// TestAnInterruptedIndexingGoesOnTheSame crashes the indexing at one call, and disturbs it at another.
func TestAnInterruptedIndexingGoesOnTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := memoryStore{blobs: map[string][]byte{}}
		shards, most := drawShards(t), rapid.Int64Range(2, 30).Draw(t, "most slices")
		batch := rapid.Int64Range(1, 4000).Draw(t, "batch")
		whole := &memory{shards: shards, covered: map[int64]bool{}}
		if err := whole.run(t, files, most, 1<<20); err != nil {
			t.Fatal(err)
		}

		crashed := &memory{shards: shards, covered: map[int64]bool{}, crashAt: rapid.IntRange(1, 9).Draw(t, "crash"),
			changeAt: rapid.IntRange(1, 9).Draw(t, "change")}

		// The second attempt goes on after the crash of the first.
		for range 2 {
			err := crashed.run(t, files, most, batch)
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
		}

		if !crashed.complete || len(crashed.covered) != len(shards) {
			t.Fatalf("%d of %d shards are covered", len(crashed.covered), len(shards))
		}
		same := func(a, b sqlrepo.NewIndex) bool {
			return bytes.Equal(a.Digest, b.Digest) && slices.Equal(a.Covers, b.Covers)
		}

		// The crash changes no index.
		if !slices.EqualFunc(crashed.saved, whole.saved, same) {
			t.Fatalf("%d indexes, %d without the crash", len(crashed.saved), len(whole.saved))
		}

		whole.checkIndexes(t, files, most)
	})
}

// checkIndexes reads the stored indexes back.
func (m *memory) checkIndexes(t *rapid.T, files memoryStore, most int64) {
	next := int64(0)
	for _, row := range m.saved {
		raw := files.blobs[blobindex.Name([32]byte(row.Digest))]
		index, layout, err := blobindex.Decode(bytes.NewReader(raw))
		want := blobindex.Storacha
		if row.Slices > most {
			want = blobindex.Spec
		}

		if err != nil || layout != want || string(layout) != row.Layout || !index.Content.Equals(root.Cid) {
			t.Fatalf("%s of %s: %v", layout, index.Content, err)
		}
		if int64(len(raw)) != row.Size || index.Slices() != row.Slices || int64(len(index.Shards)) != row.Shards ||
			row.Slices > most && row.Shards > 1 {
			t.Errorf("%d bytes, %d slices of %d shards, and its row says %+v", len(raw), index.Slices(), len(index.Shards),
				row.Index)
		}

		// Shards are covered in order, each by one index.
		for _, key := range row.Covers {
			if key != next {
				t.Errorf("shard %d comes where %d was to come", key, next)
			}
			next++
			i := slices.IndexFunc(index.Shards, func(s blobindex.Shard) bool {
				return bytes.Equal(s.Digest[:], m.shards[key].Digest)
			})

			whole := blobindex.Slice{Digest: [32]byte(m.shards[key].Digest), Length: m.shards[key].Size}
			if i < 0 || !slices.Contains(index.Shards[i].Slices, whole) ||
				int64(len(index.Shards[i].Slices)) != m.shards[key].Nodes+1 {
				t.Errorf("shard %d is not indexed as it is", key)
			}
		}
	}
}

func TestShardsWithOtherNodesThanTheyCountAreNotIndexed(t *testing.T) {
	digest := sha256.Sum256(nil)
	m := &memory{shards: []sqlrepo.Indexable{{Nodes: 2, Digest: digest[:]}}}
	counted := []sqlrepo.Indexable{{Nodes: 3, Digest: digest[:]}}
	_, _, err := Bytes(t.Context(), m, sqlrepo.Index{Layout: "storacha", Root: root}, counted)
	if !errors.Is(err, ErrInconsistent) {
		t.Errorf("%v", err)
	}

	counted[0].Digest = digest[:5]
	if _, err := Content(t.Context(), m, sqlrepo.Index{}, counted); !errors.Is(err, ErrInconsistent) {
		t.Errorf("a short digest: %v", err)
	}

	if _, _, err := Bytes(t.Context(), m, sqlrepo.Index{Layout: "other"}, nil); err == nil {
		t.Error("an unknown layout is taken")
	}
}

func TestAShardThatIsTooLargeIsIndexedAsItsUpload(t *testing.T) {
	recipe := sqlrepo.Upload{IndexLayout: "forge", IndexSlices: 8192}
	for _, c := range []struct {
		own   string
		nodes int64
		want  string
	}{
		{"spec", 8191, "forge"}, {"spec", 8192, "spec"}, {"", 12_000, "storacha"}, {"forge", 12_000, "storacha"},
		{"spec", sqlrepo.MaxIndexSlices - 1, "spec"},
	} {
		if got := layoutOf(recipe, []sqlrepo.Indexable{{Layout: c.own, Nodes: c.nodes}}); got != c.want {
			t.Errorf("a shard of an upload of %q with %d blocks: %s", c.own, c.nodes, got)
		}
	}

	for _, layout := range blobindex.Layouts() {
		if layout.MaxSlices() > sqlrepo.MaxIndexSlices {
			t.Errorf("%s has more than %d slices", layout, sqlrepo.MaxIndexSlices)
		}
	}

	if most := blobindex.Layout(sqlrepo.DefaultIndexLayout).MaxSlices(); most != sqlrepo.MaxIndexSlices {
		t.Errorf("the default layout has at most %d slices", most)
	}
}

// TestOthersThatAreAlwaysQuickerEndIt checks that the attempts are bounded.
func TestOthersThatAreAlwaysQuickerEndIt(t *testing.T) {
	calls := 0
	err := untilUnchanged(func() error { calls++; return sqlrepo.ErrSpaceChanged })
	if !errors.Is(err, sqlrepo.ErrSpaceChanged) || calls != mostAttempts {
		t.Errorf("%d attempts, %v", calls, err)
	}
}

// slowStore is a store in which committing takes long.
type slowStore struct{ memoryStore }

func (slowStore) CommitsAhead() bool { return true }

func (s slowStore) Size(_ context.Context, name string) (int64, error) {
	blob, ok := s.blobs[name]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return int64(len(blob)), nil
}

func (s slowStore) Confirm(ctx context.Context, name string) error {
	_, err := s.Size(ctx, name)
	return err
}

// recorder checks that indexes are stored before they are recorded. It removes the first one, once.
type recorder struct {
	*memory
	t     *testing.T
	files slowStore
	calls int
}

func (r *recorder) CompleteUpload(ctx context.Context, stage sqlrepo.Stage,
	indexes []sqlrepo.NewIndex) (sqlrepo.Upload, error) {
	name := blobindex.Name([32]byte(indexes[0].Digest))
	if r.files.blobs[name] == nil {
		r.t.Error("an index is not stored yet")
	}
	if r.calls++; r.calls == 1 {
		delete(r.files.blobs, name)
	}
	return r.memory.CompleteUpload(ctx, stage, indexes)
}

// TestSlowStoresKeepNobodyWaiting checks that an index that somebody removed in between is made again.
func TestSlowStoresKeepNobodyWaiting(t *testing.T) {
	digest := sha256.Sum256([]byte{0})
	repo := &recorder{t: t, files: slowStore{memoryStore{blobs: map[string][]byte{}}}, memory: &memory{
		shards: []sqlrepo.Indexable{{Nodes: 3, Size: 300, Digest: digest[:]}}, covered: map[int64]bool{},
	}}
	indexer := Indexer{Repo: repo, Store: repo.files, Owner: "test"}
	upload := sqlrepo.Upload{ID: 1, IndexSlices: 10, RootCID: root}
	if _, err := indexer.Run(t.Context(), sqlrepo.Stage{Upload: upload}); err != nil {
		t.Fatal(err)
	}
	if repo.calls != 2 || len(repo.files.blobs) != 1 || len(repo.saved) != 1 {
		t.Errorf("%d calls, %d blobs, %d rows", repo.calls, len(repo.files.blobs), len(repo.saved))
	}
}
