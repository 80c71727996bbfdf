//go:build long

package pipeline_test

import "testing"

// TestWhatChangesBeforeItIsReadIsScannedAgain is TestWhatChangesDuringARunIsScannedAgain with changes before any file
// is read.
func TestWhatChangesBeforeItIsReadIsScannedAgain(t *testing.T) { changeDuringRun(t, "before") }
