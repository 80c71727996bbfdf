package audit

import (
	"context"
	"encoding/binary"
	"fmt"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// The lengths of parts of a shard's CAR file: its header, and the CID of a block.
const (
	carHeader = 18
	carCID    = schema.CIDLength
)

// carLength returns the length of the varint before a block, which holds the length of the block's section.
func carLength(block int64) int64 {
	var buf [binary.MaxVarintLen64]byte
	return int64(binary.PutUvarint(buf[:], uint64(max(0, carCID+block))))
}

// nodeShard is a shard whose nodes are being checked.
type nodeShard struct {
	sqlrepo.Shard
	counted, end int64
	told         map[string]bool
}

// checkNodes checks that the nodes of each settled shard lie one behind the other, each behind its length and CID,
// from the shard's header to its end.
func checkNodes(ctx context.Context, tx *core.Snapshot, s scope, some span,
	found func(Flaw) error) error {
	query := sq.Select("shards.upload", "shards.id", "shards.kind", "shards.state", "shards.size", "shards.nodes",
		"COALESCE(position, -1)", "COALESCE(length, 0)", "COALESCE(codec, 0)", "COALESCE(LENGTH(suffix), 0)").
		From("shards").LeftJoin("nodes ON nodes.shard = shards.id").OrderBy("shards.id", "position")

	var open nodeShard
	err := tx.Stream(ctx, some.of(s.keptShards(query), "shards.id"), func(rows *sqlx.Rows) error {
		var next nodeShard
		var position, length, codec, suffix int64
		err := rows.Scan(&next.Upload, &next.ID, &next.Kind, &next.State, &next.Size, &next.Nodes,
			&position, &length, &codec, &suffix)
		if err != nil {
			return err
		}

		// A shard is complete when the rows of the next one begin.
		if next.ID != open.ID {
			if err := open.close(found); err != nil {
				return err
			}
			open, open.end, open.told = next, carHeader, map[string]bool{}
		}

		// The join gives a shard without nodes one row.
		if position < 0 {
			return nil
		}
		return open.add(position, length, codec, suffix, found)
	})

	if err != nil {
		return err
	}
	return open.close(found)
}

func (s *nodeShard) add(position, length, codec, suffix int64, found func(Flaw) error) error {
	s.counted++
	before, begins := s.end, position-carCID-carLength(length)
	s.end = position + length

	switch {
	case length < 0 || begins < before:
		return s.report(found, FlawNodeOverlap, "its node at %d lies over the one before it, which ends at %d",
			position, before)
	case begins > before:
		return s.report(found, FlawNodeGap, "nothing is known of its bytes from %d to %d", before, begins)
	case suffix != int64(len(sqlrepo.Digest{}))-schema.PrefixLength:
		return s.report(found, FlawNodeDigest, "the digest of its node at %d has %d bytes",
			position, schema.PrefixLength+suffix)
	case s.Kind == sqlrepo.DataShard && codec != codecRaw, s.Kind == sqlrepo.DAGShard && codec != codecDAG:
		return s.report(found, FlawNodeCodec, "the codec of its node at %d is %#x", position, codec)
	}
	return nil
}

// The codecs of the blocks that data and DAG shards hold.
const (
	codecRaw = 0x55
	codecDAG = 0x70
)

func (s *nodeShard) close(found func(Flaw) error) error {
	if s.ID == 0 {
		return nil
	}

	if s.counted != s.Nodes {
		if err := s.report(found, FlawNodeCount, "it has %d nodes, and there are %d", s.Nodes, s.counted); err != nil {
			return err
		}
	}

	if s.State != sqlrepo.ShardPacked || s.end == s.Size {
		return nil
	}
	return s.report(found, FlawShardSize, "it has %d bytes, and its nodes end at %d", s.Size, s.end)
}

// tell reports the first flaw of each kind. Others may follow from it.
func (s *nodeShard) report(found func(Flaw) error, code, detail string, args ...any) error {
	if s.told[code] {
		return nil
	}
	s.told[code] = true
	return found(Flaw{Code: code, Upload: s.Upload, Shard: s.ID, Detail: fmt.Sprintf(detail, args...)})
}
