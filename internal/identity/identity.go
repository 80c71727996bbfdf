// Package identity makes the keys that name spaces.
package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mr-tron/base58"

	"github.com/guppy-prep/guppy/internal/host/durable"
)

// ed25519Code is the multicodec code of an Ed25519 public key, as a varint.
var ed25519Code = []byte{0xed, 0x01}

// Key is a private key in a file, and the DID of its public key.
type Key struct {
	DID  string
	File string
}

// Create makes a new Ed25519 key and writes it as PKCS#8 PEM, with mode 0600, to DATA_DIR/keys. When Create
// returns, the file and the directories made for it are durable.
func Create(dataDir string) (Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("create a key: %w", err)
	}

	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("create a key: %w", err)
	}

	key := Key{DID: DID(public)}
	directory := filepath.Join(dataDir, keysDirectory)

	if err := durable.MakeDirectory(directory, 0o700); err != nil {
		return Key{}, fmt.Errorf("store a key: %w", err)
	}

	// Colons are not allowed in file names everywhere.
	key.File = filepath.Join(directory, strings.ReplaceAll(key.DID, ":", "_")+suffix)
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})

	if err := durable.CreateFile(key.File, content, 0o600); err != nil {
		return Key{}, fmt.Errorf("store a key: %w", err)
	}
	return key, nil
}

const (
	keysDirectory = "keys"
	suffix        = ".pem"
)

// Keys returns the files of the keys in DATA_DIR/keys that Create wrote, keyed by the DIDs in their names.
func Keys(dataDir string) (map[string]string, error) {
	directory := filepath.Join(dataDir, keysDirectory)
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the keys: %w", err)
	}

	files := map[string]string{}
	for _, entry := range entries {
		name, isKey := strings.CutSuffix(entry.Name(), suffix)
		if isKey && strings.HasPrefix(name, "did_key_") {
			files[strings.ReplaceAll(name, "_", ":")] = filepath.Join(directory, entry.Name())
		}
	}
	return files, nil
}

// Remove deletes the file of a key that was not used.
func (k Key) Remove() error { return os.Remove(k.File) }

// DID returns the did:key of an Ed25519 public key: https://w3c-ccg.github.io/did-key-spec/
func DID(public ed25519.PublicKey) string {
	return "did:key:z" + base58.Encode(append(append([]byte{}, ed25519Code...), public...))
}
