//go:build long

package chaos_test

import "testing"

// TestAnswersOfOtherCommitsAreLost is TestAnswersOfCommitsAreLost for all other commits of a preparation.
func TestAnswersOfOtherCommitsAreLost(t *testing.T) {
	loseAnswers(t, []commit{
		{"claim a shard", true, []string{"UPDATE shards SET worker", "lease_seen"}},
		{"save the plan", false, []string{"planned_shards + $"}},
		{"open the upload", false, []string{"SELECT id FROM sources", "UPDATE uploads SET", "started_at"}},
		{"claim a stage", true, []string{"UPDATE uploads SET worker", "lease_seen"}},
		{"save the scan", false, []string{"found_entries + $1"}},
		{"advance", true, []string{"UPDATE uploads SET state = $1, attempts", "stage_began"}},
		{"save links", false, []string{"linked_entries + $1"}},
		{"advance to packing", true, []string{"UPDATE uploads SET state = CASE", "stage_began", "lease_began = "}},
		{"record the root", false, []string{"UPDATE uploads SET state", "root_cid = $", "stage_bytes = packed_bytes"}},
	})
}
