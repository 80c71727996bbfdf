package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// TestDID checks the first Ed25519 vector of https://w3c-ccg.github.io/did-key-spec/, whose seed is 32 zero bytes.
func TestDID(t *testing.T) {
	public, ok := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("no Ed25519 key")
	}
	if got := hex.EncodeToString(public); got != "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29" {
		t.Fatalf("public key %s", got)
	}
	if got, want := DID(public), "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	key, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}

	info, err := os.Stat(key.File)
	if err != nil || info.Mode() != 0o600 || filepath.Dir(key.File) != filepath.Join(dir, "keys") {
		t.Errorf("%s: %v, %v", key.File, info, err)
	}

	content, err := os.ReadFile(key.File)
	if err != nil {
		t.Fatal(err)
	}

	block, _ := pem.Decode(content)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}

	// The DID in the name is that of the key in the file.
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok || DID(private.Public().(ed25519.PublicKey)) != key.DID {
		t.Errorf("the file has another key than %s", key.DID)
	}

	// Keys do not replace each other.
	if again, err := Create(dir); err != nil || again.DID == key.DID {
		t.Errorf("a second key: %s, %v", again.DID, err)
	}
	if err := key.Remove(); err != nil {
		t.Error(err)
	}

	if _, err := os.Stat(key.File); !os.IsNotExist(err) {
		t.Errorf("the key is still there: %v", err)
	}
}
