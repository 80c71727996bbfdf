// Package retention decides which uploads of a source are kept, by rules that are those of restic forget.
package retention

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Unlimited as a number in a Policy keeps one upload of each period.
const Unlimited = -1

// Policy says which uploads to keep. An upload is kept if any rule keeps it. A zero value is no rule.
type Policy struct {
	// Last is how many of the newest uploads are kept.
	Last int
	// Daily, Weekly, Monthly and Yearly are of how many days, weeks, months and years the newest upload is kept. Only
	// periods with an upload count. Weeks begin on Monday.
	Daily, Weekly, Monthly, Yearly int
	// Within keeps all uploads that are less than this older than the newest one.
	Within Duration
	// Tags keep all uploads that have every tag of one of these lists.
	Tags [][]string
}

// Empty reports whether the policy has no rule.
func (p Policy) Empty() bool {
	return p.Last == 0 && p.Daily == 0 && p.Weekly == 0 && p.Monthly == 0 && p.Yearly == 0 && p.Within.Zero() &&
		len(p.Tags) == 0
}

// Upload is a complete upload. The zone of its time is the one in which days begin.
type Upload struct {
	ID   int64
	At   time.Time
	Tags []string
}

// Verdict is an upload with the reasons for which it is kept. It is removed if there are none.
type Verdict struct {
	Upload  Upload
	Reasons []string
}

// Kept reports whether the upload is kept.
func (v Verdict) Kept() bool { return len(v.Reasons) > 0 }

// Apply decides about all uploads of one source, and returns them from the newest to the oldest.
//
// A rule for periods that has not found as many as it is to keep keeps the oldest upload as well, so that as much
// of the past stays as can. Uploads after now, which another clock has dated, are kept by Within, but do not move what
// it is relative to.
func (p Policy) Apply(uploads []Upload, now time.Time) []Verdict {
	sorted := slices.Clone(uploads)
	slices.SortFunc(sorted, func(a, b Upload) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })

	latest, buckets := newest(sorted, now), p.buckets()
	verdicts := make([]Verdict, len(sorted))
	for i, upload := range sorted {
		verdict := Verdict{Upload: upload, Reasons: p.tagged(upload)}
		if !p.Within.Zero() && upload.At.After(p.Within.Before(latest)) {
			verdict.Reasons = append(verdict.Reasons, "within "+p.Within.String())
		}

		for b := range buckets {
			if reason := buckets[b].keeps(upload.At, i == len(sorted)-1); reason != "" {
				verdict.Reasons = append(verdict.Reasons, reason)
			}
		}
		verdicts[i] = verdict
	}
	return verdicts
}

// newest returns the latest time that is not after now, or the zero time.
func newest(sorted []Upload, now time.Time) time.Time {
	for _, upload := range sorted {
		if !upload.At.After(now) {
			return upload.At
		}
	}
	return time.Time{}
}

func (p Policy) tagged(upload Upload) (reasons []string) {
	for _, list := range p.Tags {
		lacks := func(tag string) bool { return !slices.Contains(upload.Tags, tag) }
		if !slices.ContainsFunc(list, lacks) {
			reasons = append(reasons, "tag "+strings.Join(list, ","))
		}
	}
	return reasons
}

// bucket is a rule that keeps the newest upload of each of some periods.
type bucket struct {
	reason string
	// left is how many periods may still come.
	left int
	// period returns what times of the same period have in common. Without it each upload is a period of its own.
	period func(time.Time) [3]int
	last   *[3]int
}

func (p Policy) buckets() []bucket {
	return []bucket{
		{reason: "last", left: p.Last},
		{reason: "daily", left: p.Daily, period: func(t time.Time) [3]int {
			year, month, day := t.Date()
			return [3]int{year, int(month), day}
		}},
		{reason: "weekly", left: p.Weekly, period: func(t time.Time) [3]int {
			year, week := t.ISOWeek()
			return [3]int{year, week}
		}},
		{reason: "monthly", left: p.Monthly, period: func(t time.Time) [3]int {
			return [3]int{t.Year(), int(t.Month())}
		}},
		{reason: "yearly", left: p.Yearly, period: func(t time.Time) [3]int { return [3]int{t.Year()} }},
	}
}

// keeps returns the reason for which the rule keeps the next older upload, or "".
func (b *bucket) keeps(at time.Time, oldest bool) string {
	if b.left == 0 {
		return ""
	}

	reason := b.reason
	if b.period != nil {
		period := b.period(at)
		if b.last != nil && *b.last == period {
			if !oldest {
				return ""
			}
			reason = "oldest " + reason
		}
		b.last = &period
	}

	if b.left != Unlimited {
		b.left--
	}
	return reason
}
