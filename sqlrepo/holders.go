package sqlrepo

import "context"

// Holders adds to found the keys of the packed shards that hold any of the given blocks.
func (r *Repository) Holders(ctx context.Context, within Scope, digests []Digest, found map[int64]struct{}) error {
	_, err := r.HoldersAmong(ctx, within, digests, found)
	return err
}

// HoldersAmong is like Holders and also returns the blocks that no such shard holds.
func (r *Repository) HoldersAmong(ctx context.Context, within Scope, digests []Digest,
	found map[int64]struct{}) (lacking []Digest, err error) {
	err = r.db.Retry(ctx, "look for the shards of blocks", func() error {
		held := make(map[Digest]struct{}, len(digests))
		lacking = nil
		places, err := r.placesIn(ctx, within.shards(), digests)
		for _, place := range places {
			held[place.Digest], found[place.Shard] = struct{}{}, struct{}{}
		}

		for _, digest := range digests {
			if _, ok := held[digest]; !ok {
				lacking = append(lacking, digest)
			}
		}
		return err
	})
	return lacking, err
}
