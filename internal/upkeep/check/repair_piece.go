package check

import (
	"bytes"
	"context"
	"fmt"

	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// piece computes the piece CID of a shard again from its file. If the file is gone or bad, the repair of files
// handles it.
func (m *mending) piece(ctx context.Context, id int64) (bool, error) {
	row, err := m.Repo.Shard(ctx, id)
	if err != nil {
		return false, err
	}
	root := []byte(nil)
	if row.State == sqlrepo.ShardPacked {
		if root, err = m.rootOf(ctx, row); root == nil || err != nil {
			return false, err
		}
	}
	return m.once(change{pieceSet, id}, func() error { return m.auditor().SetPiece(ctx, id, root) })
}

// rootOf returns the root of the piece CID of a shard's file, or nil if the file does not match its digest.
func (m *mending) rootOf(ctx context.Context, row sqlrepo.Shard) ([]byte, error) {
	if _, err := m.requireStore(ctx, row.Upload); err != nil {
		return nil, fmt.Errorf("shard %d: %w", row.ID, err)
	}
	if len(row.Digest) != len(sqlrepo.Digest{}) {
		return nil, nil
	}
	found, err := readShard(ctx, m.opener(row), shard.Name([32]byte(row.Digest)), true, nil)
	if isGone(err) || err == nil && !bytes.Equal(found.digest[:], row.Digest) {
		return nil, nil
	}
	return found.piece, err
}
