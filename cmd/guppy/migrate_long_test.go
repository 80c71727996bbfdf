//go:build long

package main

import (
	"strings"
	"testing"
)

// TestTenProcessesMigrateAtOnce starts ten processes on a database that does not exist yet, and on one that lacks
// a migration.
func TestTenProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	program := build(t)
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			i := install(t, program, e)

			for range 2 {
				var started []*process
				for range 10 {
					started = append(started, i.start(t, "migrate", "up"))
				}

				worked := 0
				for _, p := range started {
					if code := p.exit(t); code != 0 {
						t.Errorf("exit code %d\n%s", code, &p.stderr)
					}
					worked += strings.Count(p.stdout.String(), "  0009 lacking\n")
				}

				if worked != 1 {
					t.Errorf("%d processes have migrated", worked)
				}

				i.run(t, "migrate", "status")
				i.run(t, "migrate", "down", "--yes")
			}
		})
	}
}
