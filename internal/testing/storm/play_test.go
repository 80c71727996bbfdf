//go:build linux

package storm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// claim is what exit code 0 promises: this upload is complete, and this is its root.
type claim struct {
	Upload int64  `json:"upload"`
	Root   string `json:"root_cid"`
	State  string `json:"state"`
	by     string
}

// play runs the commands of a slot, one after the other.
func (s *storm) play(ctx context.Context, t *testing.T, slot int) {
	for number, step := range s.plan.slots[slot] {
		if !rest(ctx, step.pause) {
			return
		}

		p := s.start(t, s.stormy, s.arguments(step, fmt.Sprintf("%d-%d", slot, number))...)
		s.note("%d: begin %s", slot, p)
		s.setCurrent(slot, p)

		code := p.wait(t)
		s.setCurrent(slot, nil)
		s.note("%d: exit code %d: %s: %s", slot, code, p, tail(p.stderr.String()))
		s.tally(step.what, code)
		s.judge(t, p, step.what, code)
	}
}

func (s *storm) setCurrent(slot int, p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current[slot] = p
}

// arguments returns the command line of a step.
func (s *storm) arguments(step step, name string) []string {
	source := s.trees[step.source]
	switch step.what {
	case "prepare":
		return []string{"prepare", source.mount, "--json"}
	case "upload all":
		return []string{"upload", space, "--json"}
	case "upload one":
		return []string{"upload", space, fmt.Sprintf("source-%d", step.source), "--json"}
	case "worker":
		return []string{"worker", "--exit-when-idle"}
	case "gc":
		return []string{"gc", "--yes"}
	case "gc strays":
		return []string{"gc", "--yes", "--strays"}
	case "rm":
		return []string{"upload", "rm", itoa(s.victim(step.pick)), "--yes"}
	case "backup":
		return []string{"backup", s.path("out/backup.db"), "--force"}
	case "transfer":
		return []string{"transfer", "--allow-live", "--to", s.path("out/transfer-" + name + ".db")}
	case "check":
		return []string{"check"}
	case "repair":
		return []string{"check", "--repair", "--yes"}
	}
	panic("no such step: " + step.what)
}

// victim returns one of the uploads that may exist.
func (s *storm) victim(pick uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := int64(1)
	for _, c := range s.claims {
		latest = max(latest, c.Upload)
	}
	upload := 1 + int64(pick%uint64(latest+1))
	s.removed[upload] = true
	return upload
}

// documented are the exit codes of a command that was not told to end. No command in a storm is a usage error.
var documented = []int{0, 1, 3, 4}

// judge compares what a command reports with what may be true.
func (s *storm) judge(t *testing.T, p *process, what string, code int) {
	t.Helper()
	output := tail(p.stdout.String()) + tail(p.stderr.String())
	switch {
	case p.panicked():
		t.Errorf("%s: it panicked:\n%s", p, &p.stderr)
	case p.signalled.Load() && (code == -1 || code == 130): // the signal may come before the command catches it
	case !slices.Contains(documented, code):
		t.Errorf("%s: exit code %d\n%s", p, code, output)
	case (what == "check" || what == "repair") && code == 3 && damaged(p.stdout.String()):
		t.Errorf("%s finds problems:\n%s", p, output)
	case code == 0 && what == "rm":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gone = append(s.gone, p.args[2])
	case code == 0 && (what == "prepare" || what == "upload all" || what == "upload one"):
		s.believe(t, p, what)
	}
}

// damaged reports whether a check finds more than what killed processes leave: temporary files, which are problems, and
// files whose rows were about to follow, which are notes.
func damaged(found string) bool {
	for line := range strings.Lines(found) {
		code, _, isProblem := strings.Cut(line, ": ")
		if isProblem && !strings.Contains(code, " ") && code != "note" && code != "store-temporary" {
			return true
		}
	}
	return false
}

// believe keeps the claims of a command until they can be checked.
func (s *storm) believe(t *testing.T, p *process, what string) {
	t.Helper()
	var view struct {
		claim
		Uploads []claim `json:"uploads"`
	}
	if err := json.Unmarshal(p.stdout.Bytes(), &view); err != nil {
		t.Errorf("%s: %v in %q", p, err, &p.stdout)
		return
	}

	if what == "prepare" {
		view.Uploads = []claim{view.claim}
	}
	if len(view.Uploads) == 0 {
		t.Errorf("%s: it claims nothing: %s", p, &p.stdout)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range view.Uploads {
		if c.by = p.String(); c.State != "complete" || c.Root == "" || c.Upload == 0 {
			t.Errorf("%s: exit code 0, but %+v", p, c)
		}
		s.claims = append(s.claims, c)
	}
}
