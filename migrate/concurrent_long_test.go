//go:build long

package migrate

import (
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
)

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, settings dialect.Settings) {
		const count = 10
		outputs, errs := make([][]byte, count), make([]error, count)
		var group sync.WaitGroup
		for i := range count {
			group.Go(func() {
				process := exec.CommandContext(t.Context(), os.Args[0])
				process.Env = append(os.Environ(), envEnsure+"="+settings.URL.Reveal())
				outputs[i], errs[i] = process.CombinedOutput()
			})
		}
		group.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("process %d: %v: %s", i, err, outputs[i])
			}
		}
		m := New(settings)
		requireVersion(t, m, mustStatus(t, m).Required, false)
	})
}
