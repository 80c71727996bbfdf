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
	if len(v.Uploads) == 0 {
		fmt.Fprintln(w, "no unfinished uploads")
	}
	for i := range v.Uploads {
		v.Uploads[i].text(w)
	}
	for i := range v.Replicas {
		v.Replicas[i].text(w)
	}
}

func (v *replicaStatus) text(w io.Writer) {
	fmt.Fprintf(w, "store %s\n", v.Replica)
	fmt.Fprintf(w, "  %s\n", v.describe())
	v.workStatus.text(w, "")

	switch {
	case len(v.SetAside) > 0:
		fmt.Fprintln(w, "  guppy check --read-data --repair --yes mends the store that has it; the next run sends it")
	case v.Files > 0 && v.Space == "":
		fmt.Fprintf(w, "  guppy store sync %s %s sends it\n", v.Of, v.Replica)
	case v.Files > 0 && len(v.Workers) == 0:
		fmt.Fprintln(w, "  nobody sends it: guppy worker --exit-when-idle does, and the next run of the space")
	}
}

func (v *uploadStatus) text(w io.Writer) {
	fmt.Fprintf(w, "upload %d  %s/%s  %s", v.Upload, printable(v.Space), printable(v.Source), v.State)
	if !v.inStage.IsZero() && !v.Ended {
		fmt.Fprintf(w, " for %s", v.since(v.inStage))
	}
	fmt.Fprintln(w)

	v.progressText(w)
	v.workText(w)
}

// workText prints who works on the upload, what failed, and how it continues.
func (v *uploadStatus) workText(w io.Writer) {
	v.workStatus.text(w, v.State)
	if len(v.Workers) == 0 { // another run may be mending it
		v.stopView.text(w)
	}
	v.nextText(w)
}

// text prints who is at work and what failed. A stage has no bytes.
func (v *workStatus) text(w io.Writer, stage string) {
	for _, worker := range v.Workers {
		worker.text(w, v, stage)
	}

	for _, work := range v.Retries {
		if work.Attempts == 0 { // it was postponed, which is not its own failure
			fmt.Fprintf(w, "  waiting, %s: %s\n", work.Work, printable(work.Error))
			continue
		}
		fmt.Fprintf(w, "  failed %s, %s, %s: %s\n", times(work.Attempts), work.Work, v.when(work), printable(work.Error))
	}
	for _, work := range v.SetAside {
		fmt.Fprintf(w, "  set aside %s ago, %s, failed %s: %s\n",
			v.since(work.at), work.Work, times(work.Attempts), printable(work.Error))
	}
}

// nextText prints how the upload continues.
func (v *uploadStatus) nextText(w io.Writer) {
	switch {
	case v.State == sqlrepo.Removed.String():
		fmt.Fprintln(w, "  it was removed; guppy gc --yes deletes what no other upload needs")
	case v.State == sqlrepo.Incomplete.String():
		fmt.Fprintf(w, "  some entries could not be prepared: %s tries again\n", v.again())
	case !v.Ended && len(v.Workers) == 0 && len(v.Retries) == 0:
		fmt.Fprintf(w, "  nobody is at work on it: guppy worker or %s continues it\n", v.again())
	case v.stopped:
		fmt.Fprintf(w, "  nothing goes on after that: %s tries again what was set aside\n", v.again())
	case v.stuck:
		fmt.Fprintf(w, "  everything else is done: %s tries again what was set aside\n", v.again())
	}
}

// progressText prints the progress of the present stage.
func (v *uploadStatus) progressText(w io.Writer) {
	switch v.State {
	case sqlrepo.Complete.String():
		fmt.Fprintf(w, "  root %s\n", v.RootCID)
	case sqlrepo.Scanning.String():
		fmt.Fprintf(w, "  %s\n", plural(v.Entries, "entry"))
	case sqlrepo.Linking.String():
		fmt.Fprintf(w, "  %d of %s\n", v.LinkedEntries, plural(v.Entries, "entry"))
	case sqlrepo.Indexing.String():
		fmt.Fprintf(w, "  root %s, %s indexed\n", v.RootCID, plural(v.IndexedBlocks, "block"))
	default:
		fmt.Fprintf(w, "  %d of %s, %s of %s, %d of %s", v.PackedFiles, plural(v.PlannedFiles, "file"),
			progress.Bytes(v.PackedBytes), progress.Bytes(v.PlannedBytes), v.SettledShards, plural(v.PlannedShards, "shard"))
		if v.State == sqlrepo.Packing.String() && !v.Ended {
			fmt.Fprintf(w, ", %s/s", progress.Bytes(int64(v.BytesPerSecond)))
		}

		if v.SecondsLeft != nil {
			fmt.Fprintf(w, ", %s left", seconds(*v.SecondsLeft))
		}
		fmt.Fprintln(w)
	}
}

func (s *workerStatus) text(w io.Writer, v *workStatus, stage string) {
	fmt.Fprintf(w, "  %s, process %d: %s", printable(s.Host), s.PID, s.Work)
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

// again returns the command that continues the upload. A removed source has to be taken back in before.
func (v *uploadStatus) again() string {
	return continuing(v.Space, v.Source, v.removedFrom)
}

// continuing returns the command that continues an upload of a source, which was removed from a path unless that is "".
func continuing(space, source, removedFrom string) string {
	space, source = shellQuoted(space), shellQuoted(source)
	command := fmt.Sprintf("guppy upload %s %s", space, source)
	if removedFrom != "" {
		command = fmt.Sprintf("guppy source add %s %s --name %s && %s", space, shellQuoted(removedFrom), source, command)
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
	return continuing(space.Name, source.Name, removedFrom), nil
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
