package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// statusSampler samples uploads repeatedly. A sample costs one query for the list and one for each upload that is being
// packed. Names and tags are queried once, because they hardly ever change. What replicas lack is counted in their own
// rows.
type statusSampler struct {
	repo *sqlrepo.Repository
	// standby, if not nil, says how the database follows another one.
	standby func(context.Context) (*standbyView, error)
	upload  *int64
	// queries counts the queries of the latest sample.
	queries int
	spaces  map[int64]sqlrepo.Space
	sources map[int64]sqlrepo.Source
	tags    map[int64][]string
	rates   map[int64]*rate

	stores   storeRows
	storesAt time.Time
}

// rate is the speed at which an upload is packed.
type rate struct {
	progress.Meter
	stage sqlrepo.Time
}

func newStatusSampler(repo *sqlrepo.Repository, upload *int64) *statusSampler {
	return &statusSampler{
		repo: repo, upload: upload, sources: map[int64]sqlrepo.Source{}, tags: map[int64][]string{},
		rates: map[int64]*rate{},
	}
}

// sample returns the present state of the uploads. It returns sqlrepo.ErrNotFound if the chosen upload does not
// exist.
func (s *statusSampler) sample(ctx context.Context) (*progressView, error) {
	s.queries = 0
	open, err := s.list(ctx)
	if err != nil {
		return nil, err
	}

	now := sqlrepo.NewTime(time.Now())
	view := &progressView{Time: formatTime(now), Uploads: []uploadStatus{}, now: now.Time}
	if err := s.tag(ctx, open); err != nil {
		return nil, err
	}
	for _, upload := range open {
		if err := s.name(ctx, upload); err != nil {
			return nil, err
		}

		var shards []sqlrepo.Shard
		if upload.State == sqlrepo.Packing {
			s.queries++
			if shards, err = s.repo.ShardsUnderWay(ctx, upload.ID); err != nil {
				return nil, err
			}
		}

		source := s.sources[upload.Source]
		shown := newUploadStatus(s.spaces[source.Space], source, upload, shards)
		shown.Tags = s.tags[upload.ID]
		if !source.RemovedAt.IsZero() {
			shown.removedFrom = string(source.Path)
		}

		s.measure(upload, &shown)

		// Leases are judged by the clock of the database, so its time is shown.
		view.Time, view.now = formatTime(upload.Now), upload.Now.Time
		view.Uploads = append(view.Uploads, shown)
	}

	if err := s.listStores(ctx, open); err != nil {
		return nil, err
	}
	if view.Replicas, err = s.replicas(ctx, open); err != nil {
		return nil, err
	}
	view.Stores = s.shownStores(open, view.Replicas)
	if s.standby != nil {
		view.Standby, err = s.standby(ctx)
	}
	return view, err
}

// storesAge is the time for which the list of stores is used again, because it seldom changes.
const storesAge = time.Minute

// listStores lists the stores, unless the latest list is good enough: it is not old, and has the stores of all uploads.
func (s *statusSampler) listStores(ctx context.Context, uploads []sqlrepo.OpenUpload) error {
	unlisted := func(upload sqlrepo.OpenUpload) bool {
		listed := func(row sqlrepo.Store) bool { return row.Identity == upload.Store }
		return upload.Store != "" && !slices.ContainsFunc(s.stores, listed)
	}
	now := time.Now()
	if now.Sub(s.storesAt) < storesAge && !slices.ContainsFunc(uploads, unlisted) {
		return nil
	}

	s.queries++
	stores, err := s.repo.Stores(ctx)
	if err == nil {
		s.stores, s.storesAt = stores, now
	}
	return err
}

// shownStores returns all stores, or those that concern the chosen upload: its own, and the replicas.
func (s *statusSampler) shownStores(chosen []sqlrepo.OpenUpload, replicas []replicaStatus) (stores []storeStatus) {
	for _, row := range s.stores {
		if s.upload == nil ||
			slices.ContainsFunc(chosen, func(upload sqlrepo.OpenUpload) bool { return upload.Store == row.Identity }) ||
			slices.ContainsFunc(replicas, func(replica replicaStatus) bool { return replica.Replica == row.Name }) {
			stores = append(stores, storeStatus{newKnownStore(row), row.SeenAt.Time})
		}
	}
	return stores
}

// replicas returns what replicas lack and what is being sent there: all of them, or those that concern the chosen
// upload.
func (s *statusSampler) replicas(ctx context.Context, chosen []sqlrepo.OpenUpload) ([]replicaStatus, error) {
	shown := []replicaStatus{}
	s.queries++
	replicas, err := s.repo.Replicas(ctx)
	if err != nil || len(replicas) == 0 {
		return shown, err
	}

	// A space may be new.
	unnamed := func(replica sqlrepo.Replica) bool { return replica.Space != 0 && s.spaces[replica.Space].ID == 0 }
	if slices.ContainsFunc(replicas, unnamed) {
		s.spaces = nil
	}
	if err := s.nameSpaces(ctx); err != nil {
		return nil, err
	}
	sendings, err := s.repo.Sendings(ctx, nil)
	s.queries++
	if err != nil {
		return nil, err
	}

	names := spaceNames(slices.Collect(maps.Values(s.spaces)))
	for _, replica := range replicas {
		if s.upload != nil && !s.concerns(chosen, replica) {
			continue
		}
		status := replicaStatus{replicaView: newReplicaView(replica, s.stores, names)}
		status.workStatus = newWorkStatus(sqlrepo.NewTime(time.Now()))
		for _, sending := range sendings {
			if sending.Space == replica.Space && sending.Store == replica.Store {
				status.now = sending.Now.Time
				status.add(pipeline.FileName(sending), sending.Lease)
			}
		}
		shown = append(shown, status)
	}

	slices.SortStableFunc(shown, func(a, b replicaStatus) int { return strings.Compare(a.Replica, b.Replica) })
	return shown, nil
}

// concerns reports whether a replica is to have the files of the chosen upload.
func (s *statusSampler) concerns(chosen []sqlrepo.OpenUpload, replica sqlrepo.Replica) bool {
	return slices.ContainsFunc(chosen, func(upload sqlrepo.OpenUpload) bool {
		return replica.Origin != "" && replica.Origin == upload.Store ||
			replica.Space != 0 && replica.Space == s.sources[upload.Source].Space
	})
}

// list returns the unfinished uploads, or the chosen one.
func (s *statusSampler) list(ctx context.Context) ([]sqlrepo.OpenUpload, error) {
	filter := sqlrepo.OpenFilter{}
	if s.upload != nil {
		filter.Uploads = []int64{*s.upload}
	}

	s.queries++
	open, err := s.repo.OpenUploads(ctx, filter)
	if err != nil || s.upload == nil || len(open) > 0 {
		return open, err
	}

	s.queries++
	upload, err := s.repo.Upload(ctx, *s.upload)
	return []sqlrepo.OpenUpload{{Upload: upload, Now: sqlrepo.NewTime(time.Now())}}, err
}

// tag looks up the tags of uploads, unless they are known.
func (s *statusSampler) tag(ctx context.Context, uploads []sqlrepo.OpenUpload) error {
	var unknown []int64
	for _, upload := range uploads {
		if _, known := s.tags[upload.ID]; !known {
			unknown = append(unknown, upload.ID)
		}
	}
	if len(unknown) == 0 {
		return nil
	}

	s.queries++
	found, err := s.repo.TagsOfUploads(ctx, unknown)
	for _, upload := range unknown {
		s.tags[upload] = append([]string{}, found[upload]...)
	}
	return err
}

// name looks up the names of an upload's source and space, unless they are known.
func (s *statusSampler) name(ctx context.Context, upload sqlrepo.OpenUpload) (err error) {
	source, known := s.sources[upload.Source]
	if !known {
		s.queries++
		if source, err = s.repo.Source(ctx, upload.Source); err != nil {
			return err
		}
		s.sources[upload.Source] = source
	}

	if _, known := s.spaces[source.Space]; known {
		return nil
	}
	s.spaces = nil
	return s.nameSpaces(ctx)
}

// nameSpaces looks up the names of spaces, unless they are known.
func (s *statusSampler) nameSpaces(ctx context.Context) error {
	if s.spaces != nil {
		return nil
	}

	s.queries++
	spaces, err := s.repo.Spaces(ctx)
	if err != nil {
		return err
	}
	s.spaces = map[int64]sqlrepo.Space{}
	for _, space := range spaces {
		s.spaces[space.ID] = space
	}
	return nil
}

// measure fills in the speed at which an upload is packed, unless nobody works on it. The first sample measures from
// the beginning of the stage, each later one from the sample before it.
func (s *statusSampler) measure(upload sqlrepo.OpenUpload, shown *uploadStatus) {
	if upload.State != sqlrepo.Packing {
		delete(s.rates, upload.ID)
		return
	}

	known := s.rates[upload.ID]
	if known == nil || !known.stage.Equal(upload.StageBegan.Time) {
		known = &rate{stage: upload.StageBegan}
		s.rates[upload.ID] = known
		since := upload.Now.Sub(upload.StageBegan.Time).Seconds()
		packed := max(0, float64(shown.PackedBytes-upload.StageBytes))
		known.Start(upload.Now.Time, shown.PackedBytes, packed/max(since, 0.001))
	}

	speed := known.Sample(upload.Now.Time, shown.PackedBytes)
	if !shown.atWork() {
		return
	}
	shown.BytesPerSecond = speed

	// A stuck upload does not end by itself.
	if remaining := float64(max(0, shown.PlannedBytes-shown.PackedBytes)); shown.BytesPerSecond >= 1 && !upload.Stuck() {
		seconds := remaining / shown.BytesPerSecond
		shown.SecondsLeft = &seconds
	}
}
