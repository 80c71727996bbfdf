package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// mostNote limits the bytes that are read of a note.
const mostNote = 16 << 10

// Unfinished returns the multipart uploads with a note whose owner begins with prefix. It also returns uploads of
// shards and indexes that have no note and are so old that nobody can be at work on them. These have no owner and
// are returned whatever the prefix.
func (s *S3) Unfinished(ctx context.Context, prefix string) (found []Unfinished, err error) {
	for object, err := range s.objects(ctx, temporaryPrefix+prefix) {
		if err != nil {
			return nil, err
		}
		if owner, ok := temporaryOwner(object.Name); ok && strings.HasPrefix(owner, prefix) {
			found = append(found, Unfinished{Owner: owner, Name: object.Name, Changed: object.changed})
		}
	}

	unnoted, err := s.unnoted(ctx)
	if err != nil {
		return nil, s.failure("", err)
	}

	return append(found, unnoted...), nil
}

// unnoted returns old uploads that no note names. They can only stem from requests that guppy had given up and
// that a server carried out all the same.
func (s *S3) unnoted(ctx context.Context) (found []Unfinished, err error) {
	old := map[string]string{}
	for upload, err := range s.uploads(ctx, s.bucket.Prefix) {
		if err != nil {
			return nil, err
		}

		// Uploads of other programs, and uploads that may still be under way, do not count.
		name, ours := strings.CutPrefix(upload.Key, s.bucket.Prefix)
		if ours && isContentName(name) && time.Since(upload.Initiated) > abandonedAfter {
			old[upload.UploadID] = name
		}
	}

	if len(old) == 0 {
		return nil, nil
	}

	// An upload with a note belongs to the owner of the note.
	for object, err := range s.objects(ctx, temporaryPrefix) {
		if err != nil {
			return nil, err
		}

		note, _, err := s.note(ctx, object.Name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}

		_, id, _ := parseNote(note)
		delete(old, id)
	}

	for id, name := range old {
		found = append(found, Unfinished{Name: unnotedName(name, id)})
	}

	return found, nil
}

// uploads yields the multipart uploads whose keys begin with prefix, page by page.
func (s *S3) uploads(ctx context.Context, prefix string) iter.Seq2[minio.ObjectMultipartInfo, error] {
	return func(yield func(minio.ObjectMultipartInfo, error) bool) {
		keyMarker, idMarker := "", ""

		for {
			var page minio.ListMultipartUploadsResult
			err := s.patiently(ctx, func() (err error) {
				page, err = s.client.ListMultipartUploads(ctx, s.bucket.Name, prefix, keyMarker, idMarker, "", 0)
				return err
			})
			if err != nil {
				yield(minio.ObjectMultipartInfo{}, err)
				return
			}

			for _, upload := range page.Uploads {
				if !yield(upload, nil) {
					return
				}
			}

			// Markers that repeat would make the list endless.
			if !page.IsTruncated || page.NextKeyMarker == keyMarker && page.NextUploadIDMarker == idMarker {
				return
			}

			keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
		}
	}
}

// note reads a small object of guppy's own. It returns fs.ErrNotExist if the object does not exist.
func (s *S3) note(ctx context.Context, name string) (content string, info minio.ObjectInfo, err error) {
	in, err := s.stream(ctx, name)
	if err != nil {
		return "", info, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	read, err := io.ReadAll(io.LimitReader(in, mostNote))
	return string(read), in.info, err
}

// Discard makes the server forget the parts of an upload, then removes the upload's note.
func (s *S3) Discard(ctx context.Context, unfinished Unfinished) error {
	if err := ctx.Err(); err != nil {
		return s.failure("", err)
	}
	if err := s.discard(ctx, unfinished); err != nil {
		return s.failure("", ended(ctx, err))
	}
	return nil
}

// discard is Discard without the check of its context.
func (s *S3) discard(ctx context.Context, unfinished Unfinished) error {
	if unfinished.Owner == "" {
		name, id, err := parseUnnoted(unfinished.Name)
		if err != nil {
			return err
		}
		return s.abortUpload(ctx, name, id)
	}

	owner, ok := temporaryOwner(unfinished.Name)
	if !ok || owner != unfinished.Owner || strings.Contains(unfinished.Name, "/") {
		return fmt.Errorf("%q is not an unfinished blob of %q", unfinished.Name, unfinished.Owner)
	}

	note, _, err := s.note(ctx, unfinished.Name)
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody else has discarded the upload.
		return nil
	}
	if err != nil {
		return err
	}

	name, id, ok := parseNote(note)
	switch {
	case ok && id != "":
		err = s.abortUpload(ctx, name, id)
	case ok:
		// The note was written before the upload began, so the ID is unknown.
		ok, err = s.abortUnnamed(ctx, name, unfinished.Name)
		if err == nil && !ok {
			return nil
		}
	}

	if err != nil {
		return err
	}
	return s.remove(ctx, unfinished.Name)
}

// abortUnnamed makes the server forget the uploads of a blob that no note names. It returns false if another note
// may still come to name one of them, since a note is there before its upload.
func (s *S3) abortUnnamed(ctx context.Context, name, note string) (bool, error) {
	unnamed := map[string]bool{}
	for upload, err := range s.uploads(ctx, s.key(name)) {
		if err != nil {
			return false, err
		}
		if upload.Key == s.key(name) {
			unnamed[upload.UploadID] = true
		}
	}

	if len(unnamed) == 0 {
		return true, nil
	}

	// Spare the uploads of other notes.
	for object, err := range s.objects(ctx, temporaryPrefix) {
		if err != nil {
			return false, err
		}
		if object.Name == note {
			continue
		}

		other, _, err := s.note(ctx, object.Name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}

		noted, id, ok := parseNote(other)
		if ok && noted == name && id == "" {
			return false, nil
		}

		delete(unnamed, id)
	}

	for id := range unnamed {
		if err := s.abortUpload(ctx, name, id); err != nil {
			return false, err
		}
	}

	return true, nil
}
