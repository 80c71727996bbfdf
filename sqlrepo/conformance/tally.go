package conformance

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func tallies() []test {
	return []test{
		{"equal what the rows say", tallyCounts},
		{"are counted again before planning", tallyAnew},
	}
}

// machine takes an upload through its stages in random steps.
type machine struct {
	*fixture
	source  sqlrepo.Source
	stage   sqlrepo.Stage
	claimed []sqlrepo.Shard
	named   int
}

// tallyCounts compares what commits counted with the rows, after each of many random steps.
func tallyCounts(f *fixture) {
	outer := f.t
	defer func() { f.t = outer }()

	rapid.Check(outer, func(t *rapid.T) {
		f.t = t
		m := &machine{fixture: f, source: f.source(f.space())}
		m.stage = f.begin(m.source)

		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"scan":    m.scan,
			"plan":    m.plan,
			"advance": m.advance,
			"pack":    m.claimShard,
			"seal":    m.seal,
			"fail":    m.fail,
			"aside":   m.setAside,
			"link":    m.link,
			"restart": m.restart,
		})
	})
}

// in skips a step that belongs to another state.
func (m *machine) in(t *rapid.T, states ...sqlrepo.UploadState) {
	if !slices.Contains(states, m.stage.Upload.State) {
		t.SkipNow()
	}
}

func (m *machine) all(states ...sqlrepo.EntryState) []sqlrepo.Entry {
	return collect(m.t, m.Entries(m.ctx, m.stage.Upload.ID, sqlrepo.EntryFilter{States: states}))
}

// scan adds, changes and removes any entries at first, and later only those that changed while they were packed.
func (m *machine) scan(t *rapid.T) {
	m.in(t, sqlrepo.Scanning, sqlrepo.Rescanning)
	batch, states := sqlrepo.ScanBatch{}, []sqlrepo.EntryState{sqlrepo.Changed}
	if m.stage.Upload.State == sqlrepo.Scanning {
		states = nil
		for range rapid.IntRange(0, 3).Draw(t, "added") {
			m.named++
			batch.Added = append(batch.Added, file(fmt.Sprintf("%05d", m.named), rapid.Int64Range(0, 30).Draw(t, "size")))
		}
	}

	for _, entry := range m.all(states...) {
		switch rapid.SampledFrom([]string{"kept", "changed", "vanished"}).Draw(t, "found") {
		case "changed":
			entry.State, entry.Reason, entry.Size = sqlrepo.Rescanned, "", rapid.Int64Range(0, 30).Draw(t, "size")
			batch.Changed = append(batch.Changed, entry)
		case "vanished":
			batch.Vanished = append(batch.Vanished, entry.ID)
		}
	}

	m.ok(m.SaveScan(m.ctx, m.stage, batch))
}

// plan cuts files into segments of at most 10 bytes, and distributes these over shards.
func (m *machine) plan(t *rapid.T) {
	m.in(t, sqlrepo.Planning)
	ordinal := must(m.NextOrdinal(m.ctx, m.stage.Upload.ID))(t)

	plan := []sqlrepo.PlannedShard{}
	var segments []sqlrepo.Segment
	for _, file := range m.unplanned(t, m.stage) {
		for offset := int64(0); offset < max(file.Size, 1); offset += 10 {
			segments = append(segments, sqlrepo.Segment{Entry: file.ID, Offset: offset, Length: min(10, file.Size-offset)})
			if rapid.Bool().Draw(t, "full") {
				plan = append(plan, planned(ordinal+int64(len(plan)), segments...))
				segments = nil
			}
		}
	}

	if segments != nil {
		plan = append(plan, planned(ordinal+int64(len(plan)), segments...))
	}

	m.fixture.plan(m.stage, plan...)
}

func (m *machine) advance(t *rapid.T) {
	m.in(t, sqlrepo.Scanning, sqlrepo.Planning, sqlrepo.Rescanning)
	next := map[sqlrepo.UploadState]sqlrepo.UploadState{
		sqlrepo.Scanning: sqlrepo.Planning, sqlrepo.Planning: sqlrepo.Packing, sqlrepo.Rescanning: sqlrepo.Linking,
	}[m.stage.Upload.State]

	if m.stage.Upload.State == sqlrepo.Rescanning && len(m.unplanned(t, m.stage)) > 0 {
		next = sqlrepo.Scanning
	}

	m.stage = must(m.Advance(m.ctx, m.stage, next))(t)
	equal(t, "bytes at the beginning of the stage", m.stage.Upload.StageBytes, m.stage.Upload.PackedBytes)

	switch m.stage.Upload.State {
	case sqlrepo.Rescanning:
		m.stage = m.fixture.stage(m.stage.Upload)
	case sqlrepo.Linking:
		m.ok(m.ResetLinks(m.ctx, m.stage))
	}
}

func (m *machine) claimShard(t *rapid.T) {
	m.in(t, sqlrepo.Packing)
	shard, err := m.ClaimShard(m.ctx, claim("worker"), m.stage.Upload.ID, unlimited)
	if err != nil {
		m.fails(err, sqlrepo.ErrNothingToClaim)
		t.SkipNow()
	}
	m.claimed = append(m.claimed, shard)
}

// take draws one of the claimed shards and forgets it.
func (m *machine) take(t *rapid.T) sqlrepo.Shard {
	if len(m.claimed) == 0 {
		t.SkipNow()
	}
	i := rapid.IntRange(0, len(m.claimed)-1).Draw(t, "shard")
	shard := m.claimed[i]
	m.claimed = append(m.claimed[:i:i], m.claimed[i+1:]...)
	return shard
}

// seal takes some of the entries out. A shard that is not the next one is refused.
func (m *machine) seal(t *rapid.T) {
	shard := m.take(t)
	result := holding(shard)

	seen := map[int64]bool{}
	for _, segment := range collect(t, m.ShardSegments(m.ctx, shard.ID)) {
		if !seen[segment.Entry] && rapid.IntRange(0, 3).Draw(t, "taken out") == 0 {
			result.TakenOut = append(result.TakenOut,
				sqlrepo.TakenOut{Entry: segment.Entry, State: sqlrepo.Changed, Reason: "changed"})
		}
		seen[segment.Entry] = true
	}

	if rapid.Bool().Draw(t, "empty") {
		result.Shard.State = sqlrepo.ShardEmpty
	}

	before := m.upload(m.stage)
	after, err := m.fixture.seal(result)

	// The shard stays claimed and can be sealed in its turn.
	if shard.Ordinal != before.Sealed {
		m.fails(err, sqlrepo.ErrLeaseLost)
		m.claimed = append(m.claimed, shard)
		return
	}
	m.ok(err)

	stored := m.upload(m.stage)
	equal(t, "upload", sqlrepo.Upload{ID: stored.ID, State: stored.State, Tally: stored.Tally}, after)
	if after.State != sqlrepo.Packing {
		m.stage = m.fixture.stage(after)
	}
}

func (m *machine) fail(t *rapid.T) {
	m.ok(m.Fail(m.ctx, m.take(t), "failed", 0))
}

func (m *machine) setAside(t *rapid.T) {
	m.ok(m.SetAside(m.ctx, m.take(t), "set aside"))
}

// link gives some entries roots, and may seal a shard with the next ordinal.
func (m *machine) link(t *rapid.T) {
	m.in(t, sqlrepo.Linking)
	m.ok(m.ResetLinks(m.ctx, m.stage))
	batch := sqlrepo.LinkBatch{}
	for _, entry := range m.all() {
		if rapid.Bool().Draw(t, "linked") {
			batch.Roots = append(batch.Roots, sqlrepo.Root{Entry: entry.ID, CID: exampleCID()})
		}
	}

	if rapid.Bool().Draw(t, "shard") {
		shard := holding(sqlrepo.Shard{
			Ordinal: must(m.NextOrdinal(m.ctx, m.stage.Upload.ID))(t), State: sqlrepo.ShardPacked,
		})
		batch.Shard = &shard
	}

	m.ok(m.fixture.link(m.stage, batch))
}

func (m *machine) restart(t *rapid.T) {
	if !m.upload(m.stage).Stuck() && rapid.IntRange(0, 3).Draw(t,
		"for good") > 0 { // nothing else is left for one that is stuck
		t.SkipNow()
	}
	m.stage, m.claimed = m.again(m.source), nil
}

// tallyAnew begins with the tally of an upload from before there were tallies.
func tallyAnew(f *fixture) {
	m := &machine{fixture: f, source: f.source(f.space())}
	m.stage = f.begin(m.source)
	files := f.add(m.stage, file("a", 700), file("b", 50), file("c", 5))
	f.toPack(m.stage, planFor(0, files[0]), planFor(1, files[1]), planFor(2, files[2]))
	f.sealed(packed(f.shard(m.stage)))

	f.execute(`UPDATE uploads SET found_entries = 0, planned_files = 0, planned_bytes = 0, planned_shards = 0,
		packed_files = 0, packed_bytes = 0, settled_shards = 0, sealed = 0`)
	m.stage = must(f.Advance(f.ctx, f.again(m.source), sqlrepo.Planning))(f.t)

	want := m.count()
	want.Sealed, want.StageBegan, want.StageBytes = 1, sqlrepo.NewTime(f.now), 700
	equal(f.t, "tally", m.stage.Upload.Tally, want.Tally)
	equal(f.t, "planned", want.PlannedBytes, 755)
}

// counted is the tally according to the rows. Next is nil if no shard is left to be sealed.
type counted struct {
	sqlrepo.Tally
	Next *int64 `db:"next"`
}

func (m *machine) count() (c counted) {
	m.t.Helper()
	query := `WITH mine AS (SELECT * FROM shards WHERE upload = %[1]d AND kind = 1),
		parts AS (SELECT file_offset, length, state FROM segments JOIN mine ON mine.id = shard)
		SELECT (SELECT COUNT(*) FROM entries WHERE upload = %[1]d) AS found_entries,
		(SELECT COUNT(*) FROM roots JOIN entries ON entries.id = entry WHERE upload = %[1]d) AS linked_entries,
		(SELECT COUNT(*) FROM parts WHERE file_offset = 0) AS planned_files,
		(SELECT COALESCE(SUM(length), 0) FROM parts) AS planned_bytes,
		(SELECT COUNT(*) FROM parts WHERE file_offset = 0 AND state <> 1) AS packed_files,
		(SELECT COALESCE(SUM(length), 0) FROM parts WHERE state <> 1) AS packed_bytes,
		(SELECT COUNT(*) FROM mine) AS planned_shards,
		(SELECT COUNT(*) FROM mine WHERE state <> 1) AS settled_shards,
		(SELECT COUNT(*) FROM mine WHERE set_aside_at IS NOT NULL) AS aside_shards,
		(SELECT MIN(ordinal) FROM mine WHERE state = 1 AND set_aside_at IS NULL) AS next`
	m.ok(m.db.Writer.GetContext(m.ctx, &c, fmt.Sprintf(query, m.stage.Upload.ID)))
	return c
}

// check leaves out what a scan changes: planning counts that again.
func (m *machine) check(t *rapid.T) {
	upload, want := m.upload(m.stage), m.count()
	equal(t, "state", m.stage.Upload.State, upload.State)

	got := upload.Tally
	got.StageBegan, got.StageBytes = want.StageBegan, want.StageBytes
	if upload.State != sqlrepo.Linking {
		got.Linked = want.Linked
	}
	if upload.State == sqlrepo.Scanning {
		got = sqlrepo.Tally{Found: got.Found, Linked: got.Linked, AsideShards: got.AsideShards}
		want = counted{Tally: sqlrepo.Tally{Found: want.Found, Linked: want.Linked, AsideShards: want.AsideShards}}
	}

	// Without a shard that is left to seal, the rows do not say how far sealing is.
	want.Sealed = got.Sealed
	if want.Next != nil {
		want.Sealed = *want.Next
	}
	equal(t, "tally", got, want.Tally)

	unsettled := upload.SettledShards < upload.PlannedShards
	if upload.State == sqlrepo.Packing && !unsettled {
		t.Errorf("all shards are settled, but the upload is %s", upload.State)
	}

	if stuck := upload.State == sqlrepo.Packing && want.Next == nil; upload.Stuck() != stuck {
		t.Errorf("stuck: %t, want %t", upload.Stuck(), stuck)
	}
}
