package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// progressView is the output of guppy status.
type progressView struct {
	Time     instant         `json:"time"`              // when this was so
	Uploads  []uploadStatus  `json:"uploads"`           // the chosen upload, or all unfinished ones
	Stores   []storeStatus   `json:"stores"`            // all stores, or those that concern the chosen upload
	Replicas []replicaStatus `json:"replicas"`          // what replicas lack, and what is being sent there
	Standby  *standbyView    `json:"standby,omitempty"` // how the database that was read follows another one

	now time.Time
}

// storeStatus says where a store is, and when an upload was last opened there.
type storeStatus struct {
	knownStore
	seen time.Time
}

// replicaStatus says what a replica lacks, and what is being sent there.
type replicaStatus struct {
	replicaView
	workStatus
}

// workStatus says who is at work, and what failed.
type workStatus struct {
	Workers  []workerStatus `json:"workers"`   // who is at work
	SetAside []failedWork   `json:"set_aside"` // work that was given up
	Retries  []failedWork   `json:"retries"`   // failed work that is tried again

	now time.Time
}

// uploadStatus is the progress of an upload.
type uploadStatus struct {
	uploadView
	StageBegan     instant  `json:"stage_began_at,omitempty"`      // when its present stage began
	Entries        int64    `json:"entry_count"`                   // number of entries that the scan has found
	LinkedEntries  int64    `json:"linked_entry_count"`            // number of entries that are linked
	IndexedBlocks  int64    `json:"indexed_block_count,omitempty"` // number of blocks in its indexes, while they are built
	PackedFiles    int64    `json:"packed_file_count"`             // number of files that are packed from their beginning
	PlannedFiles   int64    `json:"planned_file_count"`            // number of files to pack in all
	PackedBytes    int64    `json:"packed_bytes"`                  // length of what is packed of these files
	PlannedBytes   int64    `json:"planned_bytes"`                 // length of these files
	SettledShards  int64    `json:"settled_shard_count"`           // number of shards that are stored or empty
	PlannedShards  int64    `json:"planned_shard_count"`           // number of shards in all
	ShardsSetAside int64    `json:"set_aside_shard_count"`         // number of shards that were given up
	BytesPerSecond float64  `json:"bytes_per_second"`              // rate of packing; 0 in other stages
	SecondsLeft    *float64 `json:"seconds_left,omitempty"`        // time that packing will take, if that is known
	Ended          bool     `json:"ended"`                         // whether no work is left
	workStatus

	stuck bool
	// stopped is true if the stage itself was set aside, so that no later one begins.
	stopped bool
	// removedFrom is the path of the source if it was removed.
	removedFrom string
	inStage     time.Time
}

// workerStatus is a worker and its work: a shard by its ordinal, a stage, or a file that is sent to a replica.
type workerStatus struct {
	Host       string  `json:"host"`           // host of the worker
	PID        int64   `json:"pid,omitempty"`  // its process, if that is known
	Work       string  `json:"work"`           // "shard N", a stage, or a file that is sent to a replica
	BeganAt    instant `json:"began_at"`       // when it began this work
	SeenAt     instant `json:"seen_at"`        // time of its latest heartbeat
	Silent     float64 `json:"silent_seconds"` // time since then
	Bytes      int64   `json:"bytes"`          // read for this work
	LeaseEnded bool    `json:"lease_ended"`    // whether it was silent for so long that others may take over
	Gone       bool    `json:"gone"`           // whether its process, of this host, is known to have ended

	began time.Time
}

// failedWork is work that failed.
type failedWork struct {
	Work     string  `json:"work"`          // "shard N", a stage, or a file that is sent to a replica
	Attempts int64   `json:"attempt_count"` // how often it was tried
	Reason   string  `json:"reason"`        // error of the latest attempt
	At       instant `json:"at,omitempty"`  // when it was given up, or the earliest time of the next attempt

	at time.Time
}

// newUploadStatus returns the state of an upload and of its shards under way.
func newUploadStatus(space sqlrepo.Space, source sqlrepo.Source, u sqlrepo.OpenUpload,
	shards []sqlrepo.Shard) uploadStatus {
	v := uploadStatus{
		uploadView: newUploadView(space, source, u.Upload, nil), StageBegan: formatTime(u.StageBegan), Entries: u.Found,
		LinkedEntries: u.Linked, PackedFiles: u.PackedFiles, PlannedFiles: u.PlannedFiles, PackedBytes: u.PackedBytes,
		PlannedBytes: u.PlannedBytes, SettledShards: u.SettledShards, PlannedShards: u.PlannedShards,
		ShardsSetAside: u.AsideShards, Ended: u.Ended(), workStatus: newWorkStatus(u.Now), stuck: u.Stuck(),
		stopped: !u.SetAside.IsZero(),
		inStage: u.StageBegan.Time,
	}

	if u.State == sqlrepo.Indexing {
		v.IndexedBlocks = max(0, u.Progress)
	}

	v.add(u.State.String(), u.Lease)
	for _, shard := range shards {
		// The bytes of a shard under way count, but never beyond the total of the upload.
		if live := v.add(fmt.Sprintf("shard %d", shard.Ordinal), shard.Lease); live {
			v.PackedBytes = min(v.PackedBytes+max(0, shard.Progress), max(v.PackedBytes, v.PlannedBytes))
		}
	}

	return v
}

func newWorkStatus(now sqlrepo.Time) workStatus {
	return workStatus{Workers: []workerStatus{}, SetAside: []failedWork{}, Retries: []failedWork{}, now: now.Time}
}

// add adds the worker and the failures of a piece of work. It reports whether a worker holds a lease that has not
// ended, and is not known to be gone.
func (v *workStatus) add(work string, l sqlrepo.Lease) (live bool) {
	failed := failedWork{Work: work, Attempts: l.Attempts, Reason: l.Error}

	switch {
	case !l.SetAside.IsZero():
		v.SetAside = append(v.SetAside, failed.withTime(l.SetAside))
		return false
	case l.Error != "" && l.Token == 0:
		v.Retries = append(v.Retries, failed.withTime(l.RetryAt))
	case l.Error != "":
		v.Retries = append(v.Retries, failed)
	}

	// Nobody has claimed the work.
	if l.Token == 0 {
		return false
	}

	host, process := presence.Split(l.Worker)
	pid, _ := strconv.ParseInt(process, 10, 64)
	ended, gone := l.Ends.Before(v.now), presence.IsGone(l.Worker)
	v.Workers = append(v.Workers, workerStatus{
		Host: host, PID: pid, Work: work, BeganAt: formatTime(l.Began), SeenAt: formatTime(l.Seen),
		Silent: max(0, v.now.Sub(l.Seen.Time).Seconds()), Bytes: max(0, l.Progress), LeaseEnded: ended, Gone: gone,
		began: l.Began.Time,
	})

	return !ended && !gone
}

// atWork reports whether anybody works, as far as is known.
func (v *workStatus) atWork() bool {
	return slices.ContainsFunc(v.Workers, func(worker workerStatus) bool { return !worker.LeaseEnded && !worker.Gone })
}

func (f failedWork) withTime(at sqlrepo.Time) failedWork {
	f.At, f.at = formatTime(at), at.Time
	return f
}
