package store

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
)

// An object can't be renamed, and a server may carry out a request to delete it long after its process is gone. So a
// removal begins with a note, an object that names the blob and a time. The request to delete is signed so that the
// server refuses it after that time, by its own clock. Until then, or until whoever made the note has an answer to all
// its requests and removes the note, nobody records a blob of this name: neither one that is there, nor one that is put
// there again.
const (
	trashPrefix = ".guppy-trash-"
	// trashFor is how long a removal may take, from its note to its last request.
	trashFor = 30 * time.Second
	// surelyRefused is how long after the time of a note it still counts: dates in answers have whole seconds.
	surelyRefused = 3 * time.Second
	// trashPause is how long who commits a blob waits before it looks again whether that is still being removed.
	trashPause = 500 * time.Millisecond
)

// clock tells how far a server's clock is ahead, from the dates of its answers.
type clock struct {
	http.RoundTripper
	ahead atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		return answer, err
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		c.ahead.Store(int64(time.Until(date)))
	}
	return answer, nil
}

// now is the time of the server.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Trash puts a note there. The blob stays where it is until it is deleted.
func (s *S3) Trash(ctx context.Context, owner, name string) (Trashed, error) {
	if err := errors.Join(checkName(name), checkOwner(owner), ctx.Err()); err != nil {
		return Trashed{}, s.failure(name, err)
	}
	blob, err := s.trash(ctx, owner, name)
	if err != nil {
		return Trashed{}, s.failure(name, ended(ctx, err))
	}
	return blob, nil
}

func (s *S3) trash(ctx context.Context, owner, name string) (Trashed, error) {
	// The signature counts from the time of this host, if that is ahead.
	now := time.Now()
	if server := s.clock.now(); server.After(now) {
		now = server
	}
	until := now.Add(s.trashFor).Unix()
	key := fmt.Sprintf("%s%s-%d-%d", trashPrefix, name, until, rand.Uint64()) //nolint:gosec // it only has to differ
	blob := Trashed{Owner: owner, Name: name, Key: key}
	return blob, s.put(ctx, key, "", minio.PutObjectOptions{})
}

// parseTrashNote returns what the name of a note says.
func parseTrashNote(key string) (name string, until time.Time, ok bool) {
	rest, begins := strings.CutPrefix(key, trashPrefix)
	parts := strings.Split(rest, "-")
	if !begins || len(parts) < 3 || strings.Trim(parts[len(parts)-1], "0123456789") != "" {
		return "", until, false
	}
	seconds, err := strconv.ParseInt(parts[len(parts)-2], 10, 64)
	name = strings.Join(parts[:len(parts)-2], "-")
	return name, time.Unix(seconds, 0), err == nil && checkName(name) == nil
}

// Trashed lists the notes whose time is over: they are of no use to anybody, whoever made them. Others are in the hands
// of who made them.
func (s *S3) Trashed(ctx context.Context, _ string) (found []Trashed, err error) {
	for object, err := range s.objects(ctx, trashPrefix) {
		if err != nil {
			return nil, err
		}
		if name, until, ok := parseTrashNote(object.Name); ok && s.isOver(until) {
			found = append(found, Trashed{Name: name, Key: object.Name})
		}
	}
	return found, nil
}

// isOver reports whether the server refuses what was signed until a time.
func (s *S3) isOver(until time.Time) bool { return s.clock.now().After(until.Add(surelyRefused)) }

// beingRemoved reports whether somebody has begun to remove a blob.
func (s *S3) beingRemoved(ctx context.Context, name string) (bool, error) {
	for object, err := range s.objects(ctx, trashPrefix+name+"-") {
		if err != nil {
			return false, err
		}
		if of, until, ok := parseTrashNote(object.Name); ok && of == name && !s.isOver(until) {
			return true, nil
		}
	}
	return false, nil
}

// awaitRemoval waits until nobody removes a blob that is to be committed.
func (s *S3) awaitRemoval(ctx context.Context, name string) error {
	for {
		removed, err := s.beingRemoved(ctx, name)
		if err != nil || !removed {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(trashPause):
		}
	}
}

// Confirm looks for notes first: one that is gone by then has done what it was for.
func (s *S3) Confirm(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return s.failure(name, err)
	}
	if err := s.confirm(ctx, name); err != nil {
		return s.failure(name, err)
	}
	return nil
}

func (s *S3) confirm(ctx context.Context, name string) error {
	removed, err := s.beingRemoved(ctx, name)
	if err != nil {
		return err
	}
	if removed {
		return fmt.Errorf("%w: somebody has begun to remove it", fs.ErrNotExist)
	}
	_, err = s.stat(ctx, name)
	return err
}

// Restore removes the note: the blob is where it was.
func (s *S3) Restore(ctx context.Context, blob Trashed) error {
	if _, err := checkTrashNote(blob); err != nil {
		return s.failure(blob.Name, err)
	}
	return s.forgetNote(ctx, blob)
}

func checkTrashNote(blob Trashed) (until time.Time, err error) {
	name, until, ok := parseTrashNote(blob.Key)
	if !ok || name != blob.Name {
		return until, notInTrash(blob)
	}
	return until, nil
}

func (s *S3) forgetNote(ctx context.Context, blob Trashed) error {
	if err := ctx.Err(); err != nil {
		return s.failure(blob.Name, err)
	}
	if err := s.remove(ctx, blob.Key); err != nil {
		return s.failure(blob.Name, err)
	}
	return nil
}

// Delete asks the server to delete the blob within the time of the note, and removes the note once that is answered.
// Without an answer the note stays until its time is over.
func (s *S3) Delete(ctx context.Context, blob Trashed) error {
	until, err := checkTrashNote(blob)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return s.failure(blob.Name, err)
	}
	if err := s.deleteWithin(ctx, blob.Name, until); err != nil {
		if errors.Is(err, ErrTooLate) && s.isOver(until) {
			err = errors.Join(err, s.forgetNote(ctx, blob))
		}
		return s.failure(blob.Name, err)
	}
	return s.forgetNote(ctx, blob)
}

func (s *S3) deleteWithin(ctx context.Context, name string, until time.Time) error {
	return s.again(ctx, func(ctx context.Context) error {
		signed, err := s.signDeletion(ctx, name, until)
		if err != nil {
			return err
		}
		err = s.sendSigned(ctx, http.MethodDelete, signed)
		if err != nil && s.clock.now().After(until) {
			return fmt.Errorf("%w: %w", ErrTooLate, err)
		}
		return err
	})
}

// signDeletion returns the URL of a request that the server refuses after a time. It looks at the time again once that
// is signed: the process may have been stopped meanwhile.
func (s *S3) signDeletion(ctx context.Context, name string, until time.Time) (*url.URL, error) {
	left := time.Until(until).Truncate(time.Second)
	if left < time.Second {
		return nil, ErrTooLate
	}
	signed, err := s.client.Presign(ctx, http.MethodDelete, s.bucket.Name, s.key(name), left, nil)
	if err != nil {
		return nil, err
	}
	began, err := time.Parse("20060102T150405Z", signed.Query().Get("X-Amz-Date"))
	if err != nil {
		return nil, fmt.Errorf("sign a deletion: %w", err)
	}
	if began.Add(left).After(until) {
		return nil, ErrTooLate
	}
	return signed, nil
}

// sendSigned sends a request without a body.
func (s *S3) sendSigned(ctx context.Context, method string, signed *url.URL) error {
	ctx, cancel := context.WithTimeoutCause(ctx, idleTimeout, errIdle)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, signed.String(), http.NoBody)
	if err != nil {
		return withoutSignature(err)
	}
	answer, err := s.http.Do(request)
	if err != nil {
		return withoutSignature(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it is only read
	if answer.StatusCode < http.StatusMultipleChoices || answer.StatusCode == http.StatusNotFound {
		return nil
	}
	failed := minio.ErrorResponse{}
	if xml.NewDecoder(io.LimitReader(answer.Body, mostNote)).Decode(&failed) != nil || failed.Code == "" {
		failed.Code = answer.Status
	}
	failed.StatusCode = answer.StatusCode
	return failed
}

// withoutSignature keeps the query of a signed URL out of an error.
func withoutSignature(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return err
}

// SetAside has the server copy a blob under its new name before it deletes it.
func (s *S3) SetAside(ctx context.Context, blob Trashed) (aside string, err error) {
	if _, err := checkTrashNote(blob); err != nil {
		return "", s.failure(blob.Name, err)
	}
	aside = Aside(blob.Name)
	if err := s.copy(ctx, blob.Name, aside); err != nil {
		return "", s.failure(blob.Name, err)
	}
	return aside, s.Delete(ctx, blob)
}
