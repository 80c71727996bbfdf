package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// noon is the time at which these tests look at uploads.
var noon = sqlrepo.NewTime(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))

func before(seconds int) sqlrepo.Time {
	return sqlrepo.NewTime(noon.Add(-time.Duration(seconds) * time.Second))
}

// packing returns an upload that has been packed for a minute.
func packing(change func(*sqlrepo.OpenUpload)) sqlrepo.OpenUpload {
	u := sqlrepo.OpenUpload{Now: noon}
	u.ID, u.State, u.StageBegan = 3, sqlrepo.Packing, before(60)
	u.PlannedFiles, u.PlannedBytes, u.PlannedShards = 10, 100<<20, 8
	u.PackedFiles, u.PackedBytes, u.SettledShards = 4, 40<<20, 3
	if change != nil {
		change(&u)
	}
	return u
}

func live(ordinal int64, read int64) sqlrepo.Shard {
	return sqlrepo.Shard{Ordinal: ordinal, Lease: sqlrepo.Lease{
		Token: 1, Worker: "nas/host/12", Began: before(20), Seen: before(5), Ends: before(-55), Progress: read,
	}}
}

func TestStatusText(t *testing.T) {
	lost := live(4, 9<<20)
	lost.Seen, lost.Ends = before(75), before(15)

	failed, again, aside := live(5, 0), sqlrepo.Shard{Ordinal: 6}, sqlrepo.Shard{Ordinal: 7}
	failed.Attempts, failed.Error = 1, "new\nline"
	again.Attempts, again.Error, again.RetryAt = 2, "broken", before(-8)
	aside.Attempts, aside.Error, aside.SetAside = 5, "given up", before(180)

	for _, c := range []struct {
		name   string
		upload sqlrepo.OpenUpload
		shards []sqlrepo.Shard
		want   []string
	}{
		{"packing", packing(nil), []sqlrepo.Shard{live(3, 20<<20)}, []string{
			"upload 3  s/src  packing for 1m0s",
			"  4 of 10 files, 60.0 MiB of 100.0 MiB, 3 of 8 shards, 1.0 MiB/s, 40s left",
			"  nas/host, process 12: shard 3 for 20s, 20.0 MiB read, last heard from 5s ago",
		}},
		{"more was read than there is", packing(nil), []sqlrepo.Shard{live(3, 90<<20)}, []string{
			"upload 3  s/src  packing for 1m0s",
			"  4 of 10 files, 100.0 MiB of 100.0 MiB, 3 of 8 shards, 1.7 MiB/s, 0s left",
			"  nas/host, process 12: shard 3 for 20s, 90.0 MiB read, last heard from 5s ago",
		}},
		{"a lease that ended", packing(nil), []sqlrepo.Shard{lost}, []string{
			"upload 3  s/src  packing for 1m0s",
			"  4 of 10 files, 40.0 MiB of 100.0 MiB, 3 of 8 shards",
			"  nas/host, process 12: shard 4, silent for 1m15s; others may take over",
			"  nobody is at work on it: guppy worker or guppy upload s src continues it",
		}},
		{"failures", packing(func(u *sqlrepo.OpenUpload) {
			u.AsideShards = 1
		}), []sqlrepo.Shard{failed, again, aside}, []string{
			"upload 3  s/src  packing for 1m0s",
			"  4 of 10 files, 40.0 MiB of 100.0 MiB, 3 of 8 shards, 682.7 KiB/s, 1m30s left",
			"  nas/host, process 12: shard 5 for 20s, 0 B read, last heard from 5s ago",
			`  failed once, shard 5, being tried again: new; line`,
			"  failed 2 times, shard 6, to be tried again in 8s: broken",
			"  set aside 3m0s ago, shard 7, failed 5 times: given up",
		}},
		{"stuck", packing(func(u *sqlrepo.OpenUpload) {
			u.SettledShards, u.AsideShards = 7, 1
		}), []sqlrepo.Shard{aside}, []string{
			"upload 3  s/src  packing",
			"  4 of 10 files, 40.0 MiB of 100.0 MiB, 7 of 8 shards",
			"  set aside 3m0s ago, shard 7, failed 5 times: given up",
			"  everything else is done: guppy upload s src tries again what was set aside",
		}},
		{"a stage that was set aside", packing(func(u *sqlrepo.OpenUpload) {
			u.State, u.PlannedFiles, u.PackedFiles, u.PlannedBytes, u.PackedBytes = sqlrepo.Planning, 1, 0, 1, 0
			u.PlannedShards, u.SettledShards = 1, 0
			u.Attempts, u.Error, u.SetAside = 5, "given up", before(180)
		}), nil, []string{
			"upload 3  s/src  planning",
			"  0 of 1 file, 0 B of 1 B, 0 of 1 shard",
			"  set aside 3m0s ago, planning, failed 5 times: given up",
			"  nothing goes on after that: guppy upload s src tries again what was set aside",
		}},
		{"a stage", packing(func(u *sqlrepo.OpenUpload) {
			u.State, u.Found, u.Linked, u.Lease = sqlrepo.Linking, 30, 20, live(0, 20).Lease
		}), nil, []string{
			"upload 3  s/src  linking for 1m0s", "  20 of 30 entries",
			"  nas/host, process 12: linking for 20s, last heard from 5s ago",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newUploadStatus(sqlrepo.Space{Name: "s"}, sqlrepo.Source{Name: "src"}, c.upload, c.shards)
			newStatusSampler(nil, nil).measure(c.upload, &v)

			var out strings.Builder
			v.text(&out)
			if got, want := unmarked(out.String()), strings.Join(c.want, "\n")+"\n"; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// TestWatchAsksSeldom counts the queries of samples. They must stay under one a second, even with the first
// sample, which asks for names.
func TestWatchAsksSeldom(t *testing.T) {
	for _, engine := range enginetest.Engines() {
		t.Run(engine.Name, func(t *testing.T) {
			var recorder enginetest.Recorder
			db := engine.Record(t, &recorder)
			repo := sqlrepo.New(db)

			beginUploads(t, repo, 5)
			if _, err := db.Writer.Exec("UPDATE uploads SET state = 3, planned_shards = 1 WHERE id > 2"); err != nil {
				t.Fatal(err)
			}

			// What the replica lacks is in its row.
			for _, name := range []string{"first", "second"} {
				_, err := repo.AddStore(t.Context(), sqlrepo.Store{Identity: name, Name: name, URL: "/" + name})
				must(t, err)
			}
			must(t, repo.SetReplica(t.Context(), "second", "first"))

			sampler := newStatusSampler(repo, nil)

			files := regexp.MustCompile(`(FROM|JOIN) (indexes|copies)\b`)
			for _, most := range []int{1 + 3 + 5 + 1 + 1 + 1 + 1 + 1, 1 + 3 + 2, 1 + 3 + 2} {
				recorder.Reset()
				view, err := sampler.sample(context.Background())
				if err != nil {
					t.Fatal(err)
				}

				asked := 0
				for statement, times := range recorder.Statements() {
					asked += times
					if files.MatchString(statement) && !strings.Contains(statement, "FROM sendings") {
						t.Errorf("files or copies are counted: %s", statement)
					}
				}

				if len(view.Uploads) != 5 || view.Uploads[4].Source != "source 5" || view.Uploads[4].Space != "test" {
					t.Errorf("it shows %+v", view.Uploads)
				}
				if asked == 0 || asked > most || asked != sampler.queries {
					t.Errorf("%d queries, of which it knows %d, want at most %d", asked, sampler.queries, most)
				}
				if wait := max(watchEvery, seldom(asked)); wait < 2*time.Second || float64(asked)/wait.Seconds() >= 1 {
					t.Errorf("%d queries and then a pause of %v", asked, wait)
				}
			}
		})
	}
}

func beginUploads(t *testing.T, repo *sqlrepo.Repository, n int) {
	t.Helper()
	ctx := context.Background()
	space, err := repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkTest", Name: "test", ShardSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}

	for i := range n {
		name := fmt.Sprintf("source %d", i+1)
		source, err := repo.AddSource(ctx, sqlrepo.Source{Space: space.ID, Name: name, Path: []byte("/" + name)})
		if err != nil {
			t.Fatal(err)
		}

		fresh := sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: 1 << 20}
		if _, err := repo.OpenUpload(ctx, source.ID, fresh); err != nil {
			t.Fatal(err)
		}
	}
}
