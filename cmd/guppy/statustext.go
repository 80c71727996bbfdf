package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

func (v *progressView) text(w io.Writer) {
	for i := range v.Uploads {
		v.Uploads[i].text(w)
	}
	for _, store := range v.Stores {
		store.text(w, v)
	}
	if v.Standby != nil {
		fmt.Fprintln(w, v.Standby.text)
	}
}

const noUploads = "no unfinished uploads"

// text prints where the store is, and what it lacks as a replica.
func (s storeStatus) text(w io.Writer, v *progressView) {
	fmt.Fprintf(w, "store %s  %s, %s\n", s.Store, printable(s.place()), s.lastUsed(v.now))
	for i := range v.Replicas {
		if replica := &v.Replicas[i]; replica.Replica == s.Store {
			replica.text(w)
		}
	}
}

func (s storeStatus) place() string {
	if s.StoreURL == "" {
		return "nobody knows where"
	}
	return s.StoreURL
}

// lastUsed says when an upload was last opened in the store.
func (s storeStatus) lastUsed(now time.Time) string {
	if s.seen.IsZero() {
		return "no uploads"
	}
	return "last used " + progress.Duration(max(0, now.Sub(s.seen))) + " ago"
}

func (v *replicaStatus) text(w io.Writer) {
	fmt.Fprintf(w, "  %s\n", v.describe())
	v.workStatus.text(w, "")
	if next := v.next(); next != "" {
		fmt.Fprintf(w, "  %s\n", next)
	}
}

// next returns how the replica gets what it lacks, or "".
func (v *replicaStatus) next() string {
	switch {
	case len(v.SetAside) > 0:
		return toRun + "check --read-data --repair --yes mends the store that has it; the next run sends it"
	case v.Files > 0 && v.Space == "":
		return fmt.Sprintf(toRun+"store sync %s %s sends it", v.Of, v.Replica)
	case v.Files > 0 && len(v.Workers) == 0:
		return "nobody sends it: " + toRun + "worker --exit-when-idle does, and the next run of the space"
	}
	return ""
}

func (v *uploadStatus) text(w io.Writer) {
	fmt.Fprintf(w, "%s\n  %s\n", v.title(), v.counts())
	v.workText(w)
}

// title returns the name and the stage of the upload.
func (v *uploadStatus) title() string {
	title := fmt.Sprintf("upload %d  %s/%s  %s", v.Upload, printable(v.Space), printable(v.Source), v.State)
	if !v.inStage.IsZero() && !v.Ended {
		title += " for " + v.since(v.inStage)
	}
	return title
}

// workText prints who works on the upload, what failed, and how it continues.
func (v *uploadStatus) workText(w io.Writer) {
	v.workStatus.text(w, v.State)
	if len(v.Workers) == 0 { // another run may be mending it
		v.stopView.text(w)
	}
	if next := v.next(); next != "" {
		fmt.Fprintf(w, "  %s\n", next)
	}
}

// text prints who is at work and what failed. A stage has no bytes.
func (v *workStatus) text(w io.Writer, stage string) {
	for _, worker := range v.Workers {
		worker.text(w, v, stage)
	}
	for _, work := range v.Retries {
		fmt.Fprintf(w, "  %s: %s\n", v.retry(work), oneLine(work.Reason))
	}
	for _, work := range v.SetAside {
		fmt.Fprintf(w, "  set aside %s ago, %s, failed %s: %s\n",
			v.since(work.at), work.Work, times(work.Attempts), oneLine(work.Reason))
	}
}

// retry says what failed, and when it is tried again.
func (v *workStatus) retry(work failedWork) string {
	if work.Attempts == 0 { // it was postponed, which is not its own failure
		return "waiting, " + work.Work
	}
	return fmt.Sprintf("failed %s, %s, %s", times(work.Attempts), work.Work, v.when(work))
}

// next returns how the upload continues, or "" if it does so by itself.
func (v *uploadStatus) next() string {
	switch {
	case v.State == sqlrepo.Removed.String():
		return "it was removed; " + toRun + "gc --yes deletes what no other upload needs"
	case v.State == sqlrepo.Incomplete.String():
		return fmt.Sprintf("some entries could not be prepared: %s tries again", v.again())
	case !v.Ended && !v.atWork() && len(v.Retries) == 0:
		return fmt.Sprintf("nobody is at work on it: "+toRun+"worker or %s continues it", v.again())
	case v.stopped:
		return fmt.Sprintf("nothing goes on after that: %s tries again what was set aside", v.again())
	case v.stuck:
		return fmt.Sprintf("everything else is done: %s tries again what was set aside", v.again())
	}
	return ""
}

// counts returns how far the present stage is.
func (v *uploadStatus) counts() string {
	switch v.State {
	case sqlrepo.Complete.String():
		return "root " + v.RootCID
	case sqlrepo.Scanning.String():
		return plural(v.Entries, "entry")
	case sqlrepo.Linking.String():
		return fmt.Sprintf("%d of %s", v.LinkedEntries, plural(v.Entries, "entry"))
	case sqlrepo.Indexing.String():
		return fmt.Sprintf("root %s, %s indexed", v.RootCID, plural(v.IndexedBlocks, "block"))
	}

	counts := fmt.Sprintf("%d of %s, %s of %s, %d of %s", v.PackedFiles, plural(v.PlannedFiles, "file"),
		progress.Bytes(v.PackedBytes), progress.Bytes(v.PlannedBytes), v.SettledShards, plural(v.PlannedShards, "shard"))
	if v.State == sqlrepo.Packing.String() && !v.Ended && v.atWork() {
		counts += fmt.Sprintf(", %s/s", progress.Bytes(int64(v.BytesPerSecond)))
	}
	if v.SecondsLeft != nil {
		counts += fmt.Sprintf(", %s left", seconds(*v.SecondsLeft))
	}
	return counts
}

// fraction returns the part of the present stage that is done, if its total is known.
func (v *uploadStatus) fraction() (fraction float64, known bool) {
	state := progress.State{
		Bytes: v.PackedBytes, BytesTotal: v.PlannedBytes, Items: v.PackedFiles, ItemsTotal: v.PlannedFiles,
	}
	switch v.State {
	case sqlrepo.Linking.String():
		state = progress.State{Items: v.LinkedEntries, ItemsTotal: v.Entries}
	case sqlrepo.Packing.String(), sqlrepo.Rescanning.String():
	default:
		return 0, false
	}
	return state.Fraction()
}

func (s *workerStatus) text(w io.Writer, v *workStatus, stage string) {
	fmt.Fprintf(w, "  %s, process %s: %s", printable(s.Host), s.pid(), s.Work)
	if s.Gone {
		fmt.Fprintf(w, ", but the process has ended: "+toRun+"upload on this host takes over at once\n")
		return
	}
	if s.LeaseEnded {
		fmt.Fprintf(w, ", silent for %s; others may take over\n", seconds(s.Silent))
		return
	}

	fmt.Fprintf(w, " for %s", v.since(s.began))
	if s.Work != stage {
		fmt.Fprintf(w, ", %s read", progress.Bytes(s.Bytes))
	}
	fmt.Fprintf(w, ", last heard from %s ago\n", seconds(s.Silent))
}

// pid returns the number of the process, or "?" if it is not known.
func (s *workerStatus) pid() string {
	if s.PID == 0 {
		return "?"
	}
	return fmt.Sprint(s.PID)
}

// again returns the command that continues the upload. A removed source has to be taken back in before.
func (v *uploadStatus) again() string {
	return continuing(toRun, v.Space, v.Source, v.removedFrom)
}

// continuing returns the command that continues an upload of a source, which was removed from a path unless that is "".
func continuing(begin, space, source, removedFrom string) string {
	command := begin + "upload " + arguments(space, source)
	if removedFrom != "" {
		command = fmt.Sprintf("%ssource add --name %s %s && %s", begin, shellQuoted(source), arguments(space, removedFrom),
			command)
	}
	return command
}

// continuingUpload returns the command that continues an upload.
func continuingUpload(ctx context.Context, repo *repository, upload sqlrepo.Upload) (string, error) {
	source, err := repo.Source(ctx, upload.Source)
	if err != nil {
		return "", err
	}
	space, err := spaceOf(ctx, repo, source)
	if err != nil {
		return "", err
	}

	removedFrom := ""
	if !source.RemovedAt.IsZero() {
		removedFrom = string(source.Path)
	}
	return continuing(program, space.Name, source.Name, removedFrom), nil
}

// when describes when failed work is tried again.
func (v *workStatus) when(work failedWork) string {
	switch {
	case work.at.IsZero():
		return "being tried again"
	case work.at.After(v.now):
		return "to be tried again in " + seconds(work.at.Sub(v.now).Seconds())
	}
	return "to be tried again"
}

func (v *workStatus) since(t time.Time) string { return seconds(max(0, v.now.Sub(t).Seconds())) }

// longest is more than anybody waits, and fits a time.Duration.
const longest = 1000 * 24 * time.Hour

func seconds(n float64) string {
	if n >= longest.Seconds() {
		return "more than " + longest.String()
	}
	return time.Duration(n * float64(time.Second)).Round(time.Second).String()
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
