package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func install(t *testing.T, dir string, mode os.FileMode, names ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindPrograms(t *testing.T) {
	all := []string{"postgres", "initdb", "pg_ctl"}
	root := t.TempDir()
	nine := install(t, filepath.Join(root, "pg", "9.6", "bin"), 0o755, all...)
	ten := install(t, filepath.Join(root, "pg", "10", "bin"), 0o755, all...)
	install(t, filepath.Join(root, "pg", "11", "bin"), 0o755, "postgres", "initdb")
	install(t, filepath.Join(root, "pg", "12", "bin"), 0o644, all...)
	inPath := install(t, filepath.Join(root, "path"), 0o755, all...)
	clientOnly := install(t, filepath.Join(root, "client"), 0o755, "psql")
	every, only := filepath.Join(root, "pg", "*", "bin"), nine

	tests := map[string]struct {
		searchPath string
		patterns   []string
		want       string
	}{
		"search path first":              {clientOnly + ":" + inPath, []string{every}, inPath},
		"highest complete version":       {clientOnly, []string{every}, ten},
		"patterns in order":              {"", []string{only, every}, nine},
		"relative directories are no go": {"." + ":" + "", []string{only}, nine},
		"none":                           {clientOnly, []string{filepath.Join(root, "no", "*")}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := findPrograms(test.searchPath, test.patterns)
			if string(got) != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
			if (test.want == "") != errors.Is(err, ErrNoPrograms) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestNamedProgramsAreNotReplacedByOthers(t *testing.T) {
	complete := install(t, t.TempDir(), 0o755, "postgres", "initdb", "pg_ctl")
	incomplete := install(t, t.TempDir(), 0o755, "postgres", "initdb")
	t.Setenv("PATH", complete)

	for named, want := range map[string]string{"": complete, complete: complete, incomplete: "", "bin": ""} {
		t.Setenv(EnvPrograms, named)
		got, err := choosePrograms()
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", named, got, err)
		}
		if want == "" && !strings.Contains(err.Error(), EnvPrograms) {
			t.Errorf("%q: %v doesn't name the variable", named, err)
		}
	}
}

func TestVersion(t *testing.T) {
	tests := map[string]float64{
		"/usr/lib/postgresql/15/bin":          15,
		"/usr/lib/postgresql/9.6/bin":         9.6,
		"/opt/homebrew/opt/postgresql@17/bin": 17,
		"/opt/homebrew/opt/postgresql/bin":    0,
		"/usr/pgsql-16/bin":                   16,
	}
	for dir, want := range tests {
		if got := version(dir); got != want {
			t.Errorf("version(%s) = %v, want %v", dir, got, want)
		}
	}
}
