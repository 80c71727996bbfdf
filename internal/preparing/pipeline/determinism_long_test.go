//go:build long

package pipeline_test

import "testing"

// The following compare what all engines make with each number of workers.

func TestShardsDependOnNoWorkers(t *testing.T)    { dependOnContent(t, workforces(1, 2, 8)...) }
func TestEachBlockIsStoredOnceByAny(t *testing.T) { storeOnce(t, workforces(1, 8)...) }
func TestPieceCIDsDependOnNoWorkers(t *testing.T) { computePieces(t, workforces(1, 4)...) }
func TestIndexesDependOnNoWorkers(t *testing.T)   { indexContent(t, workforces(1, 4)...) }

// TestManyInterruptedLinksGiveTheSameShards is TestInterruptedLinksGiveTheSameShards with more checks.
func TestManyInterruptedLinksGiveTheSameShards(t *testing.T) { interruptLinks(t) }

// TestARunGoesOnFromEachBackup finishes the upload from all backups.
func TestARunGoesOnFromEachBackup(t *testing.T) { goOnFromBackups(t, 1) }

// TestARunThatHasHardlyBegunGoesOnElsewhere is TestAnInterruptedRunGoesOnElsewhere at the first shard.
func TestARunThatHasHardlyBegunGoesOnElsewhere(t *testing.T) { goOnElsewhere(t, 1) }
