package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setUp,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                scriptCommands(),
	})
}

// setUp gives a script an empty home and the golden CIDs, as CID_tree and so on.
func setUp(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}

	env.Setenv("HOME", home)
	env.Vars = append(env.Vars, quickExit)

	// Programs that run unprivileged must be able to reach the directory.
	for _, path := range []string{filepath.Dir(env.WorkDir), env.WorkDir} {
		if err := os.Chmod(path, 0o755); err != nil {
			return err
		}
	}

	env.Values[testingKey{}] = env.T()
	golden, err := readGolden()
	for name, cids := range golden {
		env.Setenv("CID_"+name, cids["unixfs-v1-2025"])
	}
	return err
}

func readGolden() (golden map[string]map[string]string, err error) {
	content, err := os.ReadFile("../../testdata/golden/cids.json")
	if err != nil {
		return nil, err
	}
	return golden, json.Unmarshal(content, &golden)
}
