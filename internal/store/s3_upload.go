package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

const (
	// partSize is the length of a part, unless the blob has too many parts then.
	partSize = 8 << 20
	// partsAtOnce limits the connections of one blob.
	partsAtOnce = 4
	// mostParts is the largest number of parts that servers allow.
	mostParts = 10_000
)

// attemptKey is the metadata key that identifies the upload from which an object was made.
const attemptKey = "Guppy-Attempt"

// s3Upload is a multipart upload under the final name of a blob. A note, which is an object, records the owner of
// the upload, since servers list uploads without owners.
type s3Upload struct {
	store *S3
	// name is the name of the blob, note the name of the note.
	name, note  string
	id, attempt string
	parts       []minio.CompletePart
}

// beginUpload begins an upload. It writes the note with the owner before. The upload's ID is added as parts are sent.
func (s *S3) beginUpload(ctx context.Context, owner, name string) (*s3Upload, error) {
	u := &s3Upload{store: s, name: name, attempt: rand.Text(), note: temporaryName(owner)}
	// The note comes first, so that no upload is ever without one.
	if err := s.put(ctx, u.note, noteOf(name, ""), minio.PutObjectOptions{}); err != nil {
		u.forget(context.WithoutCancel(ctx))
		return nil, ended(ctx, err)
	}

	options := minio.PutObjectOptions{UserMetadata: map[string]string{attemptKey: u.attempt}}
	err := s.patiently(ctx, func() (err error) {
		u.id, err = s.client.NewMultipartUpload(ctx, s.bucket.Name, s.key(name), options)
		return err
	})
	if err != nil {
		// The upload may have begun all the same: the note stays.
		return nil, err
	}
	return u, nil
}

// temporaryName returns a new name for a note. A number follows the owner, as in the names of durable.CreateTemp.
func temporaryName(owner string) string {
	number := mathrand.Uint64() //nolint:gosec // it only has to differ
	return fmt.Sprintf("%s%s-%d%s", temporaryPrefix, owner, number, temporarySuffix)
}

// noteOf returns the content of a note.
func noteOf(name, id string) string { return name + "\n" + id + "\n" }

// parseNote is the inverse of noteOf. It returns false for anything else. The id is "" while the upload may not
// have begun.
func parseNote(note string) (name, id string, ok bool) {
	name, rest, _ := strings.Cut(note, "\n")
	id, ends := strings.CutSuffix(rest, "\n")
	return name, id, ends && !strings.Contains(id, "\n") && checkName(name) == nil
}

// put writes a small object of guppy's own.
func (s *S3) put(ctx context.Context, name, content string, options minio.PutObjectOptions) error {
	digest, err := digestOf(strings.NewReader(content))
	if err != nil {
		return err
	}

	return s.patiently(ctx, func() error {
		_, err := s.client.PutObject(ctx, s.bucket.Name, s.key(name), strings.NewReader(content), int64(len(content)), "",
			digest, options)
		return err
	})
}

// send sends all parts, partsAtOnce at a time, and with the first ones the note that names the upload. Until that is
// there, Discard finds the upload as one that no note names.
func (u *s3Upload) send(ctx context.Context, file *localFile, alive func(n int64)) error {
	size := max(partSize, (file.size+mostParts-1)/mostParts)
	u.parts = make([]minio.CompletePart, (file.size+size-1)/size)

	sending, ctx := errgroup.WithContext(ctx)
	sending.SetLimit(partsAtOnce)

	sending.Go(func() error {
		return u.store.put(ctx, u.note, noteOf(u.name, u.id), minio.PutObjectOptions{})
	})

	for i := range u.parts {
		sending.Go(func() error {
			begin := int64(i) * size
			part := io.NewSectionReader(file, begin, min(size, file.size-begin))
			sent, err := u.sendPart(ctx, i+1, part, alive)
			u.parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: sent.ETag}
			return err
		})
	}

	return ended(ctx, sending.Wait())
}

// sendPart sends one part. The server checks the part against its digest.
func (u *s3Upload) sendPart(ctx context.Context, number int, part *io.SectionReader,
	alive func(n int64)) (sent minio.ObjectPart, err error) {
	s := u.store
	digest, err := digestOf(io.NewSectionReader(part, 0, part.Size()))
	if err != nil {
		return sent, err
	}

	err = s.again(ctx, func(ctx context.Context) (err error) {
		ctx, moved, stop := watch(ctx)
		defer stop()
		content := &body{io.NewSectionReader(part, 0, part.Size()), func(n int64) { moved(); alive(n) }}
		sent, err = s.client.PutObjectPart(ctx, s.bucket.Name, s.key(u.name), u.id, number, content, part.Size(),
			minio.PutObjectPartOptions{Sha256Hex: digest})
		return err
	})

	return sent, err
}

// complete makes an object of the parts. If the answer to an earlier request was lost, the upload is gone: the
// object then shows whether it was made from this upload.
func (u *s3Upload) complete(ctx context.Context) error {
	s := u.store
	err := s.patiently(ctx, func() error {
		_, err := s.client.CompleteMultipartUpload(ctx, s.bucket.Name, s.key(u.name), u.id, u.parts, minio.PutObjectOptions{})
		return err
	})

	if !answered(err, minio.NoSuchUpload) {
		return err
	}

	info, statErr := s.stat(ctx, u.name)
	if statErr == nil && info.UserMetadata[attemptKey] == u.attempt {
		return nil
	}

	return err
}

// abort makes the server forget the parts, then removes the note.
func (u *s3Upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, abortTimeout)
	defer cancel()
	if u.store.abortUpload(ctx, u.name, u.id) == nil {
		u.forget(ctx)
	}
}

// forget removes the note. A note that stays is found by its owner.
func (u *s3Upload) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, abortTimeout)
	defer cancel()
	_ = u.store.remove(ctx, u.note)
}

// abortUpload makes the server forget the parts of an upload. It is not an error if the upload does not exist.
func (s *S3) abortUpload(ctx context.Context, name, id string) error {
	err := s.patiently(ctx, func() error { return s.client.AbortMultipartUpload(ctx, s.bucket.Name, s.key(name), id) })
	if answered(err, minio.NoSuchUpload) {
		return nil
	}
	return err
}
