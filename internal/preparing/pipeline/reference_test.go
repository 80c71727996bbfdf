package pipeline_test

import (
	"context"
	"io"
	"os"
	"path/filepath"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	mdtest "github.com/ipfs/boxo/ipld/merkledag/test"
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
	"github.com/ipld/go-ipld-prime/storage/memstore"
)

// references build the DAG of a tree with the library that each profile is taken from.
var references = map[string]func(root string) (cid.Cid, error){
	"unixfs-v1-2025": boxoRoot,
	"guppy":          unixfsnodeRoot,
}

func boxoRoot(root string) (cid.Cid, error) {
	node, err := boxoNode(mdtest.Mock(), root)
	if err != nil {
		return cid.Undef, err
	}
	return node.Cid(), nil
}

func boxoNode(service format.DAGService, path string) (format.Node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}

	switch {
	case info.IsDir():
		return boxoDirectory(service, path)
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}

		data, err := ft.SymlinkData(target)
		if err != nil {
			return nil, err
		}

		node := merkledag.NodeWithData(data)
		return node, node.SetCidBuilder(uio.UnixFS_v1_2025.CidBuilder())
	}

	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read

	return boxoFile(service, file)
}

func boxoFile(service format.DAGService, content io.Reader) (format.Node, error) {
	params := helpers.DagBuilderParams{
		Maxlinks: 1024, RawLeaves: true, CidBuilder: uio.UnixFS_v1_2025.CidBuilder(), Dagserv: service,
	}
	b, err := params.New(chunk.NewSizeSplitter(content, 1<<20))
	if err != nil {
		return nil, err
	}
	return balanced.Layout(b)
}

func boxoDirectory(service format.DAGService, path string) (format.Node, error) {
	p := uio.UnixFS_v1_2025
	directory, err := uio.NewDirectory(service, uio.WithCidBuilder(p.CidBuilder()),
		uio.WithMaxHAMTFanout(p.HAMTShardWidth), uio.WithSizeEstimationMode(p.HAMTSizeEstimation))
	if err != nil {
		return nil, err
	}

	directory.SetHAMTShardingSize(p.HAMTShardingSize)

	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}

	ctx := context.Background()
	for _, entry := range entries {
		child, err := boxoNode(service, filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, err
		}

		if err := service.Add(ctx, child); err != nil {
			return nil, err
		}
		if err := directory.AddChild(ctx, entry.Name(), child); err != nil {
			return nil, err
		}
	}

	return directory.GetNode()
}

// unixfsnodeRoot builds with go-unixfsnode, whose link limit is a variable of that package.
func unixfsnodeRoot(root string) (cid.Cid, error) {
	defer func(old int) { builder.DefaultLinksPerBlock = old }(builder.DefaultLinksPerBlock)
	builder.DefaultLinksPerBlock = 1024
	system := cidlink.DefaultLinkSystem()
	system.SetWriteStorage(&memstore.Store{})
	link, _, err := unixfsnodeLink(&system, root)
	if err != nil {
		return cid.Undef, err
	}
	return link.(cidlink.Link).Cid, nil
}

func unixfsnodeLink(system *ipld.LinkSystem, path string) (ipld.Link, uint64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, 0, err
	}

	switch {
	case info.IsDir():
		return unixfsnodeDirectory(system, path)
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, 0, err
		}
		return builder.BuildUnixFSSymlink(target, system)
	}

	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close() //nolint:errcheck // it was only read

	return builder.BuildUnixFSFile(file, "size-1048576", system)
}

func unixfsnodeDirectory(system *ipld.LinkSystem, path string) (ipld.Link, uint64, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, 0, err
	}

	var links []dagpb.PBLink
	for _, entry := range entries {
		child, size, err := unixfsnodeLink(system, filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, 0, err
		}

		link, err := builder.BuildUnixFSDirectoryEntry(entry.Name(), int64(size), child)
		if err != nil {
			return nil, 0, err
		}

		links = append(links, link)
	}
	return builder.BuildUnixFSDirectory(links, system)
}
