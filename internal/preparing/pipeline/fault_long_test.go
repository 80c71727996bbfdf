//go:build long

package pipeline_test

import (
	"syscall"
	"testing"

	"github.com/guppy-prep/guppy/internal/source/sourcetest"
)

// TestEveryChangeOfAFileIsScannedAgain has the changes that TestAChangedFileIsScannedAgain lacks.
func TestEveryChangeOfAFileIsScannedAgain(t *testing.T) {
	scanAgain(t, map[string]func(*sourcetest.Synthetic){
		"a large file, first":    func(s *sourcetest.Synthetic) { s.Change(s.FilePath(0, 8), 1) },
		"a large file, last":     func(s *sourcetest.Synthetic) { s.Change(s.FilePath(1, 8), 5) },
		"a file that shrinks":    func(s *sourcetest.Synthetic) { s.Truncate(s.FilePath(1, 8), 3, 1<<20) },
		"a file that grows":      func(s *sourcetest.Synthetic) { s.Truncate(s.FilePath(1, 7), 1, 3<<20) },
		"a file that gets empty": func(s *sourcetest.Synthetic) { s.Truncate(s.FilePath(0, 1), 1, 0) },
	})
}

// TestEveryUnreadableDirectoryKeepsItsContent makes directories unreadable in other ways than
// TestAnUnreadableDirectoryKeepsItsContent.
func TestEveryUnreadableDirectoryKeepsItsContent(t *testing.T) {
	keepContent(t,
		hiding{"it can't be listed now", "readdir", syscall.ESTALE},
		hiding{"it can't be inspected", "lstat", syscall.EIO},
	)
}

// TestADirectoryIsUnreadableAtAnyTime makes a directory unreadable after each number of shards.
func TestADirectoryIsUnreadableAtAnyTime(t *testing.T) { unreadableAfter(t, 1, 2, 3, 4, 5) }

// TestNoShortageIsBlamedOnAFile has the shortages that TestAShortageIsBlamedOnNoFile lacks.
func TestNoShortageIsBlamedOnAFile(t *testing.T) { blameNoFile(t, syscall.ENFILE, syscall.ENOMEM) }

// TestADiskThatIsFullAnywhereLosesNothing fills the disk in more places than TestAFullDiskLosesNothing.
func TestADiskThatIsFullAnywhereLosesNothing(t *testing.T) { fillDisk(t, 5) }
