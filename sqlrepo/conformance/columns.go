package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// columns checks that any value comes back as it was stored. Every value gets its own row.
func columns() []test {
	return []test{
		{"of spaces", spaceColumns},
		{"of sources", sourceColumns},
		{"of uploads", uploadColumns},
		{"of entries", entryColumns},
		{"of shards and nodes", shardColumns},
	}
}

func genText(t *rapid.T, what string) string {
	return sqlrepo.Text(rapid.String().Draw(t, what))
}

// genTime draws any instant that a column keeps, except the zero time, which stands for none.
func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-60_000_000_000, 250_000_000_000).Draw(t, "seconds"),
			rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
	})
}

// genBytes never draws an empty value: empty and none differ in the database but may be read as either.
func genBytes() *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), 1, 50) }

func genCID() *rapid.Generator[sqlrepo.CID] {
	return rapid.Custom(func(t *rapid.T) sqlrepo.CID {
		hash, err := multihash.Sum(genBytes().Draw(t, "content"), multihash.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "old") {
			return sqlrepo.CID{Cid: cid.NewCidV0(hash)}
		}
		return sqlrepo.CID{Cid: cid.NewCidV1(rapid.Uint64Range(0, 1<<62).Draw(t, "codec"), hash)}
	})
}

func spaceColumns(f *fixture) {
	n, now := 0, time.Time{}
	repo := sqlrepo.New(f.db, sqlrepo.WithClock(func() time.Time { return now }))

	rapid.Check(f.t, func(t *rapid.T) {
		n++
		now = genTime().Draw(t, "time")

		space := sqlrepo.Space{
			DID:       sqlrepo.DID(fmt.Sprintf("did:%s:%d", genText(t, "DID"), n)),
			Name:      fmt.Sprintf("%s%d", genText(t, "name"), n),
			ShardSize: rapid.Int64().Draw(t, "size"),
		}

		added := must(repo.AddSpace(f.ctx, space))(t)
		got := must(f.FindSpace(f.ctx, string(space.DID)))(t)
		equal(t, "space", got, added)
		equal(t, "time", got.CreatedAt.Time, now.UTC().Truncate(time.Microsecond))
	})
}

func sourceColumns(f *fixture) {
	n, space := 0, f.space()
	rapid.Check(f.t, func(t *rapid.T) {
		n++
		var lines sqlrepo.Lines
		for _, line := range rapid.SliceOfN(genBytes(), 0, 4).Draw(t, "lines") {
			lines = append(lines, strings.ReplaceAll(string(line), "\n", "\r"))
		}

		added := must(f.AddSource(f.ctx, sqlrepo.Source{
			Space: space.ID, Name: fmt.Sprintf("%s%d", genText(t, "name"), n),
			Path:          fmt.Appendf(nil, "/%s%d", genBytes().Draw(t, "path"), n),
			SourceOptions: sqlrepo.SourceOptions{Excludes: lines, SymlinkPolicy: genText(t, "symlinks")},
		}))(t)

		equal(t, "source", must(f.Source(f.ctx, added.ID))(t), added)
	})
}

func uploadColumns(f *fixture) {
	source := f.source(f.space())
	rapid.Check(f.t, func(t *rapid.T) {
		opened := must(f.OpenUpload(f.ctx, source.ID, sqlrepo.Upload{
			Profile: genText(t, "profile"), ShardSize: rapid.Int64().Draw(t, "shard size"),
			SkipFailed: rapid.Bool().Draw(t, "skip failed"), Store: f.store(genText(t, "store")),
		}))(t)

		claimed := sqlrepo.Claim{Worker: genText(t, "worker"), Term: term}
		begun := must(f.ClaimStage(f.ctx, claimed, opened.Upload.ID))(t)
		equal(t, "worker", begun.Upload.Worker, claimed.Worker)

		want := begun.Upload
		want.Lease = sqlrepo.Lease{}
		want.State, want.RootCID, want.FinishedAt = sqlrepo.Complete, genCID().Draw(t, "root"), sqlrepo.NewTime(started)

		count := rapid.Int64()
		want.Counts = sqlrepo.Counts{
			Files: count.Draw(t, "files"), Directories: count.Draw(t, "directories"), Symlinks: count.Draw(t, "links"),
			Bytes: count.Draw(t, "bytes"),
		}

		if _, err := f.finish(begun, want.RootCID, want.Counts); err != nil {
			t.Fatal(err)
		}

		equal(t, "upload", must(f.Upload(f.ctx, want.ID))(t), want)
	})
}

// genEntry draws an entry with any path. Without a NUL the path is a single name.
func genEntry() *rapid.Generator[sqlrepo.Entry] {
	return rapid.Custom(func(t *rapid.T) sqlrepo.Entry {
		e := sqlrepo.Entry{
			Path: sqlrepo.Path(rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "path")),
			Fingerprint: sqlrepo.Fingerprint{
				Kind: sqlrepo.EntryKind(rapid.IntRange(1, 4).Draw(t, "kind")), Size: rapid.Int64().Draw(t, "size"),
				ModTime: rapid.Int64().Draw(t, "mtime"), Mode: rapid.Int32Range(0, 0o7777).Draw(t, "mode"),
				Ctime: rapid.Int64().Draw(t, "ctime"), Inode: rapid.Int64().Draw(t, "inode"),
				Unproven: rapid.Bool().Draw(t, "unproven"),
			},
			State:  sqlrepo.EntryState(rapid.IntRange(0, 4).Draw(t, "state")),
			Reason: genText(t, "reason"),
			Origin: rapid.Int64().Draw(t, "origin"),
		}

		if rapid.Bool().Draw(t, "is far") {
			e.SetModified(time.Unix(rapid.Int64().Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "part")))
		}
		if rapid.Bool().Draw(t, "has target") {
			e.Target = genBytes().Draw(t, "target")
		}

		return e
	})
}

func entryColumns(f *fixture) {
	source := f.source(f.space())
	rapid.Check(f.t, func(t *rapid.T) {
		path := func(e sqlrepo.Entry) sqlrepo.Path { return e.Path }
		stage := f.begin(source)

		entries := rapid.SliceOfNDistinct(genEntry(), 1, 8, path).Draw(t, "entries")
		if err := f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Added: entries}); err != nil {
			t.Fatal(err)
		}

		slices.SortFunc(entries, func(a, b sqlrepo.Entry) int { return strings.Compare(string(a.Path), string(b.Path)) })
		equal(t, "entries", collect(t, f.Entries(f.ctx, stage.Upload.ID, sqlrepo.EntryFilter{})), entries)

		// With such entries the upload could not be completed.
		if err := f.SaveScan(f.ctx, stage, sqlrepo.ScanBatch{Vanished: keys(entries)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.finish(stage, sqlrepo.CID{}, sqlrepo.Counts{}); err != nil {
			t.Fatal(err)
		}
	})
}

func shardColumns(f *fixture) {
	stage, ordinal := f.newStage(), int64(-1)
	rapid.Check(f.t, func(t *rapid.T) {
		ordinal++

		plan := []sqlrepo.PlannedShard{{Shard: sqlrepo.Shard{
			Ordinal: ordinal, PlannedSize: rapid.Int64().Draw(t, "planned"),
			Chunks: rapid.Int64Range(0, 1<<31-1).Draw(t, "chunks"),
		}}}
		if err := f.SavePlan(f.ctx, stage, plan); err != nil {
			t.Fatal(err)
		}

		f.packing(stage)
		result := sqlrepo.PackedShard{Shard: f.shard(stage), Digests: genBytes().Draw(t, "digests")}
		position := func(n sqlrepo.Node) int32 { return n.Position }
		result.Nodes = rapid.SliceOfNDistinct(genNode(), 0, 4, position).Draw(t, "nodes")

		shard := &result.Shard
		shard.State = sqlrepo.ShardPacked
		shard.Size, shard.Content = rapid.Int64().Draw(t, "size"), rapid.Int64().Draw(t, "content")
		shard.Digest, shard.Piece = genBytes().Draw(t, "digest"), genBytes().Draw(t, "piece")

		// Its only planned shard is sealed, so the upload is Rescanning and can be planned again.
		stage = f.stage(must(f.seal(result))(t))
		shard.Lease = sqlrepo.Lease{}
		shard.Nodes = int64(len(result.Nodes))

		got := must(f.ShardDigests(f.ctx, shard.ID))(t)
		equal(t, "digests", got, result.Digests)
		slices.SortFunc(result.Nodes, func(a, b sqlrepo.Node) int { return int(a.Position) - int(b.Position) })
		equal(t, "nodes", fmt.Sprint(collect(t, f.Nodes(f.ctx, shard.ID))), fmt.Sprint(result.Nodes))

		all := f.shards(stage)
		equal(t, "shard", all[len(all)-1], *shard)
	})
}

func genNode() *rapid.Generator[sqlrepo.Node] {
	return rapid.Custom(func(t *rapid.T) sqlrepo.Node {
		length := rapid.Int32Range(0, 1<<31-1)
		return sqlrepo.Node{
			Position: length.Draw(t, "position"), Length: length.Draw(t, "length"), Codec: rapid.Byte().Draw(t, "codec"),
			Digest: sqlrepo.Digest(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest")),
		}
	})
}
