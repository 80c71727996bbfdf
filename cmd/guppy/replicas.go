package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/pipeline"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/internal/store/known"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// replicaView says what a store is a replica of, and what it lacks.
type replicaView struct {
	// Of is the name of a store, or else Space that of a space.
	Of       string `json:"of,omitempty"`
	Space    string `json:"space,omitempty"`
	Files    int64  `json:"missing_files"`
	Bytes    int64  `json:"missing_bytes"`
	SyncedAt string `json:"synced_at,omitempty"`
}

// newReplicaView returns the view of a replica. The names of spaces are by key.
func newReplicaView(r sqlrepo.Replica, rows storeRows, spaces map[int64]string) replicaView {
	view := replicaView{Space: spaces[r.Space], Files: r.Files, Bytes: r.Bytes, SyncedAt: formatTime(r.SyncedAt)}
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

// text says what the replica lacks.
func (v replicaView) text(w io.Writer) {
	of := "store " + v.Of
	if v.Space != "" {
		of = "space " + printable(v.Space)
	}

	if v.Files == 0 {
		fmt.Fprintf(w, "  replica of %s, and has everything of it", of)
	} else {
		fmt.Fprintf(w, "  replica of %s, and lacks %s of it, %s", of, plural(v.Files, "file"), progress.Bytes(v.Bytes))
	}
	if v.SyncedAt != "" {
		fmt.Fprintf(w, "; it last had everything at %s", v.SyncedAt)
	}
	fmt.Fprintln(w)
}

// errNothingToSend is returned for a replica of uploads that no store keeps.
var errNothingToSend = fmt.Errorf("%w: nothing can be sent to a replica from a store %s, which keeps nothing", errUsage,
	store.NoneURL)

// replicas returns the stores that are named as replicas of a space.
func (rows storeRows) replicas(names []string) (replicas []sqlrepo.Store, err error) {
	for _, name := range names {
		row, err := rows.named(name)
		if err != nil {
			return nil, fmt.Errorf("%w: a replica has to be a store that the repository knows: guppy store add %s URL adds it",
				err, shellQuoted(name))
		}
		if row.Identity == store.NoneIdentity {
			return nil, fmt.Errorf("%w: a store %s can't be a replica: it keeps nothing", errUsage, store.NoneURL)
		}
		replicas = append(replicas, row)
	}
	return replicas, nil
}

// refuseReplicas returns an error for the replicas that the command names unless they can be used. It is called before
// anything is changed.
func (a *app) refuseReplicas(ctx context.Context, cfg *config.Config, repo *repository) error {
	if len(a.replicas) == 0 {
		return nil
	}
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	named, err := rows.replicas(a.replicas)
	if err != nil {
		return err
	}

	if cfg.ByFlag("prepare.store") && cfg.Prepare.Store == store.NoneURL {
		return errNothingToSend
	}
	for _, row := range named {
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
		if row.Identity == origin {
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
	stores, rows, err := a.storesByPath(ctx, cfg, repo)
	if err != nil {
		return err
	}
	named, err := rows.replicas(a.replicas)
	if err != nil {
		return err
	}

	marker, err := job.Store.Marker(ctx)
	if err == nil && marker == store.NoneIdentity && len(named) > 0 {
		return errNothingToSend
	}
	if err == nil {
		err = addReplicas(ctx, repo, stores, job.Space, marker, named)
	}
	job.Open = stores.Open
	return err
}

// sentView says what a replica of the upload's space lacks after a run.
type sentView struct {
	Name  string `json:"name"`
	Files int64  `json:"missing_files"`
	Bytes int64  `json:"missing_bytes"`
	// Reason is why a file was not sent, if one was set aside.
	Reason string `json:"reason,omitempty"`

	origin string
	named  bool
}

// addReplicas adds what the replicas of the space lack.
func (r *report) addReplicas(ctx context.Context, repo *repository, job pipeline.Job, named []string) error {
	if job.Open == nil {
		return nil
	}
	replicas, err := repo.SpaceReplicas(ctx, []int64{job.Space.ID})
	if err != nil {
		return err
	}
	sendings, err := repo.Sendings(ctx, []int64{job.Space.ID})
	if err != nil {
		return err
	}
	rows, err := findStores(ctx, repo)
	if err != nil {
		return err
	}

	for _, replica := range replicas {
		lacks, err := repo.Lacking(ctx, replica)
		if err != nil {
			return err
		}
		view := sentView{Name: rows.nameOf(replica.Store), Files: lacks.Files, Bytes: lacks.Bytes}
		for _, sending := range sendings {
			if sending.Store == replica.Store && !sending.SetAside.IsZero() {
				view.Reason, view.origin = sending.Error, rows.nameOf(sending.Origin)
			}
		}
		for _, name := range named {
			view.named = view.named || name == view.Name
		}
		r.Replicas = append(r.Replicas, view)
	}
	return nil
}

// replicasErr returns an error if files were set aside, or are missing in a replica that the command names.
func (r *report) replicasErr() (err error) {
	for _, replica := range r.Replicas {
		switch {
		case replica.Reason != "":
			err = errors.Join(err, fmt.Errorf("replica %s lacks %s: %w: %s: guppy check --repair --yes mends the store; "+
				"guppy store sync %s %s sends the rest", replica.Name, plural(replica.Files, "file"), pipeline.ErrSetAside,
				replica.Reason, replica.origin, replica.Name))
		case replica.Files > 0 && replica.named:
			err = errors.Join(err, fmt.Errorf("replica %s lacks %s: %w: the next run sends the rest", replica.Name,
				plural(replica.Files, "file"), store.ErrAbsent))
		}
	}
	return err
}

func (r *report) replicasText(w io.Writer) {
	for _, replica := range r.Replicas {
		if replica.Files == 0 {
			fmt.Fprintf(w, "replica   %s has everything\n", replica.Name)
		} else {
			fmt.Fprintf(w, "replica   %s lacks %s, %s\n", replica.Name, plural(replica.Files, "file"),
				progress.Bytes(replica.Bytes))
		}
	}
}

// spaceReplicas returns the names of a space's replicas.
func spaceReplicas(ctx context.Context, repo *repository, space sqlrepo.Space) (names []string, err error) {
	if space.Replicas == 0 {
		return nil, nil
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
