package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/internal/display"
	"github.com/guppy-prep/guppy/internal/progress"
)

// watched is what status --watch has seen so far.
type watched struct {
	// view is the latest sample, taken at this host's time at. It is nil until there is one.
	view *progressView
	at   time.Time
	// speeds are the bytes a second at each sample, the latest last.
	speeds []speed
	// asking is the time since which the database has not answered, or zero. err is its latest answer, if that was an
	// error.
	asking time.Time
	err    error
	// place, if not nil, puts the place of the repository into the commands of a text.
	place func(string) string
}

type speed struct {
	at    time.Time
	bytes float64
}

// mostSpeeds is more than fit on a screen.
const mostSpeeds = 500

// add adds a sample.
func (s *watched) add(view *progressView, now time.Time) {
	s.view, s.at, s.asking, s.err = view, now, time.Time{}, nil
	total := 0.0
	for _, upload := range view.Uploads {
		total += upload.BytesPerSecond
	}
	s.speeds = append(s.speeds, speed{now, total})
	s.speeds = s.speeds[max(0, len(s.speeds)-mostSpeeds):]
}

// slowAnswer is the time after which the screen says that the database does not answer.
const slowAnswer = 5 * time.Second

// draw returns the screen of status --watch.
func (s *watched) draw(now time.Time, width int) (head string, body []string) {
	head = display.Heading("guppy status") + "  "
	var trouble string
	switch {
	case s.err != nil:
		trouble = "no sample: " + oneLine(s.err.Error()) + "; looking again"
	case !s.asking.IsZero() && now.Sub(s.asking) >= slowAnswer:
		trouble = fmt.Sprintf("the database has not answered for %s", progress.Duration(now.Sub(s.asking)))
	}
	if trouble != "" {
		for _, line := range display.Wrap(trouble, width, 0) {
			body = append(body, display.Failure(line))
		}
	}

	if s.view == nil {
		return head + display.Faint("looking"), body
	}
	clock := s.at.Format(time.TimeOnly)
	if trouble != "" {
		head += display.Failure(fmt.Sprintf("as of %s, %s ago", clock, progress.Duration(now.Sub(s.at))))
	} else {
		head += display.Faint(clock)
	}
	if s.view.Standby != nil {
		head += "  " + display.Faint(s.view.Standby.text)
	}

	page := page{width: width, lines: body, place: s.place}
	page.uploads(s.view)
	page.throughput(s.speeds)
	page.workers(s.view)
	page.failures(s.view)
	page.stores(s.view)
	return head, page.lines
}

// page collects the lines of a screen.
type page struct {
	width int
	lines []string
	place func(string) string
}

// section begins a section, with a free line above it.
func (p *page) section(title string) {
	if len(p.lines) > 0 {
		p.lines = append(p.lines, "")
	}
	p.lines = append(p.lines, display.Heading(display.Cut(title, p.width)))
}

// add adds a text that is wrapped, in a style unless that is nil.
func (p *page) add(indent int, style func(string) string, text string) {
	if p.place != nil {
		text = p.place(text)
	}
	text = unmarked(text)
	for _, line := range display.Wrap(text, p.width, indent) {
		if style != nil {
			line = style(line)
		}
		p.lines = append(p.lines, line)
	}
}

func (p *page) uploads(view *progressView) {
	p.section("Uploads")
	if len(view.Uploads) == 0 {
		p.add(0, nil, noUploads)
	}

	for i := range view.Uploads {
		upload := &view.Uploads[i]
		p.add(0, display.Strong, upload.title())
		p.progress(upload)
		if upload.StoppedAt != "" && len(upload.Workers) == 0 { // another run may be mending it
			p.add(2, display.Failure, upload.sentence())
		}
		// What to do about work that was set aside is said there.
		if next := upload.next(); next != "" && len(upload.SetAside) == 0 {
			p.add(2, display.Warning, next)
		}
	}
}

// progress adds a bar, if it is known how much there is to do, and what is done.
func (p *page) progress(upload *uploadStatus) {
	if fraction, known := upload.fraction(); known && !upload.Ended {
		p.lines = append(p.lines, display.Cut("  "+display.Bar(fraction, display.BarLength(p.width)), p.width))
	}
	p.add(2, nil, upload.counts())
}

// throughput adds the bytes that all uploads have packed in a second, over time.
func (p *page) throughput(speeds []speed) {
	p.section("Throughput")
	highest, values := 0.0, make([]float64, len(speeds))
	for i, speed := range speeds {
		values[i] = speed.bytes
	}

	columns := min(len(values), p.width)
	for _, value := range values[len(values)-columns:] {
		highest = max(highest, value)
	}
	p.lines = append(p.lines, display.Sparkline(values, columns))

	last, first := speeds[len(speeds)-1], speeds[len(speeds)-columns]
	text := progress.Bytes(int64(last.bytes)) + "/s now"
	if columns > 1 {
		text += fmt.Sprintf(", at most %s/s in the last %s", progress.Bytes(int64(highest)),
			progress.Duration(last.at.Sub(first.at)))
	}
	p.add(0, nil, text)
}

// work is work of an upload or of a replica, with words that say whose it is.
type work struct {
	*workStatus
	prefix, suffix string
	// again says how what was set aside is tried again.
	again string
}

// name returns what is worked on, with the name of a file cut.
func (w work) name(what string) string {
	const longest = 20
	return w.prefix + display.Cut(what, longest) + w.suffix
}

// works returns the work of all uploads and replicas.
func (v *progressView) works() (works []work) {
	for i := range v.Uploads {
		upload := &v.Uploads[i]
		works = append(works, work{workStatus: &upload.workStatus, prefix: fmt.Sprintf("upload %d, ", upload.Upload),
			again: upload.again() + " tries again what was set aside"})
	}
	for i := range v.Replicas {
		replica := &v.Replicas[i]
		works = append(works, work{workStatus: &replica.workStatus, prefix: "send ", suffix: " to " + replica.Replica,
			again: replica.next()})
	}
	return works
}

func (p *page) workers(view *progressView) {
	p.section("Workers")
	var rows [][]string
	for _, work := range view.works() {
		for _, worker := range work.Workers {
			heard := seconds(worker.Silent) + " ago"
			switch {
			case worker.Gone:
				heard += ", has ended"
			case worker.LeaseEnded:
				heard += ", others may take over"
			}
			rows = append(rows, []string{printable(worker.Host), worker.pid(), work.name(worker.Work),
				work.since(worker.began), progress.Bytes(worker.Bytes), heard})
		}
	}

	if len(rows) == 0 {
		p.add(0, nil, "nobody is at work")
		return
	}
	titles := []string{"HOST", "PROCESS", "WORK", "FOR", "DONE", "LAST HEARD"}
	p.lines = append(p.lines, display.Columns(p.width, titles, rows)...)
}

// failures adds what failed, if anything did, why, and what to do about it.
func (p *page) failures(view *progressView) {
	failed := func(work work) bool { return len(work.SetAside)+len(work.Retries) > 0 }
	works := view.works()
	begun := false

	for _, work := range works {
		if failed(work) && !begun {
			p.section("Failed and set aside")
			begun = true
		}

		for _, failure := range work.SetAside {
			p.add(0, display.Failure, fmt.Sprintf("%s: set aside %s ago, failed %s", work.name(failure.Work),
				work.since(failure.at), times(failure.Attempts)))
			p.add(2, nil, oneLine(failure.Reason))
		}
		if len(work.SetAside) > 0 && work.again != "" {
			p.add(2, display.Warning, work.again)
		}

		for _, failure := range work.Retries {
			when := "waiting"
			if failure.Attempts > 0 {
				when = fmt.Sprintf("failed %s, %s", times(failure.Attempts), work.when(failure))
			}
			p.add(0, display.Warning, fmt.Sprintf("%s: %s", work.name(failure.Work), when))
			p.add(2, nil, oneLine(failure.Reason))
		}
	}
}

func (p *page) stores(view *progressView) {
	p.section("Stores")
	if len(view.Stores) == 0 {
		p.add(0, nil, "no stores yet")
		return
	}

	var rows [][]string
	for _, store := range view.Stores {
		rows = append(rows, []string{store.Store, printable(store.place()), store.lastUsed(view.now)})
	}
	p.lines = append(p.lines, display.Columns(p.width, []string{"NAME", "WHERE", "USED"}, rows)...)

	if len(view.Replicas) > 0 {
		p.section("Replicas")
	}
	for i := range view.Replicas {
		p.replica(&view.Replicas[i])
	}
}

// replica adds what a replica lacks, and who sends it there.
func (p *page) replica(replica *replicaStatus) {
	var style func(string) string
	if replica.Files > 0 {
		style = display.Warning
	}
	p.add(0, style, replica.Replica+": "+replica.describe())

	var senders []string
	for _, worker := range replica.Workers {
		senders = append(senders, fmt.Sprintf("%s, process %s", printable(worker.Host), worker.pid()))
	}
	if len(senders) > 0 {
		p.add(2, nil, "sent by "+strings.Join(senders, "; "))
	}
	if next := replica.next(); next != "" && len(replica.SetAside) == 0 {
		p.add(2, nil, next)
	}
}
