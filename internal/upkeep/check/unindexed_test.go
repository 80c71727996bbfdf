package check_test

import (
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/upkeep/check"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/audit"
)

// TestOnlyUploadsThatHadIndexesMissThem: an upload from before there were indexes is sound, whether or not some of
// its shards are in an index by now. A shard that fits into no index is sound as well.
func TestOnlyUploadsThatHadIndexesMissThem(t *testing.T) {
	enginetest.EachLong(t, func(t *testing.T, db *dialect.DB) {
		f := newFixture(t, db)
		expect := func(when, code string, note bool, number int) {
			t.Helper()
			var problems []check.Problem
			for _, problem := range f.problems() {
				switch problem.Code {
				case audit.FlawShardUnindexed, audit.FlawUploadUnindexed, audit.FlawShardOverfull:
					problems = append(problems, problem)
					if problem.Code != code || problem.Note != note {
						t.Errorf("%s: %s", when, problem)
					}
				}
			}

			if len(problems) != number {
				t.Errorf("%s: %d times %s", when, len(problems), code)
			}
		}

		f.execute("UPDATE shards SET blob_index = NULL")
		f.execute("DELETE FROM indexes")
		expect("all indexes are gone", audit.FlawShardUnindexed, false, 2)
		f.execute("UPDATE uploads SET index_layout = ''")
		expect("all uploads are from before", audit.FlawUploadUnindexed, true, 2)
		f.repair()
		f.sound("covered")

		f.execute("UPDATE shards SET blob_index = NULL WHERE id = " + dataShard)
		f.execute("UPDATE indexes SET shards = shards - 1, slices = slices - 1 - (SELECT nodes FROM shards WHERE id = " +
			dataShard + ") WHERE shards > 1")
		expect("one shard of an upload from before", audit.FlawUploadUnindexed, true, 1)
		f.execute("UPDATE shards SET nodes = ? WHERE id = "+dataShard, sqlrepo.MaxIndexSlices)
		expect("a shard with too many blocks", audit.FlawShardOverfull, true, 1)
	})
}
