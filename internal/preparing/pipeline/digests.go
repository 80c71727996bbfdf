package pipeline

import (
	"bytes"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// forgetDigests drops the digests of the planned chunks if the draft's blocks have the same digests in the same
// order. Many shards may wait to be sealed for a long time, and the digests take memory.
func (p *packedShard) forgetDigests() {
	if bytes.Equal(p.Digests, digestsOf(p.Draft.Nodes())) {
		p.Digests = nil
	}
}

// digests returns the digests of the planned chunks.
func (p *packedShard) digests() []byte {
	if p.Digests == nil {
		return digestsOf(p.Draft.Nodes())
	}
	return p.Digests
}

func digestsOf(nodes []sqlrepo.Node) []byte {
	digests := make([]byte, 0, len(nodes)*len(sqlrepo.Digest{}))
	for i := range nodes {
		digests = append(digests, nodes[i].Digest[:]...)
	}
	return digests
}
