package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/testing/documents"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// atWork returns two uploads that three workers pack, with a shard that was set aside, and a replica that lacks files.
func atWork() *progressView {
	failed, aside := live(5, 3<<20), sqlrepo.Shard{Ordinal: 7}
	failed.Attempts, failed.Worker = 1, "nas/host/13"
	failed.Error = "read /mnt/photos/2019/IMG_0042.raw: input/output error"
	aside.Attempts, aside.SetAside = 5, before(180)
	aside.Error = "read /mnt/photos/2019/IMG_0017.raw: input/output error"
	silent := live(0, 1<<20)
	silent.Worker, silent.Seen, silent.Ends = "attic/7711", before(75), before(15)

	uploads := []sqlrepo.OpenUpload{
		packing(func(u *sqlrepo.OpenUpload) { u.AsideShards = 1 }),
		packing(func(u *sqlrepo.OpenUpload) {
			u.ID, u.PlannedFiles, u.PackedFiles, u.PackedBytes, u.StageBegan = 4, 2000, 70, 5<<20, before(3700)
		}),
	}
	shards := [][]sqlrepo.Shard{{live(3, 20<<20), failed, aside}, {silent}}
	names := [][2]string{{"default", "photos"}, {"video archive", "talks"}}

	view := &progressView{now: noon.Time}
	for i, upload := range uploads {
		shown := newUploadStatus(sqlrepo.Space{Name: names[i][0]}, sqlrepo.Source{Name: names[i][1]}, upload, shards[i])
		newStatusSampler(nil, nil).measure(upload, &shown)
		view.Uploads = append(view.Uploads, shown)
	}

	sent := replicaStatus{workStatus: newWorkStatus(noon)}
	sent.replicaView = replicaView{Replica: "offsite", Space: "default", Files: 3, Bytes: 12 << 20,
		DueFiles: 3, DueBytes: 12 << 20, SyncedAt: "2026-01-01T08:00:00Z"}
	sent.add("bagbaieravisj72lbtrj4wapokb3hruorxuajdqo56bdsgzplxe37k27puwra.car", live(0, 4<<20).Lease)
	view.Replicas = []replicaStatus{sent}
	for _, row := range []sqlrepo.Store{
		{Name: "nas", URL: "file:///mnt/nas/shards", SeenAt: before(3600)}, {Name: "offsite", URL: "s3://bucket/guppy"},
	} {
		view.Stores = append(view.Stores, storeStatus{newKnownStore(row), row.SeenAt.Time})
	}
	return view
}

// seen returns what is known after some samples of a view.
func seen(view *progressView, speeds ...float64) *watched {
	s := &watched{}
	for i, bytes := range speeds {
		s.add(view, noon.Add(time.Duration(i-len(speeds)+1)*10*time.Second))
		s.speeds[i].bytes = bytes * (1 << 20)
	}
	return s
}

// screenshots are states of the live screen.
func screenshots() map[string]*watched {
	away := seen(atWork(), 2, 3, 3)
	away.err, away.asking = errors.New("list open uploads: dial tcp 10.0.0.7:5432: connect: connection refused"), noon.Time
	slow := seen(&progressView{now: noon.Time}, 0)
	slow.asking = noon.Add(-8 * time.Second)

	return map[string]*watched{
		"idle":    seen(&progressView{now: noon.Time}, 0, 0, 0),
		"busy":    seen(atWork(), 0.1, 0.4, 1.2, 1.3, 2, 2.2, 2.1, 1.9, 0.3, 0, 0, 1.5, 1.7),
		"away":    away,
		"slow":    slow,
		"at-once": {},
	}
}

// TestWatchScreen compares screens with those that testdata/watch has. With -update it writes them.
func TestWatchScreen(t *testing.T) {
	for name, seen := range screenshots() {
		draw := func(width int) (string, []string) { return seen.draw(noon.Add(2*time.Second), width) }
		for size, screen := range map[string]string{
			"100x40": display.Still(draw, 100, 40), "60x15": display.Still(draw, 60, 15),
		} {
			var text strings.Builder
			for line := range strings.Lines(display.Plain(screen) + "\n") {
				text.WriteString(strings.TrimRight(line, " \n") + "\n")
			}
			documents.Compare(t, filepath.Join("testdata", "watch", name+"-"+size+".golden"), text.String())
		}
	}
}

// TestWatchScreenFits requires that no line is wider than the terminal, nor the screen higher.
func TestWatchScreenFits(t *testing.T) {
	shots := screenshots()
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 130).Draw(t, "width"), rapid.IntRange(1, 60).Draw(t, "height")
		seen := shots[rapid.SampledFrom([]string{"idle", "busy", "away", "slow", "at-once"}).Draw(t, "screen")]

		draw := func(width int) (string, []string) { return seen.draw(noon.Add(time.Hour), width) }
		lines := strings.Split(display.Still(draw, width, height), "\n")
		if len(lines) > height {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if n := display.Width(line); n > width {
				t.Fatalf("a line of %d columns: %q", n, line)
			}
		}
	})
}

// TestTheScreenSaysWhyARunStopped shows an upload that nobody works on, and commands that find the repository.
func TestTheScreenSaysWhyARunStopped(t *testing.T) {
	upload := sqlrepo.OpenUpload{}
	upload.ID, upload.State = 7, sqlrepo.Packing
	upload.StoppedAt, upload.StopReason = noon, "no space left on device"
	shown := newUploadStatus(sqlrepo.Space{Name: "default"}, sqlrepo.Source{Name: "photos"}, upload, nil)

	s := seen(&progressView{now: noon.Time, Uploads: []uploadStatus{shown}}, 0)
	s.place = func(text string) string { return strings.ReplaceAll(text, "guppy worker", "guppy worker --data-dir d") }
	text := display.Plain(display.Still(func(width int) (string, []string) { return s.draw(noon.Time, width) }, 120, 40))
	for _, want := range []string{"the last run stopped at ", ": no space left on device",
		"guppy worker --data-dir d or "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
