package dialect

import "testing"

func TestCheckFilesystemLeavesLocalAndUnknownToOpen(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/nowhere/at/all"} {
		for _, allow := range []bool{false, true} {
			if err := checkFilesystem(dir, allow); err != nil {
				t.Error(err)
			}
		}
	}
}
