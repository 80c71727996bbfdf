package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// voice holds the flags that say how guppy speaks: to a person on a terminal, or to a log.
type voice struct {
	quiet, verbose  bool
	color, progress string
}

// The values of --progress.
const (
	progressAuto = "auto"
	progressBars = "bars"
	progressLog  = "log"
	progressJSON = "json"
	progressNone = "none"
)

var progressForms = []string{progressAuto, progressBars, progressLog, progressJSON, progressNone}

func (v *voice) addFlags(flags *pflag.FlagSet) {
	flags.BoolVarP(&v.quiet, "quiet", "q", false, "print nothing but errors, and what is asked for by --json")
	flags.BoolVarP(&v.verbose, "verbose", "v", false, "say more, like --log-level debug")
	flags.StringVar(&v.color, "color", "auto", "color text: `auto|always|never`; auto heeds NO_COLOR")
	flags.StringVar(&v.progress, "progress", progressAuto,
		"show progress as `auto|bars|log|json|none`; bars need a terminal, and are a log elsewhere; json writes a line to "+
			"standard error every second")
}

// check returns a usage error for values that there are not.
func (v *voice) check() error {
	switch {
	case v.quiet && v.verbose:
		return fmt.Errorf("%w: --quiet and --verbose contradict each other", errUsage)
	case !slices.Contains(display.Colors, v.color):
		return fmt.Errorf("%w: --color %s: want %s", errUsage, v.color, strings.Join(display.Colors, ", "))
	case !slices.Contains(progressForms, v.progress):
		return fmt.Errorf("%w: --progress %s: want %s", errUsage, v.progress, strings.Join(progressForms, ", "))
	}
	return nil
}

// speak sets up the log and the progress as the flags and the configuration ask for.
func (a *app) speak(cfg *config.Config) error {
	if err := a.voice.check(); err != nil {
		return err
	}
	a.screen.SetColor(a.voice.color)

	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		level = slog.LevelInfo
	}
	switch {
	case a.voice.quiet:
		level = slog.LevelError
	case a.voice.verbose:
		level = slog.LevelDebug
	}

	// Whoever reads the progress line by line reads everything else that way, too.
	format := cfg.Log.Format
	if format == config.LogAuto && a.voice.progress == progressJSON {
		format = config.LogJSON
	}

	options := &slog.HandlerOptions{Level: level}
	switch {
	case format == config.LogJSON:
		a.log = slog.New(a.placedHandler(slog.NewJSONHandler(a.screen, options)))
		a.logsJSON.Store(true)
	case format == config.LogAuto && a.screen.IsTerminal():
		a.log = slog.New(a.placedHandler(display.NewSentences(a.screen, level)))
	default:
		a.log = slog.New(a.placedHandler(slog.NewTextHandler(a.screen, options)))
	}

	switch {
	case a.voice.progress == progressAuto:
		a.voice.progress = a.progressForm(format)
	case a.voice.progress == progressBars && !a.screen.Interactive():
		// Bars are drawn where the cursor can be moved.
		a.voice.progress = progressLog
	}
	return nil
}

// progressForm returns how progress is shown if no flag says so. A log in JSON was asked for by somebody who reads
// logs.
func (a *app) progressForm(format string) string {
	switch {
	case a.voice.quiet:
		return progressNone
	case a.screen.Interactive() && format != config.LogJSON:
		return progressBars
	}
	return progressLog
}

// showProgress shows how far some work is until stop is called. Meanwhile, lines on standard output appear above the
// bars if both are on one terminal. Stop may be called more than once.
func (a *app) showProgress(ctx context.Context, source progress.Source) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var shown sync.WaitGroup

	switch a.voice.progress {
	case progressBars:
		above := a.aboveBars()
		hide := a.screen.Show(source)
		return func() {
			cancel()
			hide()
			above()
		}
	case progressLog:
		shown.Go(func() { progress.Log(ctx, source, a.log) })
	case progressJSON:
		shown.Go(func() { progress.JSON(ctx, source, a.screen) })
	}

	return func() {
		cancel()
		shown.Wait()
	}
}

// lateAfter is how long work goes on before it is shown, where it is mostly short.
const lateAfter = 2 * time.Second

// showLate is like showProgress for work that may not begin at all, and is mostly short: it is shown if it has not
// ended some time after begun was first called.
func (a *app) showLate(ctx context.Context, source progress.Source) (begun, stop func()) {
	starts, done := make(chan struct{}), make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		select {
		case <-starts:
		case <-done:
			return
		}

		select {
		case <-time.After(lateAfter):
		case <-done:
			return
		}

		hide := a.showProgress(ctx, source)
		<-done
		hide()
	})
	return sync.OnceFunc(func() { close(starts) }), func() {
		close(done)
		showing.Wait()
	}
}

// showBeside is like showProgress for a command whose standard output is content: on the terminal that the content goes
// to, nothing is shown.
func (a *app) showBeside(ctx context.Context, source progress.Source) (stop func()) {
	if a.screen.Is(a.stdout) {
		return func() {}
	}
	return a.showProgress(ctx, source)
}

// fail says why a command failed, and what to do.
func (a *app) fail(err error, code int) {
	message, hint := "interrupted; what was committed is kept", ""
	if code != exitInterrupted {
		// The mark of a wrong usage says nothing to the user.
		message, hint = strings.TrimPrefix(err.Error(), errUsage.Error()+": "), hintFor(err)
	}

	// Only a run leaves work to resume. If others are at work, the hint says how to go on. If the result of a run could
	// not be printed, its work is done.
	again := ""
	if code == exitInterrupted || a.ran && (code == exitFailure || code == exitDatabase) &&
		!errors.Is(err, sqlrepo.ErrAtWork) && !errors.Is(err, errOutput) {
		again = a.resume.lineFor(append([]string{"guppy"}, a.args...))
	}

	if a.log == nil {
		a.speakEarly()
	}
	if a.logsJSON.Load() {
		failJSON(a.log, message, strings.TrimPrefix(hint, "guppy: "), again, code)
		return
	}
	// Errors that occurred together are on lines of their own.
	message = printableLines(a.placed(strings.TrimSpace(message)))
	fmt.Fprintln(a.screen, "guppy:", strings.ReplaceAll(message, "\n", "\nguppy: "))
	if hint != "" {
		fmt.Fprintln(a.screen, printableLines(a.placed(hint)))
	}
	if again != "" {
		printResume(a.screen, again)
	}
}

// failJSON writes the last line of a log in JSON.
func failJSON(log *slog.Logger, message, hint, again string, code int) {
	attrs := []any{"exit_code", code}
	if hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	if again != "" {
		attrs = append(attrs, "resume", again)
	}
	log.Error(message, attrs...)
}
