package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// replicaView is a replica, and what it lacks.
type replicaView struct {
	Replica  string  `json:"replica"`             // name of the store that is a replica
	Of       string  `json:"of_store,omitempty"`  // name of the store that it is a replica of
	Space    string  `json:"of_space,omitempty"`  // name of the space that it is a replica of, instead of a store
	Files    int64   `json:"missing_file_count"`  // number of files that it lacks
	Bytes    int64   `json:"missing_bytes"`       // size of these files
	DueFiles int64   `json:"due_file_count"`      // number of those of complete uploads, which guppy check reports
	DueBytes int64   `json:"due_bytes"`           // size of those of complete uploads
	SyncedAt instant `json:"synced_at,omitempty"` // when it last had everything
	Reason   string  `json:"reason,omitempty"`    // why files were not sent in a run
}

// newReplicaView returns the view of a replica. The names of spaces are by key.
func newReplicaView(r sqlrepo.Replica, rows storeRows, spaces map[int64]string) replicaView {
	view := replicaView{Replica: rows.nameOf(r.Store), Space: spaces[r.Space], Files: r.Files, Bytes: r.Bytes,
		DueFiles: r.DueFiles, DueBytes: r.DueBytes, SyncedAt: formatTime(r.SyncedAt)}
	if r.Origin != "" {
		view.Of = rows.nameOf(r.Origin)
	}
	return view
}

func spaceNames(spaces []sqlrepo.Space) map[int64]string {
	names := map[int64]string{}
	for _, space := range spaces {
		names[space.ID] = space.Name
	}
	return names
}

// describe says what the replica lacks.
func (v replicaView) describe() string {
	of := "store " + v.Of
	if v.Space != "" {
		of = "space " + printable(v.Space)
	}

	text := fmt.Sprintf("replica of %s, and has everything of it, as far as is known", of)
	if v.Files > 0 {
		text = fmt.Sprintf("replica of %s, and lacks %s of it, %s", of, plural(v.Files, "file"), progress.Bytes(v.Bytes))
		switch {
		case v.DueFiles == 0:
			text += ", all of unfinished uploads"
		case v.DueFiles < v.Files:
			text += fmt.Sprintf(", %s of complete uploads, %s", plural(v.DueFiles, "file"), progress.Bytes(v.DueBytes))
		}
	}
	if v.SyncedAt != "" {
		text += "; it last had everything at " + v.SyncedAt.text()
	}
	return text
}

// errNothingToSend is returned for a replica of uploads that no store keeps.
var errNothingToSend = fmt.Errorf("%w: nothing can be sent to a replica from a store %s, which keeps nothing", errUsage,
	store.NoneURL)

// replicas returns the stores that are named as replicas of a space.
func (rows storeRows) replicas(names []string) (replicas []sqlrepo.Store, err error) {
	for _, name := range names {
		row, err := rows.named(name)
		if err != nil {
			return nil, rows.explainReplica(err, name)
		}
		if row.Identity == store.NoneIdentity {
			return nil, fmt.Errorf("%w: a store %s can't be a replica: it keeps nothing", errUsage, store.NoneURL)
		}
		replicas = append(replicas, row)
	}
	return replicas, nil
}

// explainReplica says what to do about a replica that is not known, unless another name is meant.
func (rows storeRows) explainReplica(err error, name string) error {
	if config.DidYouMean("", name, namesOf(rows, storeName)) != "" {
		return err
	}
	if known.ValidName(name) != nil {
		name = "NAME"
	}
	return fmt.Errorf("%w: a replica has to be a store that the repository knows: guppy store add %s URL adds it", err,
		name)
}

// replicaStores are the stores between which a command sends files.
type replicaStores struct {
	*known.Stores
	rows storeRows
	// named are the replicas that the command names.
	named []sqlrepo.Store
}

// replicaPatience is how long a worker waits for an S3 server in one call. A replica that is away is looked for again
// while the work goes on, and the next run sends the rest.
const replicaPatience = 30 * time.Second

// findReplicas finds the stores between which the command sends files, once for all of its sources.
func (a *app) findReplicas(ctx context.Context, cfg *config.Config, repo *repository) (*replicaStores, error) {
	if a.sendTo != nil {
		return a.sendTo, nil
	}
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return nil, err
	}
	stores.Options.RetryFor = min(stores.Options.RetryFor, replicaPatience)
	named, err := rows.replicas(a.replicas)
	if err != nil {
		return nil, err
	}
	a.sendTo = &replicaStores{stores, rows, named}
	return a.sendTo, nil
}

// refuseReplicas returns an error for the replicas that the command names unless they can be used. It is called before
// anything is changed.
func (a *app) refuseReplicas(ctx context.Context, cfg *config.Config, repo *repository) error {
	if len(a.replicas) == 0 {
		return nil
	}
	stores, err := a.findReplicas(ctx, cfg, repo)
	if err != nil {
		return err
	}

	if cfg.ByFlag("prepare.store") && cfg.Prepare.Store == store.NoneURL {
		return errNothingToSend
	}
	for _, row := range stores.named {
		if cfg.ByFlag("prepare.store") && cfg.Prepare.Store == row.Name {
			return refuseSelf(row)
		}
		if _, err := stores.Open(ctx, row.Identity); err != nil {
			return fmt.Errorf("replica: %w", err)
		}
	}
	return nil
}

func refuseSelf(row sqlrepo.Store) error {
	return fmt.Errorf("%w: store %q is the store of the shards: name another one as its replica", errUsage, row.Name)
}

// addReplicas makes stores replicas of a space. They have to be there, and to be fit for it.
func addReplicas(ctx context.Context, repo *repository, stores *known.Stores, space sqlrepo.Space, origin string,
	rows []sqlrepo.Store) error {
	for _, row := range rows {
		if row.Identity == origin || row.Identity == space.Store {
			return refuseSelf(row)
		}
		files, err := stores.Open(ctx, row.Identity)
		if err != nil {
			return fmt.Errorf("replica: %w", err)
		}
		if err := refuseForeign(ctx, repo, files, row); err != nil {
			return err
		}
	}

	for _, row := range rows {
		if err := repo.AddSpaceReplica(ctx, sqlrepo.SpaceReplica{Space: space.ID, Store: row.Identity}); err != nil {
			return err
		}
	}
	return nil
}

// replicate lets a job send files to the replicas of its space. Those that the command names have to be there.
func (a *app) replicate(ctx context.Context, cfg *config.Config, repo *repository, job *pipeline.Job) error {
	if len(a.replicas) == 0 && job.Space.Replicas == 0 {
		return nil
	}
	stores, err := a.findReplicas(ctx, cfg, repo)
	if err != nil {
		return err
	}

	marker, err := job.Store.Marker(ctx)
	switch {
	case err != nil:
		return err
	case marker == store.NoneIdentity && len(stores.named) > 0:
		return errNothingToSend
	case marker == store.NoneIdentity:
		return nil
	}
	if err := refuseReplicaAsStore(ctx, repo, stores.rows, job.Space, marker); err != nil {
		return err
	}

	job.Sending = &pipeline.Sending{Spaces: []int64{job.Space.ID}, Open: stores.Open}
	return addReplicas(ctx, repo, stores.Stores, job.Space, marker, stores.named)
}

// refuseReplicaAsStore returns an error for a store that is a replica of a space, in which the space's shards would be
// in one place only.
func refuseReplicaAsStore(ctx context.Context, repo *repository, rows storeRows, space sqlrepo.Space,
	identity string) error {
	replicas, err := repo.SpaceReplicas(ctx, []int64{space.ID})
	if err != nil || !slices.Contains(replicas, sqlrepo.SpaceReplica{Space: space.ID, Store: identity}) {
		return err
	}
	name := rows.nameOf(identity)
	return fmt.Errorf("%w: store %q is a replica of space %q: what goes there would be in one place only. To use it as "+
		"the store, run guppy space set --no-replica %s %s first", errUsage, name, space.Name, name, arguments(space.Name))
}

// sentView says what a replica of the upload's space lacks after a run.
type sentView struct {
	replicaView

	setAside, named bool
	// unseen is true if the replica was not there when the run ended.
	unseen  bool
	failure error
}

// unsent collects why replicas lack files.
type unsent map[sqlrepo.SpaceReplica]error

func (u unsent) add(replica sqlrepo.SpaceReplica, reason error) { u[replica] = reason }

// sentViews returns what the replicas of some spaces lack, or of all if spaces is nil. It looks once whether each that
// is not known to be away is there: what it has according to the rows says nothing about a replica that is gone.
func (a *app) sentViews(ctx context.Context, repo *repository, sending *pipeline.Sending,
	left unsent) (views []sentView, err error) {
	spaces := sending.Spaces
	replicas, err := repo.SpaceReplicas(ctx, spaces)
	if err != nil {
		return nil, err
	}
	sendings, err := repo.Sendings(ctx, spaces)
	if err != nil {
		return nil, err
	}
	rows, err := findStores(ctx, repo)
	if err != nil {
		return nil, err
	}
	known, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}

	names := spaceNames(known)
	for _, replica := range replicas {
		lacks, err := repo.Lacking(ctx, replica)
		if err != nil {
			return nil, err
		}

		view := sentView{failure: left[replica], replicaView: replicaView{Replica: rows.nameOf(replica.Store),
			Space: names[replica.Space], Files: lacks.Files, Bytes: lacks.Bytes,
			DueFiles: lacks.DueFiles, DueBytes: lacks.DueBytes}}
		if view.failure == nil {
			view.failure = rows.lookFor(ctx, sending, replica.Store)
			view.unseen = view.failure != nil
		}
		if view.failure != nil {
			view.Reason = view.failure.Error()
		}
		if view.unseen {
			a.log.Warn("a replica is not there: what it has can't be told", "store", view.Replica, "reason", view.failure)
		}
		for _, sending := range sendings {
			if sending.SpaceReplica == replica && !sending.SetAside.IsZero() {
				view.Reason, view.setAside = sending.Error, true
			}
		}
		views = append(views, view)
	}
	return views, nil
}

// lookFor returns an error unless a store is there. It waits for no server, and not for a call that does not return, as
// on a dead mount.
func (rows storeRows) lookFor(ctx context.Context, sending *pipeline.Sending, identity string) error {
	ctx, cancel := context.WithTimeout(store.WithoutPatience(ctx), lookFor)
	defer cancel()

	found := make(chan error, 1)
	go func() {
		files, err := sending.Open(ctx, identity)
		for _, row := range rows {
			if err == nil && row.Identity == identity {
				err = known.Prove(ctx, files, row)
			}
		}
		found <- err
	}()

	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return fmt.Errorf("store %q: %w: it does not answer", rows.nameOf(identity), store.ErrUnusable)
	}
}

// err returns an error if files were set aside, and otherwise if any are missing and have to be there.
func (v sentView) err(strict bool) error {
	switch {
	case v.unseen && strict:
		return fmt.Errorf("replica %s is not there: what it has can't be told: %w", v.Replica, v.failure)
	case v.Files == 0:
		return nil
	case v.setAside:
		return fmt.Errorf("replica %s lacks %s: %w: %s: guppy check --read-data --repair --yes mends the store that has it, "+
			"if any copy is good, and the next run sends the rest", v.Replica, plural(v.Files, "file"), pipeline.ErrSetAside,
			v.Reason)
	case strict && v.failure != nil:
		return fmt.Errorf("replica %s lacks %s: %w: the next run sends the rest", v.Replica, plural(v.Files, "file"),
			v.failure)
	}
	return nil
}

// addSent adds to a report what the replicas of the space lack.
func (a *app) addSent(ctx context.Context, repo *repository, job pipeline.Job, r *report, left unsent) (err error) {
	if job.Sending == nil {
		return nil
	}
	r.Replicas, err = a.sentViews(ctx, repo, job.Sending, left)
	for i := range r.Replicas {
		r.Replicas[i].named = slices.Contains(a.replicas, r.Replicas[i].Replica)
	}
	return err
}

// replicasErr returns an error if files were set aside, or are missing in a replica that the command names.
func (r *report) replicasErr() (err error) {
	for _, replica := range r.Replicas {
		err = errors.Join(err, replica.err(replica.named))
	}
	return err
}

// replicasText adds what replicas lack.
func replicasText(facts *display.Facts, replicas []sentView) {
	for _, replica := range replicas {
		switch {
		case replica.Files == 0 && replica.unseen:
			facts.Add("replica", "%s %s: what it has can't be told", replica.Replica, display.Warning("is not there"))
		case replica.Files == 0:
			facts.Add("replica", "%s has everything", replica.Replica)
		default:
			facts.Add("replica", "%s %s, %s: %s", replica.Replica, display.Warning("lacks "+plural(replica.Files, "file")),
				progress.Bytes(replica.Bytes), oneLine(replica.Reason))
		}
	}
}

// spaceReplicas returns the names of a space's replicas.
func spaceReplicas(ctx context.Context, repo *repository, space sqlrepo.Space) (names []string, err error) {
	names = []string{}
	if space.Replicas == 0 {
		return names, nil
	}
	replicas, err := repo.SpaceReplicas(ctx, []int64{space.ID})
	if err != nil {
		return nil, err
	}
	rows, err := findStores(ctx, repo)
	for _, replica := range replicas {
		names = append(names, rows.nameOf(replica.Store))
	}
	return names, err
}

// replicasNote is the end of a line about a space with replicas.
func replicasNote(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", replicas: " + strings.Join(names, ", ")
}
