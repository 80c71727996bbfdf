package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const scripts = "testdata/script"

func TestScripts(t *testing.T) { runScripts(t, testscript.Params{Dir: scripts}) }

// runScripts runs scripts, in which [long] stands before what only runs with the build tag long.
func runScripts(t *testing.T, params testscript.Params) {
	t.Helper()
	further := params.Setup
	params.Setup = func(env *testscript.Env) error {
		if err := setUp(env); err != nil || further == nil {
			return err
		}
		return further(env)
	}
	params.Cmds = scriptCommands()
	params.RequireExplicitExec, params.RequireUniqueNames = true, true
	params.Condition = func(name string) (bool, error) {
		if name == "long" {
			return long, nil
		}
		return false, fmt.Errorf("there is no condition %q", name)
	}
	testscript.Run(t, params)
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

	env.Values[testingKey{}], env.Values[serverKey{}] = env.T(), &s3Server{}
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
