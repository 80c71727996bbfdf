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

// An object cannot be renamed, and a server may carry out a request to delete it long after the requesting
// process is gone. So a removal begins with a note: an object that names the blob and a deadline. The request to
// delete is signed so that the server refuses it after the deadline, by the server's own clock.
//
// Until the deadline, or until the maker of the note has an answer to all its requests and removes the note,
// nobody records a blob of this name. This holds for a blob that is there as well as for one that is put there
// again.
const (
	trashPrefix = ".guppy-trash-"
	// trashFor is the time that a removal may take, from its note to its last request.
	trashFor = 30 * time.Second
	// surelyRefused is the time for which a note still counts after its deadline, since dates in answers have
	// whole seconds.
	surelyRefused = 3 * time.Second
	// trashPause is the time between checks whether a blob to commit is still being removed.
	trashPause = 500 * time.Millisecond
)

// clock measures how far a server's clock is ahead, by the dates of its answers.
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

// now returns the time of the server.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Trash puts a note in the bucket. The blob stays in its place until it is deleted.
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

// trash puts a note with a deadline in the bucket.
func (s *S3) trash(ctx context.Context, owner, name string) (Trashed, error) {
	// The signature counts from this host's time if that is ahead of the server's.
	now := time.Now()
	if server := s.clock.now(); server.After(now) {
		now = server
	}

	until := now.Add(s.trashFor).Unix()
	key := fmt.Sprintf("%s%s-%d-%d", trashPrefix, name, until, rand.Uint64()) //nolint:gosec // it only has to differ
	blob := Trashed{Owner: owner, Name: name, Key: key}
	return blob, s.put(ctx, key, "", minio.PutObjectOptions{})
}

// parseTrashNote returns the blob and the deadline in the name of a note.
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

// Trashed returns the notes of all owners whose deadline has passed: they are of no further use to anybody. Other
// notes still belong to their makers.
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

// isOver reports whether the server now refuses a request that was signed with this deadline.
func (s *S3) isOver(until time.Time) bool { return s.clock.now().After(until.Add(surelyRefused)) }

// beingRemoved reports whether a removal of the blob is under way.
func (s *S3) beingRemoved(ctx context.Context, name string) (bool, error) {
	for object, err := range s.objects(ctx, trashPrefix+name+"-") {
		if err != nil {
			return false, err
		}
		if noted, until, ok := parseTrashNote(object.Name); ok && noted == name && !s.isOver(until) {
			return true, nil
		}
	}
	return false, nil
}

// awaitRemoval waits until no removal of a blob that is to be committed is under way.
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

// Confirm looks for notes before it looks for the blob: if a note has gone by then, its removal is complete.
func (s *S3) Confirm(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return s.failure(name, err)
	}
	if err := s.confirm(ctx, name); err != nil {
		return s.failure(name, err)
	}
	return nil
}

// confirm is Confirm without the checks of its arguments.
func (s *S3) confirm(ctx context.Context, name string) error {
	removed, err := s.beingRemoved(ctx, name)
	if err != nil {
		return err
	}
	if removed {
		return fmt.Errorf("%w: its removal has begun", fs.ErrNotExist)
	}

	_, err = s.stat(ctx, name)
	return err
}

// Restore removes the note. The blob is still in its place.
func (s *S3) Restore(ctx context.Context, blob Trashed) error {
	if _, err := checkTrashNote(blob); err != nil {
		return s.failure(blob.Name, err)
	}
	return s.forgetNote(ctx, blob)
}

// checkTrashNote returns the deadline of the note of a blob, or an error if there can be no such note.
func checkTrashNote(blob Trashed) (until time.Time, err error) {
	name, until, ok := parseTrashNote(blob.Key)
	if !ok || name != blob.Name {
		return until, notInTrash(blob)
	}
	return until, nil
}

// forgetNote removes the note of a blob.
func (s *S3) forgetNote(ctx context.Context, blob Trashed) error {
	if err := ctx.Err(); err != nil {
		return s.failure(blob.Name, err)
	}
	if err := s.remove(ctx, blob.Key); err != nil {
		return s.failure(blob.Name, err)
	}
	return nil
}

// Delete asks the server to delete the blob before the note's deadline, and removes the note once the server has
// answered. Without an answer the note stays until its deadline.
func (s *S3) Delete(ctx context.Context, blob Trashed) error {
	until, err := checkTrashNote(blob)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return s.failure(blob.Name, err)
	}

	if err := s.deleteWithin(ctx, blob.Name, until); err != nil {
		// The server refuses the request from now on: the note is of no further use.
		if errors.Is(err, ErrTooLate) && s.isOver(until) {
			err = errors.Join(err, s.forgetNote(ctx, blob))
		}
		return s.failure(blob.Name, err)
	}

	return s.forgetNote(ctx, blob)
}

// deleteWithin asks the server to delete a blob. It returns ErrTooLate if the deadline passes without success.
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

// signDeletion returns the URL of a request that the server refuses after the deadline. It checks the deadline
// again after signing, since the process may have been suspended meanwhile.
func (s *S3) signDeletion(ctx context.Context, name string, until time.Time) (*url.URL, error) {
	// A signature is valid for a number of whole seconds.
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

// sendSigned sends a signed request without a body.
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

	// An object that is gone already is as good as a deleted one.
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

// withoutSignature removes the query of a signed URL from an error.
func withoutSignature(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return err
}

// SetAside makes the server copy the blob under its new name, then deletes the blob.
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
