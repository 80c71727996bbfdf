package check_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/internal/upkeep/check/checktest"
)

// copyProblems returns the problems of copies that a check finds, as CODE FILE.
func (f *fixture) copyProblems(checker check.Checker) (found []string) {
	f.Helper()
	problems, err := checktest.Find(f.Context(), checker)
	must(f, err)
	for _, p := range problems {
		if !strings.HasPrefix(p.Code, "copy-") {
			continue
		}
		found = append(found, p.Code+" "+p.File)
		if p.Store != "replica" || p.Upload == 0 || p.Shard == 0 == (p.Index == 0) || p.Note {
			f.Errorf("%+v", p)
		}
	}
	slices.Sort(found)
	return found
}

// TestWhatReplicasLack: a replica has lost a copy, one was cut, and one has a wrong bit.
func TestWhatReplicasLack(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		l := newLoss(t, db)
		names := slices.Sorted(maps.Keys(l.names()))
		path := func(i int) string { return filepath.Join(l.sites[1].dir, names[i]) }
		must(t, os.Remove(path(0)))
		must(t, os.Truncate(path(1), 10))
		must(t, flip(path(2)))
		lengths := []string{"copy-length " + names[1], "copy-missing " + names[0]}
		all := append([]string{"copy-damaged " + names[2]}, lengths...)

		checker := l.everywhere()
		if found := l.copyProblems(checker); !slices.Equal(found, all) {
			t.Errorf("found %q instead of %q", found, all)
		}
		checker.ReadPercent = 0
		if found := l.copyProblems(checker); !slices.Equal(found, lengths) {
			t.Errorf("unread: found %q instead of %q", found, lengths)
		}
		checker.Replicas = false
		if found := l.copyProblems(checker); len(found) > 0 {
			t.Errorf("without replicas: found %q", found)
		}

		// Each upload finds what it needs itself, and all of them together everything.
		var each []string
		for _, upload := range l.uploads {
			checker := l.everywhere()
			checker.Upload = &upload.ID
			each = append(each, l.copyProblems(checker)...)
		}
		slices.Sort(each)
		if each = slices.Compact(each); !slices.Equal(each, all) {
			t.Errorf("upload by upload: found %q instead of %q", each, all)
		}
	})
}

// TestASampleOfCopies reads some of the copies, and looks at all of them.
func TestASampleOfCopies(t *testing.T) {
	t.Parallel()
	l := newLoss(t, enginetest.Engines()[0].Open(t))
	checker := l.everywhere()
	checker.ReadPercent = 50
	summary, err := checker.Run(t.Context(), func(p check.Problem) error { return fmt.Errorf("found %s", p) })
	must(t, err)

	// All three indexes and half of the six shards are read.
	if summary.Copies != 9 || summary.CopiesRead != 6 {
		t.Errorf("%d of %d copies were read", summary.CopiesRead, summary.Copies)
	}
}

// TestAReplicaThatIsAway is a problem of the check that was to look at it.
func TestAReplicaThatIsAway(t *testing.T) {
	t.Parallel()
	l := newLoss(t, enginetest.Engines()[0].Open(t))
	must(t, os.Rename(l.sites[1].dir, l.sites[1].dir+".away"))
	checker := l.everywhere()
	problems, err := checktest.Find(t.Context(), checker)
	must(t, err)
	if len(problems) != 1 || problems[0].Code != check.CodeStoreElsewhere || problems[0].Store != "replica" {
		t.Errorf("found %v", problems)
	}

	checker.Replicas = false
	l.soundIn(checker, "without replicas")
}

// TestACopyThatNoStoreHas is forgotten, and nothing in the replica is deleted.
func TestACopyThatNoStoreHas(t *testing.T) {
	t.Parallel()
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		l := newLoss(t, db)
		var shard string
		for name := range l.names() {
			if shard = name; strings.HasSuffix(name, ".car") {
				break
			}
		}
		for _, s := range l.sites {
			must(t, os.WriteFile(filepath.Join(s.dir, shard), []byte("damaged"), 0o600))
		}

		did, err := l.repairIn(l.everywhere(), false)
		must(t, err)
		if !slices.ContainsFunc(did, func(s string) bool {
			return strings.HasPrefix(s, "store replica: its copy of "+shard+" was forgotten")
		}) {
			t.Errorf("did %q", did)
		}
		content, err := os.ReadFile(filepath.Join(l.sites[1].dir, shard))
		if string(content) != "damaged" {
			t.Errorf("the replica has %q: %v", content, err)
		}

		// The replica is known to lack it, and another repair has nothing to do.
		replicas, err := l.repo.Replicas(t.Context())
		if err != nil || replicas[0].Files != 1 {
			t.Errorf("%+v, %v", replicas, err)
		}
		if did, err := l.repairIn(l.everywhere(), false); err != nil || len(did) > 0 {
			t.Errorf("again: %q, %v", did, err)
		}
	})
}

// TestAThirdStoreHealsAReplica: neither the store of the uploads nor the replica has a good file.
func TestAThirdStoreHealsAReplica(t *testing.T) {
	t.Parallel()
	l := newLoss(t, enginetest.Engines()[0].Open(t))
	third := directorySite(t)
	l.register(third, "third")
	for name, content := range l.sites[0].named(t) {
		must(t, os.WriteFile(filepath.Join(third.dir, name), content, 0o600))
		for _, s := range l.sites {
			must(t, os.WriteFile(filepath.Join(s.dir, name), nil, 0o600))
		}
	}

	did, err := l.repairIn(l.everywhere(), false)
	must(t, err)
	l.soundIn(l.everywhere(), fmt.Sprintf("after %q", did))
	l.whole("after the repair")
}
