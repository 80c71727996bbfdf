package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/guppy-prep/guppy/internal/formats/unixfs"
	"github.com/guppy-prep/guppy/internal/preparing/link"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// mostSearches bounds how often one repair searches a shard for a segment, and mostChunks the chunks of a shard that
// a search considers.
const (
	mostSearches = 100_000
	mostChunks   = 16 << 20
)

// search looks for missing segments of files. All files are searched in one round, because a segment that is found
// for one file may rule out a place for another.
func (m *mending) search(ctx context.Context, problems []Problem) (changed bool, err error) {
	for _, p := range problems {
		found, err := m.segments(ctx, p.Entry)
		if err != nil {
			return changed, err
		}
		changed = changed || found
	}
	return changed, nil
}

// segments finds one segment of a file that is missing or wrong. It tries the chunks of the upload's shards that no
// other segment covers. A segment is found if the file has its recorded root with it.
func (m *mending) segments(ctx context.Context, entry int64) (found bool, err error) {
	if entry, err = m.auditor().OriginOf(ctx, entry); err != nil {
		return false, err
	}
	if m.found[entry] {
		return true, nil // found for another problem of this round
	}
	if m.foundBefore[entry] {
		return false, nil
	}

	// Without a recorded root or a size, nothing can prove a choice of segments.
	upload, file, err := m.Repo.OwnFile(ctx, entry)
	if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && (file.Known == nil || file.Size < 0) {
		return false, nil
	}
	if err != nil {
		return false, err
	}

	s, err := m.newSearch(ctx, upload, file)
	if err != nil {
		return false, err
	}

	for _, kept := range s.keep() {
		segments, err := s.complete(ctx, kept)
		if err != nil {
			return false, err
		}
		if segments == nil {
			continue
		}

		m.changed(upload)
		m.found[entry], m.foundBefore[entry] = true, true
		if err := m.auditor().SetSegments(ctx, entry, segments); err != nil {
			return false, err
		}
		return true, m.did("upload %d: a segment of entry %d was found again: its root proves it", upload, entry)
	}
	return false, nil
}

// segmentSearch is the search for one segment of a file.
type segmentSearch struct {
	*mending
	file    sqlrepo.Linkable
	profile unixfs.Profile
	digests *link.DigestCache
	// shards are the settled data shards of the upload.
	shards []sqlrepo.Shard
}

func (m *mending) newSearch(ctx context.Context, upload int64, file sqlrepo.Linkable) (*segmentSearch, error) {
	row, err := m.Repo.Upload(ctx, upload)
	if err != nil {
		return nil, err
	}

	s := &segmentSearch{mending: m, file: file, digests: link.NewDigestCache(m.Repo)}
	if s.profile, err = unixfs.ParseProfile(row.Profile); err != nil {
		return s, nil // without a profile, its shards are not searched
	}

	// Only settled shards have chunks at known places.
	kind := sqlrepo.DataShard
	settled := []sqlrepo.ShardState{sqlrepo.ShardPacked, sqlrepo.ShardEmpty}
	for shard, err := range m.Repo.Shards(ctx, upload, sqlrepo.ShardFilter{Kind: &kind, States: settled}) {
		if err != nil {
			return nil, err
		}
		s.shards = append(s.shards, shard)
	}
	return s, nil
}

// keep returns the choices of segments that may all be right: all plausible segments, and the same without any one
// of them.
func (s *segmentSearch) keep() (choices [][]sqlrepo.Segment) {
	var sound []sqlrepo.Segment
	reached := int64(0)
	for _, segment := range s.file.Segments {
		if segment.Offset >= reached && s.makesSense(segment) {
			sound = append(sound, segment)
			reached = segment.Offset + segment.Length
		}
	}

	choices = append(choices, sound)
	for i := range sound {
		choices = append(choices, slices.Delete(slices.Clone(sound), i, i+1))
	}
	return choices
}

func (s *segmentSearch) makesSense(segment sqlrepo.Segment) bool {
	end := segment.Offset + segment.Length
	i := slices.IndexFunc(s.shards, func(shard sqlrepo.Shard) bool { return shard.ID == segment.Shard })
	return i >= 0 && segment.Chunk >= 0 && segment.Chunk+unixfs.Chunks(segment.Length) <= s.shards[i].Chunks &&
		segment.Offset%unixfs.ChunkSize == 0 && end <= s.file.Size &&
		(segment.Length%unixfs.ChunkSize == 0 || end == s.file.Size) && (segment.Length > 0 || s.file.Size == 0)
}

// complete returns the kept segments together with the missing one. It returns nil if that is not found, or if more
// than one is missing.
func (s *segmentSearch) complete(ctx context.Context, kept []sqlrepo.Segment) ([]sqlrepo.Segment, error) {
	missing, place, single := gap(kept, s.file)
	if !single {
		return nil, nil
	}

	for _, shard := range s.shards {
		if s.searches++; s.searches > mostSearches {
			return nil, nil
		}
		used, err := s.usedChunks(ctx, shard, kept)
		if err != nil {
			return nil, err
		}

		missing.Shard = shard.ID
		need := unixfs.Chunks(missing.Length)
		for missing.Chunk = 0; missing.Chunk+need <= int64(len(used)); missing.Chunk++ {
			// Taken chunks belong to other files or to kept segments.
			if slices.Contains(used[missing.Chunk:missing.Chunk+need], true) {
				continue
			}

			segments := slices.Insert(slices.Clone(kept), place, missing)
			proven, err := s.proves(ctx, segments)
			if err != nil {
				return nil, err
			}
			if proven {
				return segments, nil
			}
		}
	}
	return nil, nil
}

// gap returns the missing segment and its place among the others. The result one is false unless exactly one is
// missing.
func gap(kept []sqlrepo.Segment, file sqlrepo.Linkable) (missing sqlrepo.Segment, place int, single bool) {
	reached, gaps := int64(0), 0
	add := func(i int, to int64) {
		gaps++
		missing, place = sqlrepo.Segment{Entry: file.ID, Offset: reached, Length: to - reached}, i
	}

	for i, segment := range kept {
		if segment.Offset > reached {
			add(i, segment.Offset)
		}
		reached = segment.Offset + segment.Length
	}

	if reached < file.Size || len(kept) == 0 {
		add(len(kept), file.Size)
	}
	return missing, place, gaps == 1
}

// usedChunks returns, for each chunk of a shard, whether it belongs to another file or to a kept segment.
func (s *segmentSearch) usedChunks(ctx context.Context, shard sqlrepo.Shard, kept []sqlrepo.Segment) ([]bool, error) {
	used := make([]bool, min(max(0, shard.Chunks), mostChunks))
	mark := func(segment sqlrepo.Segment) {
		for i := max(0, segment.Chunk); i < min(segment.Chunk+unixfs.Chunks(segment.Length), int64(len(used))); i++ {
			used[i] = true
		}
	}

	for segment, err := range s.Repo.ShardSegments(ctx, shard.ID) {
		if err != nil {
			return nil, err
		}
		if segment.Entry != s.file.ID {
			mark(segment.Segment)
		}
	}

	// The file's own segments count only as far as they are kept.
	for _, segment := range kept {
		if segment.Shard == shard.ID {
			mark(segment)
		}
	}
	return used, nil
}

// proves reports whether the file has its recorded root with these segments.
func (s *segmentSearch) proves(ctx context.Context, segments []sqlrepo.Segment) (bool, error) {
	file := s.profile.NewFile(s.file.Size, func(unixfs.Block) error { return nil })
	for i := range segments {
		digests, err := s.digests.Of(ctx, segments, i)
		if errors.Is(err, link.ErrInconsistent) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if len(digests)%sha256.Size != 0 || file.Add(digests) != nil {
			return false, nil
		}
	}
	root, err := file.Close()
	return err == nil && root.CID.Equals(s.file.Known.CID.Cid), nil
}
