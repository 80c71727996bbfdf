package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// A server without conditional requests may accept two identities at once. There each process puts its identity
// within putWithin of seeing that there is none, or not at all. An identity is believed only after settleFor,
// once all of them are there.
const (
	putWithin = 2 * time.Second
	settleFor = 2 * putWithin
	// surelySettled leaves room for clocks that differ.
	surelySettled = time.Hour
)

// unsettledKey is in the metadata of a marker that another one may still replace for a while.
const unsettledKey = "Guppy-Unsettled"

// Identify makes the marker if there is none, and returns its identity. If several processes do so at once, they
// all return the identity that prevails.
func (s *S3) Identify(ctx context.Context) (string, error) {
	identity, unsettled, err := s.readMarker(ctx)

	switch {
	case err != nil || identity != "" && !unsettled:
		return identity, err
	// Another identity may still replace this one.
	case unsettled:
		if err := settle(ctx); err != nil {
			return "", s.failure(markerName, err)
		}
		return s.Marker(ctx)
	}

	mine := rand.Text()
	for attempt := 1; attempt < mostAttempts; attempt++ {
		if err := s.publish(ctx, mine); err != nil {
			return "", s.failure(markerName, err)
		}

		if identity, err := s.Marker(ctx); err != nil || identity != "" {
			return identity, err
		}

		// Another process's marker is on its way.
		if err := pauseBefore(ctx, attempt); err != nil {
			return "", s.failure(markerName, err)
		}
	}

	return "", s.failure(markerName, errors.New("the object that was written is missing: is somebody removing it?"))
}

// Marker returns the identity in the marker, or "" if there is no marker.
func (s *S3) Marker(ctx context.Context) (string, error) {
	identity, _, err := s.readMarker(ctx)
	return identity, err
}

// readMarker returns the identity in the marker. It reports whether another marker may still replace it.
func (s *S3) readMarker(ctx context.Context) (identity string, unsettled bool, err error) {
	content, info, err := s.note(ctx, markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}

	identity, err = parseMarker(content, s.bucket.url(markerName))
	young := time.Since(info.LastModified) < surelySettled
	return identity, young && info.UserMetadata[unsettledKey] != "", err
}

// Mark implements Store.
func (s *S3) Mark(ctx context.Context, identity string) error {
	was, err := s.Marker(ctx)

	switch {
	case errors.Is(err, ErrDamagedMarker):
		if err := s.rename(ctx, markerName, markerName+asideSuffix); err != nil {
			return s.failure(markerName, err)
		}
	case err != nil:
		return err
	case was != "":
		return s.failure(markerName, alreadyIs(was))
	}

	if err := s.publish(ctx, identity); err != nil {
		return s.failure(markerName, err)
	}

	// Another process may have marked the store at the same time.
	now, err := s.Marker(ctx)
	if err == nil && now != identity {
		err = s.failure(markerName, alreadyIs(now))
	}
	return err
}

// publish puts the marker in the bucket unless there is one.
func (s *S3) publish(ctx context.Context, identity string) error {
	conditions, err := s.hasConditions(ctx)
	if err != nil {
		return ended(ctx, err)
	}

	if !conditions {
		return s.publishUnsettled(ctx, identity)
	}

	if err := s.put(ctx, markerName, identity+"\n", unlessThere()); err != nil && !isThere(err) {
		return ended(ctx, err)
	}
	return nil
}

// ProbeOwner is the owner of objects that are put on a server to test its behavior.
const ProbeOwner = "probe"

// hasConditions reports whether the server can refuse to replace an object that another process has put.
func (s *S3) hasConditions(ctx context.Context) (bool, error) {
	probe := temporaryName(ProbeOwner)
	// Unfinished finds a probe that stays behind.
	defer func() { _ = s.remove(ctx, probe) }()

	err := s.put(ctx, probe, "", unlessThere())
	if err == nil {
		err = s.put(ctx, probe, "", unlessThere())
	}

	switch {
	case isThere(err):
		return true, nil
	case err == nil || knowsNoCondition(err):
		return false, nil
	}

	return false, err
}

// publishUnsettled is publish for servers without conditional requests. A process that cannot put the marker
// within putWithin gives up, and the caller looks again.
func (s *S3) publishUnsettled(ctx context.Context, identity string) error {
	soon, cancel := context.WithTimeout(ctx, putWithin)
	defer cancel()

	marker, err := s.Marker(soon)
	if err == nil && marker == "" {
		options := minio.PutObjectOptions{UserMetadata: map[string]string{unsettledKey: "true"}}
		err = s.put(soon, markerName, identity+"\n", options)
	}

	if err != nil && (ctx.Err() != nil || soon.Err() == nil) {
		return ended(ctx, err)
	}

	return settle(ctx)
}

// unlessThere returns options that make the server refuse to replace an object.
func unlessThere() (options minio.PutObjectOptions) {
	options.SetMatchETagExcept("*")
	return options
}

// settle waits until all identities that were put at the same time are there.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(settleFor):
		return nil
	}
}

// isThere reports whether the server has refused to replace an object.
func isThere(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) &&
		(answer.StatusCode == http.StatusPreconditionFailed || answer.StatusCode == http.StatusConflict)
}

// knowsNoCondition reports whether the server does not support conditional requests.
func knowsNoCondition(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) &&
		(answer.StatusCode == http.StatusNotImplemented || answer.StatusCode == http.StatusBadRequest)
}

func alreadyIs(identity string) error { return fmt.Errorf("it already is %s", identity) }
