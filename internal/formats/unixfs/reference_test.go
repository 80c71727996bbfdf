package unixfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	ft "github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/ipfs/go-unixfsnode/data/builder"
	dagpb "github.com/ipld/go-codec-dagpb"
	"github.com/ipld/go-ipld-prime"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
)

// dag is what a builder made: the link to the root and the set of dag-pb blocks.
type dag struct {
	Link
	blocks map[cid.Cid]bool
}

// reference builds the same DAGs as this package with another library.
type reference interface {
	file(content []byte, chunkSize int64, width int) (dag, error)
	directory(entries []entry) (dag, error)
	symlink(target string) (dag, error)
}

type entry struct {
	name string
	Link
}

func referenceOf(p Profile) reference {
	if p == Guppy {
		return unixfsnodeReference{}
	}
	return boxoReference{}
}

// boxoReference is boxo's importer. It takes all settings as options and none from boxo's globals.
type boxoReference struct{}

// dagService records the dag-pb nodes added to it.
type dagService struct {
	format.DAGService
	blocks map[cid.Cid]bool
}

func newDAGService() dagService { return dagService{blocks: map[cid.Cid]bool{}} }

func (s dagService) Add(_ context.Context, n format.Node) error {
	if n, ok := n.(*merkledag.ProtoNode); ok {
		s.blocks[n.Cid()] = true
	}
	return nil
}

func (s dagService) finish(root format.Node) (dag, error) {
	if err := s.Add(context.Background(), root); err != nil {
		return dag{}, err
	}
	size, err := root.Size()
	return dag{Link: Link{CID: root.Cid(), Tsize: size}, blocks: s.blocks}, err
}

func (boxoReference) file(content []byte, chunkSize int64, width int) (dag, error) {
	service := newDAGService()
	params := helpers.DagBuilderParams{
		Maxlinks: width, RawLeaves: true, CidBuilder: uio.UnixFS_v1_2025.CidBuilder(), Dagserv: service,
	}

	b, err := params.New(chunk.NewSizeSplitter(bytes.NewReader(content), chunkSize))
	if err != nil {
		return dag{}, err
	}

	root, err := balanced.Layout(b)
	if err != nil {
		return dag{}, err
	}

	return service.finish(root)
}

// linkNode stands for the finished DAG of a directory entry.
type linkNode struct {
	format.Node
	link Link
}

func (n linkNode) Cid() cid.Cid          { return n.link.CID }
func (n linkNode) Size() (uint64, error) { return n.link.Tsize, nil }

func (boxoReference) directory(entries []entry) (dag, error) {
	service := newDAGService()
	p := uio.UnixFS_v1_2025
	d, err := uio.NewDirectory(service, uio.WithCidBuilder(p.CidBuilder()), uio.WithMaxHAMTFanout(p.HAMTShardWidth),
		uio.WithSizeEstimationMode(p.HAMTSizeEstimation))
	if err != nil {
		return dag{}, err
	}

	d.SetHAMTShardingSize(p.HAMTShardingSize)
	for _, e := range entries {
		if err := d.AddChild(context.Background(), e.name, linkNode{link: e.Link}); err != nil {
			return dag{}, err
		}
	}

	root, err := d.GetNode()
	if err != nil {
		return dag{}, err
	}

	return service.finish(root)
}

func (boxoReference) symlink(target string) (dag, error) {
	data, err := ft.SymlinkData(target)
	if err != nil {
		return dag{}, err
	}
	n := merkledag.NodeWithData(data)
	if err := n.SetCidBuilder(uio.UnixFS_v1_2025.CidBuilder()); err != nil {
		return dag{}, err
	}
	return newDAGService().finish(n)
}

// unixfsnodeReference is the builder of go-unixfsnode.
type unixfsnodeReference struct{}

// recordingLinkSystem returns a link system and the set in which it records the dag-pb blocks stored to it.
func recordingLinkSystem() (*ipld.LinkSystem, map[cid.Cid]bool) {
	blocks := map[cid.Cid]bool{}
	ls := cidlink.DefaultLinkSystem()
	ls.StorageWriteOpener = func(ipld.LinkContext) (io.Writer, ipld.BlockWriteCommitter, error) {
		return io.Discard, func(l ipld.Link) error {
			if c := l.(cidlink.Link).Cid; c.Type() == cid.DagProtobuf {
				blocks[c] = true
			}
			return nil
		}, nil
	}
	return &ls, blocks
}

func finishLink(l ipld.Link, size uint64, err error, blocks map[cid.Cid]bool) (dag, error) {
	if err != nil {
		return dag{}, err
	}
	return dag{Link: Link{CID: l.(cidlink.Link).Cid, Tsize: size}, blocks: blocks}, nil
}

// file sets a global of the library while it runs, so no test of this package may be parallel.
func (unixfsnodeReference) file(content []byte, chunkSize int64, width int) (dag, error) {
	defer func(old int) { builder.DefaultLinksPerBlock = old }(builder.DefaultLinksPerBlock)
	builder.DefaultLinksPerBlock = width
	ls, blocks := recordingLinkSystem()
	l, size, err := builder.BuildUnixFSFile(bytes.NewReader(content), fmt.Sprintf("size-%d", chunkSize), ls)
	return finishLink(l, size, err, blocks)
}

func (unixfsnodeReference) directory(entries []entry) (dag, error) {
	links := make([]dagpb.PBLink, 0, len(entries))
	for _, e := range entries {
		l, err := builder.BuildUnixFSDirectoryEntry(e.name, int64(e.Tsize), cidlink.Link{Cid: e.CID})
		if err != nil {
			return dag{}, err
		}
		links = append(links, l)
	}
	ls, blocks := recordingLinkSystem()
	l, size, err := builder.BuildUnixFSDirectory(links, ls)
	return finishLink(l, size, err, blocks)
}

func (unixfsnodeReference) symlink(target string) (dag, error) {
	ls, blocks := recordingLinkSystem()
	l, size, err := builder.BuildUnixFSSymlink(target, ls)
	return finishLink(l, size, err, blocks)
}

// recorder checks the blocks that a builder emits: each block hashes to its CID and comes after the builder's own
// blocks that it links to.
type recorder struct {
	blocks map[cid.Cid]bool
	order  []cid.Cid
	err    error
}

func newRecorder() *recorder { return &recorder{blocks: map[cid.Cid]bool{}} }

func (r *recorder) emit(b Block) error {
	sum, err := b.CID.Prefix().Sum(b.Data)
	if err != nil {
		return err
	}

	if sum != b.CID {
		r.err = fmt.Errorf("block %s hashes to %s", b.CID, sum)
	}

	// The children are those that the builder made itself, not leaves or entries.
	children, err := ownChildren(b)
	if err != nil {
		return err
	}

	for _, c := range children {
		if !r.blocks[c] {
			r.err = fmt.Errorf("block %s comes before its child %s", b.CID, c)
		}
	}

	r.blocks[b.CID] = true
	r.order = append(r.order, b.CID)
	return nil
}

// ownChildren returns the interior nodes that a file node links to, or the shards that a HAMT shard links to.
func ownChildren(b Block) ([]cid.Cid, error) {
	n, err := merkledag.DecodeProtobuf(b.Data)
	if err != nil {
		return nil, err
	}

	meta, err := ft.FSNodeFromBytes(n.Data())
	if err != nil {
		return nil, err
	}

	var children []cid.Cid
	for _, l := range n.Links() {
		isShard := meta.Type() == ft.THAMTShard && len(l.Name) == 2
		if isShard || meta.Type() == ft.TFile && l.Cid.Type() == cid.DagProtobuf {
			children = append(children, l.Cid)
		}
	}

	return children, nil
}

func (r *recorder) finish(root Link, err error) (dag, error) {
	if err == nil {
		err = r.err
	}
	return dag{Link: root, blocks: r.blocks}, err
}

func (d dag) requireEqual(t failer, want dag) {
	t.Helper()
	if d.Link != want.Link {
		t.Fatalf("root: got %v, want %v", d.Link, want.Link)
	}
	if len(d.blocks) != len(want.blocks) {
		t.Fatalf("got %d blocks, want %d", len(d.blocks), len(want.blocks))
	}
	for c := range want.blocks {
		if !d.blocks[c] {
			t.Fatalf("block %s is missing", c)
		}
	}
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var _ failer = (*testing.T)(nil)

func must[T any](t failer) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func eachProfile(t *testing.T, test func(t *testing.T, p Profile)) {
	for _, name := range Profiles() {
		t.Run(name, func(t *testing.T) { test(t, must[Profile](t)(ParseProfile(name))) })
	}
}
