//go:build long

package chaos_test

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/documents"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/internal/testing/pgtest"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestARunIsRecoveredInItsMiddle has the server go back to an earlier moment of a run that goes on. The run ends, and
// says why. The next one goes on from that moment.
func TestARunIsRecoveredInItsMiddle(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	d := newDrill(t)
	d.at(archivedAt, d.server.Archive)
	d.at(recoveredAt, d.recover)

	job := d.job(d.open())
	if _, err := job.Run(t.Context()); !errors.Is(err, sqlrepo.ErrRewound) {
		t.Errorf("the run ended with %v", err)
	}
	d.requireMoment()
	d.goOn(want)
}

// TestACompleteUploadIsRecoveredInItsMiddle has the server go back to a moment before an upload was complete. Its files
// are there already. They are those that are made again.
func TestACompleteUploadIsRecoveredInItsMiddle(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	d := newDrill(t)

	db := d.open()
	d.together(db)
	d.requireOutcome(want)
	d.server.Archive()
	d.recover()

	d.requireMoment()
	d.goOn(want)
	if err := sqlrepo.New(db).RequireCommits(t.Context()); err != nil {
		t.Errorf("a process that begins now: %v", err)
	}
}

// The commits of blobs at which something happens to the server of a drill.
const (
	backupBegins, backupEnds, notedAt, archivedAt, recoveredAt = 3, 8, 10, 15, 20
)

// underWay is how many shards may have been read at the moment and not been recorded: one for each of three workers,
// and two that run ahead.
const underWay = 5

// drill is a server of which a base backup is made while a run goes on, and which is recovered to a later moment of
// that run, all by the settings that docs/operators/self-run.md shows.
type drill struct {
	*fixture
	server   *pgtest.Server
	recovery string
	copying  sync.WaitGroup
	backup   *pgtest.Backup

	// moment is the one to recover to. Before and after it was noted, these were the shards settled and the bytes read.
	moment        string
	before, after int
	read          int64
}

var targetTime = regexp.MustCompile(`(recovery_target_time = )'[^']*'`)

func newDrill(t *testing.T) *drill {
	t.Helper()
	archive := pgtest.ArchiveDir(t)
	shown := documents.Shown(t, "../../../docs/operators/self-run.md", "Point-in-time recovery", "ini")
	settings, recovery := shown[0], shown[1]
	if !targetTime.MatchString(recovery) {
		t.Fatalf("no target in\n%s", recovery)
	}

	server := pgtest.Start(t, pgtest.WithArchive(strings.ReplaceAll(settings, "/archive", archive)))
	d := &drill{server: server, recovery: strings.ReplaceAll(recovery, "/archive", archive)}
	d.fixture = newFixture(t, enginetest.MustOpen(t, dialect.Settings{URL: dialect.Secret(server.URL())}))
	d.at(backupBegins, func() {
		d.backup = server.BeginBackup()
		d.copying.Go(d.backup.Copy)
	})
	d.at(backupEnds, func() {
		d.copying.Wait()
		d.backup.End()
	})
	d.at(notedAt, func() {
		d.before = d.settled()
		d.moment = server.Moment()
		d.after, d.read = d.settled(), d.files.Total().BytesRead
	})
	return d
}

// at has something happen at a certain commit of a blob.
func (d *drill) at(commit int, call func()) {
	d.store = &calling{Store: d.store, at: commit, call: call}
}

func (d *drill) open() *dialect.DB {
	d.t.Helper()
	return enginetest.MustOpen(d.t, dialect.Settings{URL: dialect.Secret(d.server.URL())})
}

func (d *drill) recover() {
	d.backup.Recover(targetTime.ReplaceAllString(d.recovery, "$1'"+d.moment+"'"))
}

func (d *drill) settled() int {
	upload, err := d.repo.Upload(d.t.Context(), 1)
	if err != nil {
		d.t.Error(err)
	}
	return int(upload.SettledShards)
}

// requireMoment checks that the upload is what it was at the moment.
func (d *drill) requireMoment() {
	d.t.Helper()
	upload, err := d.repo.Upload(d.t.Context(), 1)
	must(d.t, err)
	settled := int(upload.SettledShards)
	if upload.State == sqlrepo.Complete || settled == 0 || settled < d.before || settled > d.after {
		d.t.Errorf("upload is %v and has %d shards settled; at %s it had %d to %d", upload.State, settled, d.moment,
			d.before, d.after)
	}
}

// goOn checks that another run comes to the same end, and reads only what was read after the moment.
func (d *drill) goOn(want outcome) {
	d.t.Helper()
	lost := d.files.Total().BytesRead - d.read
	db := d.open()
	d.together(db)

	d.requireOutcome(want)
	d.requireTidy(db)
	upload, err := d.repo.Upload(d.t.Context(), 1)
	must(d.t, err)
	if read := d.files.Total().BytesRead; read > upload.Bytes+lost+underWay*shardSize {
		d.t.Errorf("%d bytes were read of %d, of which %d after the moment", read, upload.Bytes, lost)
	}
}
