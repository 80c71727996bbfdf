package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// ErrDamagedMarker is returned if the file with the store's identity holds something else.
var ErrDamagedMarker = errors.New("damaged store marker")

const markerName = ".guppy-store"

// A marker holds a text of crypto/rand, which is Base32 and may become longer.
const (
	minIdentity      = 26
	identityAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// Identify makes the marker file if there is none, and returns its identity. If several processes do so at once,
// they all return the identity that prevails.
func (d *Directory) Identify(ctx context.Context) (string, error) {
	identity, err := d.Marker(ctx)
	if err != nil {
		return "", err
	}

	if identity == "" {
		err := durable.PublishFile(d.marker(), []byte(rand.Text()+"\n"), durable.Shared)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", d.failure(err)
		}
		if identity, err = d.readMarker(); err != nil {
			return "", d.failure(err)
		}
	}

	// Another process may just have made the marker and not synced it yet.
	if err := durable.SyncDirectory(d.path); err != nil {
		return "", d.failure(err)
	}

	return identity, nil
}

// Marker returns the identity in the marker file, or "" if there is no such file.
func (d *Directory) Marker(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", d.failure(err)
	}

	identity, err := d.readMarker()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", d.failure(err)
	}

	return identity, nil
}

func (d *Directory) marker() string { return filepath.Join(d.path, markerName) }

func (d *Directory) readMarker() (string, error) {
	content, err := os.ReadFile(d.marker())
	if err != nil {
		return "", err
	}

	identity, err := parseMarker(string(content), d.marker())
	if err == nil {
		d.identity.CompareAndSwap(nil, &identity)
	}
	return identity, err
}

// parseMarker returns the identity that a marker holds. where names the marker in an error.
func parseMarker(content, place string) (string, error) {
	identity, ends := strings.CutSuffix(content, "\n")
	if !ends || len(identity) < minIdentity || strings.Trim(identity, identityAlphabet) != "" {
		return "", fmt.Errorf("%w: %s has no line of %d letters and digits: guppy check --repair --yes restores "+
			"it; remove it only if the store has no shards", ErrDamagedMarker, place, minIdentity)
	}
	return identity, nil
}
