package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mr-tron/base58"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptKey checks that a data directory has one key, which yields a DID and is in no other file: key DIR DID
func scriptKey(ts *testscript.TestScript, args []string) error {
	directory := ts.MkAbs(args[0])
	files, err := filepath.Glob(filepath.Join(directory, "keys", "*"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("want one key, found %s, %w", files, err)
	}

	key, err := readKey(files[0])
	if err != nil {
		return err
	}

	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("a public key of type %T", key.Public())
	}

	if did := "did:key:z" + base58.Encode(append([]byte{0xed, 0x01}, public...)); did != args[1] {
		return fmt.Errorf("the key makes %s, want %s", did, args[1])
	}

	return absentElsewhere(directory, files[0], key)
}

func readKey(path string) (ed25519.PrivateKey, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}

	block, rest := pem.Decode(content)
	if block == nil || len(rest) > 0 {
		return nil, fmt.Errorf("%s is not one PEM block", path)
	}

	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}

	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", parsed)
	}

	return key, nil
}

// absentElsewhere looks for the key in all other files, raw and in base64.
func absentElsewhere(directory, file string, key ed25519.PrivateKey) error {
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}

	body := []byte(base64.StdEncoding.EncodeToString(encoded))

	return filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == file {
			return err
		}

		content, err := os.ReadFile(path)
		if err == nil && (bytes.Contains(content, key.Seed()) || bytes.Contains(content, body)) {
			err = fmt.Errorf("%s holds the private key", path)
		}
		return err
	})
}
