package config

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWhiteSpaceAroundURLsIsTrimmed uses white space as of a file from which a variable was set. The name of a
// directory may contain white space.
func TestWhiteSpaceAroundURLsIsTrimmed(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("\n se cret \r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	c, err := Load(Input{HomeDir: "/home/user", Environ: []string{
		"GUPPY_REPO_DATABASE_URL= postgres://user@host/db\n", "GUPPY_REPO_MIGRATE_URL=\tpostgres://owner@host/db \n",
		"GUPPY_REPO_PASSWORD_FILE=" + password, "GUPPY_PREPARE_STORE=/photos ",
	}})
	if err != nil {
		t.Fatal(err)
	}

	for got, want := range map[string]string{
		c.Repo.DatabaseURL.Reveal(): "postgres://user@host/db", c.Repo.MigrateURL.Reveal(): "postgres://owner@host/db",
		c.Repo.Password.Reveal(): " se cret ", c.Prepare.Store: "/photos ",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}

	c, err = Load(Input{HomeDir: "/home/user", Environ: []string{"GUPPY_PREPARE_STORE= file:///photos\n"}})
	if err != nil || c.Prepare.Store != "/photos" {
		t.Errorf("%v; %v", c, err)
	}
}
