//go:build long

package check_test

import (
	"os"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestAllThatIsGoodIsKeptOfAnything has the harms that TestAllThatIsGoodIsKept lacks.
func TestAllThatIsGoodIsKeptOfAnything(t *testing.T) {
	keepAllGood(t, map[string]salvageable{
		"header": func(_ *fixture, path string, _ sqlrepo.Node) error { return flipAt(path, 3) },
		"cut and set aside": func(_ *fixture, path string, _ sqlrepo.Node) error {
			content, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path+".damaged", append(content, "more"...), 0o600)
			}

			if err == nil {
				err = os.Truncate(path, 100)
			}
			return err
		},
		"nodes, too": func(f *fixture, path string, block sqlrepo.Node) error {
			f.execute("UPDATE nodes SET position = position + 1 WHERE position < ? AND shard = ?", block.Position,
				f.shardOf(0, sqlrepo.DataShard))
			return flipAt(path, int64(block.Position)-9)
		},
	})
}
