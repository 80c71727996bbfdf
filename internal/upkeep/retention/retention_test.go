package retention

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// at parses a time of a table. now is after all of them.
func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

var now = at("2030-01-01 00:00")

// sundays are the twelve weekly snapshots of restic's documentation.
func sundays() (uploads []Upload) {
	for i := range 12 {
		uploads = append(uploads, Upload{ID: int64(i + 1), At: at("2019-09-01 11:00").AddDate(0, 0, 7*i)})
	}
	return uploads
}

// days is one upload for each day, the last on 2023-12-31, a Sunday.
func days(n int) (uploads []Upload) {
	for i := range n {
		uploads = append(uploads, Upload{ID: int64(i + 1), At: at("2023-12-31 11:00").AddDate(0, 0, i-n+1)})
	}
	return uploads
}

func kept(verdicts []Verdict) (dates []string) {
	for _, v := range verdicts {
		if v.Kept() {
			dates = append(dates, v.Upload.At.Format("2006-01-02"))
		}
	}
	return dates
}

// TestDocumentedExamples are those of restic's documentation: the last four Sundays of daily, and what is kept of one
// snapshot a day.
func TestDocumentedExamples(t *testing.T) {
	verdicts := Policy{Daily: 4}.Apply(sundays(), now)
	want := []string{"2019-11-17", "2019-11-10", "2019-11-03", "2019-10-27"}
	if got := kept(verdicts); !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	for _, v := range verdicts[:4] {
		if !slices.Equal(v.Reasons, []string{"daily"}) {
			t.Errorf("%+v", v)
		}
	}

	// Seven days, of which one ends a week, four more weeks, the ends of eleven more months and of 74 more years.
	century := days(36525)
	policy := Policy{Daily: 7, Weekly: 5, Monthly: 12, Yearly: 75}
	counts := map[string]int{}
	all := 0
	for _, v := range policy.Apply(century, now) {
		for _, reason := range v.Reasons {
			counts[reason]++
		}
		if v.Kept() {
			all++
		}
	}
	if want := map[string]int{"daily": 7, "weekly": 5, "monthly": 12, "yearly": 75}; !reflect.DeepEqual(counts, want) {
		t.Errorf("reasons %v, want %v", counts, want)
	}
	if all != 7+4+11+74 {
		t.Errorf("kept %d", all)
	}
}

func TestRules(t *testing.T) {
	year := days(365)
	tagged := []Upload{
		{ID: 1, At: at("2019-01-01 00:00"), Tags: []string{"a"}}, {ID: 2, At: at("2019-01-02 00:00")},
		{ID: 3, At: at("2019-01-03 00:00"), Tags: []string{"a", "b"}},
		{ID: 4, At: at("2019-01-04 00:00"), Tags: []string{"b"}},
	}
	busy := []Upload{
		{ID: 1, At: at("2019-05-01 08:00")}, {ID: 2, At: at("2019-05-01 23:59")}, {ID: 3, At: at("2019-05-02 00:00")},
		{ID: 4, At: at("2019-05-02 09:00")},
	}
	ahead := append(days(3), Upload{ID: 4, At: now.AddDate(1, 0, 0)})

	for name, test := range map[string]struct {
		policy  Policy
		uploads []Upload
		want    string
	}{
		"last":                  {Policy{Last: 2}, busy, "4 last, 3 last"},
		"last of fewer":         {Policy{Last: 9}, busy, "4 last, 3 last, 2 last, 1 last"},
		"newest of a day":       {Policy{Daily: 1}, busy, "4 daily"},
		"oldest of too few":     {Policy{Daily: 3}, busy, "4 daily, 2 daily, 1 oldest daily"},
		"unlimited":             {Policy{Daily: Unlimited}, busy, "4 daily, 2 daily, 1 oldest daily"},
		"rules add up":          {Policy{Last: 1, Yearly: 1}, busy, "4 last yearly"},
		"within":                {Policy{Within: Duration{Days: 2}}, year, "365 within 2d, 364 within 2d"},
		"within hours":          {Policy{Within: Duration{Rest: 9 * time.Hour}}, busy, "4 within 9h"},
		"within a month":        {Policy{Within: Duration{Months: 1, Rest: time.Second}}, busy, "4 3 2 1"},
		"a tag":                 {Policy{Tags: [][]string{{"a"}}}, tagged, "3 tag a, 1 tag a"},
		"both tags":             {Policy{Tags: [][]string{{"a", "b"}}}, tagged, "3 tag a,b"},
		"either tag":            {Policy{Tags: [][]string{{"a"}, {"b"}}}, tagged, "4 tag b, 3 tag a tag b, 1 tag a"},
		"tags are not counted":  {Policy{Last: 1, Tags: [][]string{{"b"}}}, tagged, "4 tag b last, 3 tag b"},
		"weeks begin on Monday": {Policy{Weekly: 2}, year, "365 weekly, 358 weekly"},
		"months":                {Policy{Monthly: 2}, year, "365 monthly, 334 monthly"},
		"the future":            {Policy{Within: Duration{Days: 1}}, ahead, "4 within 1d, 3 within 1d"},
		"nothing":               {Policy{Tags: [][]string{{"c"}}}, tagged, ""},
		"no uploads":            {Policy{Last: 1}, nil, ""},
	} {
		got := ""
		for _, v := range test.policy.Apply(test.uploads, now) {
			if !v.Kept() {
				continue
			}
			if name == "within a month" { // the reason has a form of its own
				v.Reasons = nil
			}
			text := fmt.Sprint(v.Upload.ID)
			for _, reason := range v.Reasons {
				text += " " + reason
			}
			separator := ", "
			if v.Reasons == nil {
				separator = " "
			}
			if got != "" {
				got += separator
			}
			got += text
		}
		if got != test.want {
			t.Errorf("%s: kept %q, want %q", name, got, test.want)
		}
	}
}

// TestDaysBeginInTheirZone: the zone of the times decides which day it is.
func TestDaysBeginInTheirZone(t *testing.T) {
	east := time.FixedZone("east", 2*60*60)
	late := []Upload{
		{ID: 1, At: at("2019-05-01 21:00")}, {ID: 2, At: at("2019-05-01 23:00")}, {ID: 3, At: at("2019-05-02 05:00")},
	}
	if got := kept(Policy{Daily: 2}.Apply(late, now)); len(got) != 2 {
		t.Errorf("kept %v", got)
	}
	for i := range late {
		late[i].At = late[i].At.In(east)
	}
	verdicts := Policy{Daily: 2}.Apply(late, now)
	if !verdicts[0].Kept() || verdicts[1].Kept() || !verdicts[2].Kept() {
		t.Errorf("%+v", verdicts)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]Duration{
		"1y5m7d2h": {1, 5, 7, 2 * time.Hour}, "5m": {Months: 5}, "7d": {Days: 7}, "36h": {Rest: 36 * time.Hour},
		"1h5m": {Rest: 65 * time.Minute}, "90s": {Rest: 90 * time.Second}, "1y1h": {Years: 1, Rest: time.Hour},
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := ParseDuration(got.String()); err != nil || again != got {
			t.Errorf("%s is written %s: %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "0h", "-1h", "7", "1w", "2d1y", "1d30s", "99999y", "d", "1.5d", "-5m0s"} {
		if got, err := ParseDuration(text); !errors.Is(err, ErrDuration) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// TestPromises are what holds for any uploads and any policy.
func TestPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := func(name string) int { return rapid.IntRange(-1, 5).Draw(t, name) }
		policy := Policy{
			Last: count("last"), Daily: count("daily"), Weekly: count("weekly"), Monthly: count("monthly"),
			Yearly: count("yearly"),
		}
		if rapid.Bool().Draw(t, "within") {
			policy.Within = Duration{Days: rapid.IntRange(0, 40).Draw(t, "days"), Rest: time.Hour}
		}
		if rapid.Bool().Draw(t, "tag") {
			policy.Tags = [][]string{{"keep"}}
		}

		var uploads []Upload
		for i, hours := range rapid.SliceOfN(rapid.IntRange(0, 3*366*24), 0, 60).Draw(t, "hours") {
			upload := Upload{ID: int64(i + 1), At: at("2020-01-01 00:00").Add(time.Duration(hours) * time.Hour)}
			if rapid.Bool().Draw(t, "tagged") {
				upload.Tags = []string{"keep", "other"}
			}
			uploads = append(uploads, upload)
		}
		verdicts := policy.Apply(uploads, now)

		if len(verdicts) != len(uploads) {
			t.Fatalf("%d verdicts of %d uploads", len(verdicts), len(uploads))
		}
		last := 0
		for i, v := range verdicts {
			if i > 0 && v.Upload.At.After(verdicts[i-1].Upload.At) {
				t.Fatal("they are not sorted")
			}
			if policy.Tags != nil && v.Upload.Tags != nil && !v.Kept() {
				t.Fatal("a tagged upload is removed")
			}
			if slices.Contains(v.Reasons, "last") {
				last++
			}
		}

		// The newest upload is kept by any rule but tags, and so is the whole of what Last asks for.
		untagged := policy
		untagged.Tags = nil
		if len(uploads) > 0 && !untagged.Empty() && !verdicts[0].Kept() {
			t.Fatal("the newest is removed")
		}
		want := policy.Last
		if want == Unlimited || want > len(uploads) {
			want = len(uploads)
		}
		if last != want {
			t.Fatalf("%d are among the last, want %d", last, want)
		}
		if policy.Empty() && slices.ContainsFunc(verdicts, Verdict.Kept) {
			t.Fatal("no rule keeps an upload")
		}

		// What is kept once is kept when the rest is gone: applying a policy again removes nothing.
		var rest []Upload
		for _, v := range verdicts {
			if v.Kept() {
				rest = append(rest, v.Upload)
			}
		}
		for _, v := range policy.Apply(rest, now) {
			if !v.Kept() {
				t.Fatalf("upload %d is removed by the second time", v.Upload.ID)
			}
		}
	})
}
