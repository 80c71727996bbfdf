package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/upkeep/retention"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/removal"
)

const uploadPruneHelp = `Prune removes the uploads of a space that no rule keeps, and everything that
only they need, as guppy upload rm does. The rules are those of restic forget,
and apply to each source of the space on its own. An upload stays if any rule
keeps it:
  --keep-last N     the N newest uploads
  --keep-daily N    the newest upload of each of the last N days that have one;
                    likewise --keep-weekly (weeks begin on Monday),
                    --keep-monthly and --keep-yearly
  --keep-within D   uploads that are less than D older than the newest one, such
                    as 1y5m7d2h: years, months, days, hours; or a duration of
                    Go, such as 36h30m
  --keep-tag TAG    uploads with this tag, or with all of TAG,TAG
N may be unlimited. If there are fewer days, weeks, months or years than N, the
oldest upload stays as well. An upload counts by the time at which it was
completed, in the time zone of this host.

Only complete uploads count, and only they are removed. A source of which no
upload would stay is an error, and nothing is removed: guppy upload rm does.

It prints what stays and why, and what goes, and removes it after a confirmation
on a terminal or with --yes. Without a terminal and without --yes it removes
nothing, and its exit code is 2. An upload that was tagged meanwhile stays, and
so does one for which an upload that was to stay is gone.
`

// pruneOptions holds the flags of upload prune.
type pruneOptions struct {
	uploadRmOptions
	policy retention.Policy
	source string
}

func (a *app) uploadPruneCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "prune SPACE", Short: "Remove the uploads of a space that no rule keeps", Long: uploadPruneHelp,
		Args: usageArgs(cobra.ExactArgs(1)),
	}

	options := pruneOptions{uploadRmOptions: newUploadRmOptions(command)}

	command.RunE = a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository,
		args []string) error {
		// What was refused is judged by the rules again.
		options.resume = func([]int64) string { return commandWith(command, args...) }
		return removing(ctx, repo, func(ctx context.Context) error { return a.prune(ctx, cfg, repo, args[0], options) })
	})
	command.PreRunE = func(*cobra.Command, []string) error {
		if options.policy.Empty() {
			return fmt.Errorf("%w: say what to keep, such as --keep-last 3 or --keep-daily 7: guppy upload prune --help "+
				"lists the rules", errUsage)
		}
		if a.listing.format != "" && !options.dryRun {
			return fmt.Errorf("%w: --format is for the list of --dry-run", errUsage)
		}
		return nil
	}

	flags := command.Flags()
	flags.SortFlags = false
	for _, rule := range []struct {
		name, what string
		n          *int
	}{
		{"keep-last", "keep the `N` newest uploads", &options.policy.Last},
		{"keep-daily", "keep the newest upload of each of the last `N` days", &options.policy.Daily},
		{"keep-weekly", "keep the newest upload of each of the last `N` weeks", &options.policy.Weekly},
		{"keep-monthly", "keep the newest upload of each of the last `N` months", &options.policy.Monthly},
		{"keep-yearly", "keep the newest upload of each of the last `N` years", &options.policy.Yearly},
	} {
		flags.Var((*countFlag)(rule.n), rule.name, rule.what)
	}
	flags.Var((*withinFlag)(&options.policy.Within), "keep-within",
		"keep uploads less than `DURATION` older than the newest")
	flags.Var((*tagsFlag)(&options.policy.Tags), "keep-tag", "keep uploads with this `TAG`; may be repeated")
	flags.StringVar(&options.source, "source", "", "only uploads of the source with this `NAME`")
	addUploadRemovalFlags(command, &options.uploadRmOptions)
	a.addListFlags(command)
	return command
}

// countFlag is a number of uploads to keep.
type countFlag int

var _ pflag.Value = (*countFlag)(nil)

func (f *countFlag) String() string {
	switch *f {
	case 0:
		return ""
	case retention.Unlimited:
		return "unlimited"
	}
	return strconv.Itoa(int(*f))
}

func (f *countFlag) Set(text string) error {
	if text == "unlimited" {
		*f = retention.Unlimited
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("use a number, or unlimited")
	}
	*f = countFlag(n)
	return nil
}

func (f *countFlag) Type() string { return "count" }

// withinFlag is a duration to keep.
type withinFlag retention.Duration

func (f *withinFlag) String() string { return retention.Duration(*f).String() }

func (f *withinFlag) Set(text string) error {
	parsed, err := retention.ParseDuration(text)
	*f = withinFlag(parsed)
	return err
}

func (f *withinFlag) Type() string { return "duration" }

// tagsFlag is a list of lists of tags to keep.
type tagsFlag [][]string

func (f *tagsFlag) String() string {
	var lists []string
	for _, list := range *f {
		lists = append(lists, strings.Join(list, ","))
	}
	return strings.Join(lists, " ")
}

func (f *tagsFlag) Set(text string) error {
	list := strings.Split(text, ",")
	if err := checkTags(list); err != nil {
		return err
	}
	*f = append(*f, list)
	return nil
}

func (f *tagsFlag) Type() string { return "tags" }

// errKeepsNothing is returned for a policy by which no upload of a source would stay.
var errKeepsNothing = errors.New("no rule keeps an upload of the source")

func (a *app) prune(ctx context.Context, cfg *config.Config, repo *repository, name string,
	options pruneOptions) error {
	space, err := repo.FindSpace(ctx, name)
	if err != nil {
		return err
	}
	sources, err := pruneSources(ctx, repo, space, options.source)
	if err != nil {
		return err
	}

	view := &prunedView{Uploads: []prunedUpload{}, shown: !options.yes}
	group := removable{space: space, decided: map[int64]removal.Decision{}}
	now := time.Now()

	for _, source := range sources {
		uploads, verdicts, err := judge(ctx, repo, source, options.policy, now)
		if err != nil {
			return err
		}
		decided, err := decisions(space, source, verdicts)
		if err != nil {
			return err
		}

		view.add(source, verdicts)
		for _, verdict := range verdicts {
			if id := verdict.Upload.ID; !verdict.Kept() {
				group.uploads, group.decided[id] = append(group.uploads, uploads[id]), decided[id]
			}
		}
	}

	if printed, err := pruneList.within(a, &view.Uploads); err != nil || printed {
		return err
	}
	if len(group.uploads) == 0 {
		none := &removedView{DryRun: view.shown, Removed: []int64{}, Removals: []removalView{}, prunedView: view}
		if err := a.print(none, view.text); err != nil {
			return err
		}
		return a.sayAside("nothing to remove")
	}
	return a.removeUploads(ctx, cfg, repo, []removable{group}, options.uploadRmOptions, view)
}

// pruneSources returns the sources of a space, also those that were removed and left uploads, or the one with a name.
func pruneSources(ctx context.Context, repo *repository, space sqlrepo.Space,
	name string) (sources []sqlrepo.Source, err error) {
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
	if err != nil {
		return nil, err
	}

	seen := map[int64]bool{}
	for _, upload := range uploads {
		if seen[upload.Source] {
			continue
		}
		seen[upload.Source] = true
		source, err := repo.Source(ctx, upload.Source)
		if err != nil {
			return nil, err
		}
		if name == "" || source.Name == name {
			sources = append(sources, source)
		}
	}

	if name != "" && len(sources) == 0 {
		_, err = findSource(ctx, repo, space, name) // one without uploads has nothing to remove
	}
	return sources, err
}

// judge applies the policy to the complete uploads of a source.
func judge(ctx context.Context, repo *repository, source sqlrepo.Source, policy retention.Policy,
	now time.Time) (byKey map[int64]sqlrepo.Upload, verdicts []retention.Verdict, err error) {
	// The tags come second: one that was added since then keeps its upload, and one that is missing by then is compared
	// once more when the upload is removed.
	uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Source: &source.ID})
	if err != nil {
		return nil, nil, err
	}
	tags, err := repo.Tags(ctx, sqlrepo.UploadFilter{Source: &source.ID})
	if err != nil {
		return nil, nil, err
	}

	byKey = map[int64]sqlrepo.Upload{}
	var candidates []retention.Upload
	for _, upload := range uploads {
		if upload.State == sqlrepo.Complete {
			byKey[upload.ID] = upload
			candidates = append(candidates, retention.Upload{
				ID: upload.ID, At: upload.FinishedAt.Local(), Tags: tags[upload.ID],
			})
		}
	}
	return byKey, policy.Apply(candidates, now), nil
}

// decisions returns what the removal of each upload is decided from. It returns errKeepsNothing if there are uploads,
// and none is kept.
func decisions(space sqlrepo.Space, source sqlrepo.Source,
	verdicts []retention.Verdict) (map[int64]removal.Decision, error) {
	var kept []int64
	for _, verdict := range verdicts {
		if verdict.Kept() {
			kept = append(kept, verdict.Upload.ID)
		}
	}
	if len(verdicts) > 0 && len(kept) == 0 {
		return nil, fmt.Errorf("source %q of space %q: %w: nothing was changed; guppy upload rm UPLOAD removes one, and "+
			"--source NAME prunes another source alone", source.Name, space.Name, errKeepsNothing)
	}

	decided := map[int64]removal.Decision{}
	for _, verdict := range verdicts {
		decided[verdict.Upload.ID] = removal.Decision{Tags: verdict.Upload.Tags, Kept: kept}
	}
	return decided, nil
}

// prunedView is what upload prune prints in addition to what is removed.
type prunedView struct {
	Uploads []prunedUpload `json:"uploads"` // complete uploads, and whether they stay, for upload prune

	// shown is true if the table was printed before the question.
	shown bool
}

type prunedUpload struct {
	Upload     int64    `json:"upload"`      // number of the upload
	Source     string   `json:"source"`      // name of its source
	FinishedAt instant  `json:"finished_at"` // when it was completed
	Tags       []string `json:"tags"`        // its tags, sorted
	Keep       bool     `json:"keep"`        // whether it stays
	Reasons    []string `json:"reasons"`     // the rules that keep it

	// finished is when it was completed in the time zone by which days are told apart.
	finished time.Time
}

var pruneList = list[prunedUpload]{name: "uploads"}

func (v *prunedView) add(source sqlrepo.Source, verdicts []retention.Verdict) {
	for _, verdict := range verdicts {
		v.Uploads = append(v.Uploads, prunedUpload{
			Upload: verdict.Upload.ID, Source: source.Name, FinishedAt: formatTime(sqlrepo.NewTime(verdict.Upload.At)),
			Tags: append([]string{}, verdict.Upload.Tags...), Keep: verdict.Kept(),
			Reasons: append([]string{}, verdict.Reasons...), finished: verdict.Upload.At,
		})
	}
}

func (v *prunedView) text(w io.Writer) {
	v.table(w, "keep", true)
	v.table(w, "remove", false)
}

func (v *prunedView) table(w io.Writer, verb string, keep bool) {
	var rows [][]string
	for _, upload := range v.Uploads {
		if upload.Keep == keep {
			rows = append(rows, []string{
				fmt.Sprint(upload.Upload), printable(upload.Source), upload.finished.Format("2006-01-02 15:04 MST"),
				strings.Join(upload.Reasons, ", "), strings.Join(printables(upload.Tags), ", "),
			})
		}
	}
	fmt.Fprintf(w, "%s %s\n", verb, plural(int64(len(rows)), "upload"))
	writeTable(w, []display.Column{
		{Title: "UPLOAD", Right: true}, {Title: "SOURCE"}, {Title: "FINISHED"}, {Title: "REASONS", Optional: true},
		{Title: "TAGS", Optional: true},
	}, len(rows), func(i int) []string { return rows[i] })
}
