package main

import (
	"fmt"
	"time"

	"github.com/guppy-prep/guppy/internal/host/presence"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// progressView is the output of guppy status.
type progressView struct {
	Time     string          `json:"time"`
	Uploads  []uploadStatus  `json:"uploads"`
	Replicas []replicaStatus `json:"replicas"`
}

// replicaStatus says what a replica lacks, and what is being sent there.
type replicaStatus struct {
	Name string `json:"name"`
	replicaView
	workStatus
}

// workStatus says who is at work, and what failed.
type workStatus struct {
	Workers  []workerStatus `json:"workers"`
	SetAside []failedWork   `json:"set_aside"`
	Retries  []failedWork   `json:"retries"`

	now time.Time
}

type uploadStatus struct {
	Upload         int64    `json:"upload"`
	Space          string   `json:"space"`
	Source         string   `json:"source"`
	State          string   `json:"state"`
	Profile        string   `json:"profile"`
	StartedAt      string   `json:"started_at"`
	FinishedAt     string   `json:"finished_at,omitempty"`
	RootCID        string   `json:"root_cid"`
	StageBegan     string   `json:"stage_began_at,omitempty"`
	Entries        int64    `json:"entries"`
	LinkedEntries  int64    `json:"linked_entries"`
	IndexedBlocks  int64    `json:"indexed_blocks,omitempty"`
	Files          int64    `json:"files"`
	FilesTotal     int64    `json:"files_total"`
	Bytes          int64    `json:"bytes"`
	BytesTotal     int64    `json:"bytes_total"`
	Shards         int64    `json:"shards"`
	ShardsTotal    int64    `json:"shards_total"`
	ShardsSetAside int64    `json:"shards_set_aside"`
	BytesPerSecond float64  `json:"bytes_per_second"`
	SecondsLeft    *float64 `json:"seconds_left,omitempty"`
	Ended          bool     `json:"ended"`
	workStatus

	stuck bool
	// stopped is true if the stage itself was set aside, so that no later one begins.
	stopped bool
	// removedFrom is the path of the source if it was removed.
	removedFrom string
	inStage     time.Time
}

type workerStatus struct {
	Host       string  `json:"host"`
	PID        string  `json:"pid"`
	Work       string  `json:"work"`
	BeganAt    string  `json:"began_at"`
	SeenAt     string  `json:"seen_at"`
	Silent     float64 `json:"silent_seconds"`
	Bytes      int64   `json:"bytes"`
	LeaseEnded bool    `json:"lease_ended"`

	began time.Time
}

// failedWork is work that failed.
type failedWork struct {
	Work     string `json:"work"`
	Attempts int64  `json:"attempts"`
	Error    string `json:"error"`
	At       string `json:"at,omitempty"`

	at time.Time
}

// newUploadStatus returns the state of an upload and of its shards under way.
func newUploadStatus(u sqlrepo.OpenUpload, shards []sqlrepo.Shard) uploadStatus {
	v := uploadStatus{
		Upload: u.ID, State: u.State.String(), Profile: u.Profile, StartedAt: formatTime(u.StartedAt),
		FinishedAt: formatTime(u.FinishedAt), RootCID: u.RootCID.String(), StageBegan: formatTime(u.StageBegan),
		Entries: u.Found, LinkedEntries: u.Linked, Files: u.PackedFiles, FilesTotal: u.PlannedFiles, Bytes: u.PackedBytes,
		BytesTotal: u.PlannedBytes, Shards: u.SettledShards, ShardsTotal: u.PlannedShards, ShardsSetAside: u.AsideShards,
		Ended: u.Ended(), workStatus: newWorkStatus(u.Now), stuck: u.Stuck(), stopped: !u.SetAside.IsZero(),
		inStage: u.StageBegan.Time,
	}

	if u.State == sqlrepo.Indexing {
		v.IndexedBlocks = max(0, u.Progress)
	}

	v.add(u.State.String(), u.Lease)
	for _, shard := range shards {
		// The bytes of a shard under way count, but never beyond the total of the upload.
		if live := v.add(fmt.Sprintf("shard %d", shard.Ordinal), shard.Lease); live {
			v.Bytes = min(v.Bytes+max(0, shard.Progress), max(v.Bytes, v.BytesTotal))
		}
	}

	return v
}

func newWorkStatus(now sqlrepo.Time) workStatus {
	return workStatus{Workers: []workerStatus{}, SetAside: []failedWork{}, Retries: []failedWork{}, now: now.Time}
}

// add adds the worker and the failures of a piece of work. It reports whether a worker holds a lease that has not
// ended.
func (v *workStatus) add(work string, l sqlrepo.Lease) (live bool) {
	failed := failedWork{Work: work, Attempts: l.Attempts, Error: l.Error}

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

	host, pid := presence.Split(l.Worker)
	ended := l.Ends.Before(v.now)
	v.Workers = append(v.Workers, workerStatus{
		Host: host, PID: pid, Work: work, BeganAt: formatTime(l.Began), SeenAt: formatTime(l.Seen),
		Silent: max(0, v.now.Sub(l.Seen.Time).Seconds()), Bytes: max(0, l.Progress), LeaseEnded: ended, began: l.Began.Time,
	})

	return !ended
}

func (f failedWork) withTime(at sqlrepo.Time) failedWork {
	f.At, f.at = formatTime(at), at.Time
	return f
}
