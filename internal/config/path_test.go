package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func TestPathsAreExpanded(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"cash$money", "$HOME", "100%DATE%", "~", "line\r"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}

	for path, want := range map[string]string{
		"": "", "x": "x", "/": "/", "~": home, "~/": home, "~/a/b": home + "/a/b",
		"~/./$x": home + "/./$x", "./~x": "./~x", "./$HOME/x": "./$HOME/x", "/./${X}": "/./${X}", "a/~x": "a/~x",
		"cash$money/x": "cash$money/x", "100%DATE%": "100%DATE%", "$": "$", "$5": "$5", "50%": "50%",
		"a%20b%20c":       "a%20b%20c",
		here + "/$HOME/x": here + "/$HOME/x", here + "/~": here + "/~", "line\r": "line\r", "a\rb": "a\rb",
	} {
		if got, err := config.ExpandPath(home, path); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", path, got, err, want)
		}
	}

	for path, want := range map[string]string{
		"~user": `"~/"`, "~user/x": `"~/"`, "/data/~/x": `"~/"`, "~x.car": `"~/"`,
		"$HOME": "variables", "$HOME/x": "variables", "${HOME}/x": "variables", "${X:-y}": "variables", "%TEMP%": "variables",
		`%USERPROFILE%\x`: "variables", "/data/$USER/x": "variables", "a/b-$HOST.db": "variables", "~/$USER": "variables",
		"../$X": "variables", "price$list": "variables", "x\r": "carriage return", "line\r/x\r": "carriage return",
	} {
		if got, err := config.ExpandPath(home, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v", path, got, err)
		}
	}
}

func TestStoresAndDatabasesAreExpanded(t *testing.T) {
	for location, want := range map[string]string{
		"~/s": home + "/s", "name": "name", "none:": "none:", "s3://$bucket": "s3://$bucket", "file:///s": "file:///s",
		"./$s": "./$s", "gopher:$x": "gopher:$x", "$s": "!", "file:///$HOME/s": "!", "file:///~/s": "!", "~op": "!",
	} {
		got, err := config.ExpandStore(home, location)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("store %q: got %q, %v, want %q", location, got, err, want)
		}
	}

	for url, want := range map[string]string{
		"": "", "~/x.db": home + "/x.db", "./$x.db": "./$x.db", "/x.db": "/x.db", "sqlite:///x.db": "sqlite:///x.db",
		"postgres://u:$pw@h/db": "postgres://u:$pw@h/db", "host=h password=$pw": "host=h password=$pw",
		"postgres://h/$db": "postgres://h/$db", "$HOME/x.db": "!", "~op/x.db": "!", "sqlite:///$HOME/x.db": "!",
		"sqlite:///~/x.db": "!", "file:~/x.db": "!", "file:$X.db": "!", "%TEMP%/x.db": "!",
	} {
		got, err := config.ExpandDatabaseURL(home, url)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("database %q: got %q, %v, want %q", url, got, err, want)
		}
	}
}

func TestPathsOfAllLayersAreChecked(t *testing.T) {
	const variables = ": variables such as $HOME or %TEMP% are not replaced"

	file := write(t, "c.yaml", "repo:\n  data_dir: $HOME/guppy\n  password_file: ${HOME}/pw\n")
	err := mustFail(t, config.Input{HomeDir: home, File: file,
		Environ: []string{"GUPPY_PREPARE_STORE=~op/shards", "GUPPY_STORE_PATHS=a=/x,b=$B/x"},
		Flags: map[string]config.Flag{
			"prepare.exclude_file": {Name: "exclude-file", Value: "%TEMP%/x"},
			"worker.source_paths":  {Name: "source-path", Value: []string{"src=$SRC"}},
		}})
	assertMentions(t, err, "c.yaml:2: repo.data_dir: \"$HOME/guppy\""+variables,
		"c.yaml:3: repo.password_file: \"${HOME}/pw\""+variables,
		`environment GUPPY_PREPARE_STORE: prepare.store: "~op/shards": only a "~/"`,
		`environment GUPPY_STORE_PATHS: store.paths: "$B/x"`+variables,
		`flag --exclude-file: prepare.exclude_file: "%TEMP%/x"`+variables,
		`flag --source-path: worker.source_paths: "$SRC"`+variables)

	// A URL may have a password, so nothing of it is shown.
	err = mustFail(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_DATABASE_URL=$HOME/hunter2.db"}})
	assertMentions(t, err, "environment GUPPY_DATABASE_URL: repo.database_url"+variables)
	if strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// TestLiteralPathsStay requires that a data directory after "./" makes no path that is taken for something else.
func TestLiteralPathsStay(t *testing.T) {
	for _, dir := range []string{"./$x", "./~x", "./~", "/./$x", "~/./$x"} {
		c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_DATA_DIR=" + dir}})
		assertLoaded(t, c, nil)

		if want, _ := config.ExpandPath(home, dir); filepath.Clean(c.Prepare.Store) != filepath.Join(want, "shards") {
			t.Errorf("%s: got %+v", dir, c)
		}
	}
}
