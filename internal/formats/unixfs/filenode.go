package unixfs

// fileChild is a sub-DAG of a file: its link, and the number of the file's bytes in it.
type fileChild struct {
	Link
	size uint64
}

// fileNode is an interior node that is still being filled. Its children are kept in encoded form.
type fileNode struct {
	links, blockSizes []byte
	count             int
	last              fileChild
	size, tsize       uint64
}

func (n *fileNode) add(c fileChild) {
	n.links = appendLink(n.links, c.CID.KeyString(), "", c.Tsize)
	n.blockSizes = appendVarint(n.blockSizes, fsBlockSizes, c.size)
	n.count++
	n.last = c
	n.size += c.size
	n.tsize += c.Tsize
}

// finish emits the node and empties it. Its buffers are kept for the next node of the level.
func (n *fileNode) finish(emit func(Block) error) (fileChild, error) {
	meta := fileData(n.size, n.blockSizes)
	b := newBlock(appendData(append(make([]byte, 0, len(n.links)+len(meta)+8), n.links...), meta))
	done := fileChild{Link: Link{CID: b.CID, Tsize: n.tsize + uint64(len(b.Data))}, size: n.size}
	*n = fileNode{links: n.links[:0], blockSizes: n.blockSizes[:0]}
	return done, emit(b)
}
