//go:build long

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// long reports whether tests have the build tag long.
const long = true

// TestLongScripts runs the scripts that TestScripts does not run completely without the tag.
func TestLongScripts(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(scripts, "*.txtar"))
	noError(t, err)

	var params testscript.Params
	for _, path := range all {
		content, err := os.ReadFile(path)
		noError(t, err)
		if bytes.Contains(content, []byte("long]")) {
			params.Files = append(params.Files, path)
		}
	}
	runScripts(t, params)
}
