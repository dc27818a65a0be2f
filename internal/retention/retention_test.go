package retention

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// at makes a whole backup of a.example that many hours before noon; letters in
// marks say what else it is: p pinned, l lacking, s safety.
func at(hours float64, marks string) Backup {
	b := Backup{Site: "a.example", At: noon.Add(-time.Duration(hours * float64(time.Hour))), Size: 10}
	b.ID = b.At.Format("0102.1504")
	b.Pinned, b.Lacking, b.Safety = strings.Contains(marks, "p"), strings.Contains(marks, "l"), strings.Contains(marks, "s")
	return b
}

// bySite puts backups into the order that Make wants.
func bySite(backups []Backup) (sites [][]Backup) {
	slices.SortFunc(backups, Compare)
	for begin, i := 0, 1; i <= len(backups); i++ {
		if i == len(backups) || backups[i].Site != backups[begin].Site {
			sites = append(sites, backups[begin:i:i])
			begin = i
		}
	}
	return sites
}

func lines(p Plan) []string {
	var out []string
	for _, d := range p.Decisions {
		verdict := "goes"
		if d.Keep {
			verdict = "stays"
		}
		out = append(out, fmt.Sprintf("%s %s: %s", d.Backup.ID, verdict, d.Why()))
	}
	return out
}

func TestMake(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  Policy
		budgets Budgets
		backups []Backup
		want    []string
	}{
		{name: "nothing", want: nil},
		{
			name: "no policy keeps everything", backups: []Backup{at(1, ""), at(9000, "")},
			want: []string{"1123.1100 stays: no retention is set, the last good backup of the site", "1113.1200 stays: no retention is set"},
		},
		{
			name: "last", policy: Policy{Last: 2}, backups: []Backup{at(1, ""), at(2, ""), at(3, "")},
			want: []string{"1123.1100 stays: the last good backup of the site, last 1 of 2", "1123.1000 stays: last 2 of 2", "1123.0900 goes: no rule keeps it"},
		},
		{
			name: "days without a backup use up nothing", policy: Policy{Daily: 2}, backups: []Backup{at(1, ""), at(5, ""), at(200, ""), at(201, ""), at(400, "")},
			want: []string{
				"1123.1100 stays: the last good backup of the site, daily 1 of 2", "1123.0700 goes: no rule keeps it",
				"1115.0400 stays: daily 2 of 2", "1115.0300 goes: no rule keeps it", "1106.2000 goes: no rule keeps it",
			},
		},
		{
			name: "a backup before a restore pushes nothing out", policy: Policy{Daily: 1}, backups: []Backup{at(1, "s"), at(9, ""), at(200, "s"), at(201, "sp")},
			want: []string{
				"1123.1100 stays: taken before a restore not long ago", "1123.0300 stays: the last good backup of the site, daily 1 of 1",
				"1115.0400 goes: no rule keeps it", "1115.0300 stays: pinned",
			},
		},
		{
			name: "an incomplete one pushes nothing out", policy: Policy{Last: 1}, backups: []Backup{at(1, "l"), at(2, ""), at(3, "l"), at(4, "")},
			want: []string{
				"1123.1100 stays: incomplete, and not enough whole ones have come since", "1123.1000 stays: the last good backup of the site, last 1 of 1",
				"1123.0900 goes: no rule keeps it", "1123.0800 goes: no rule keeps it",
			},
		},
		{
			name: "the newest of a site that has only backups before restores", policy: Policy{Last: 1}, backups: []Backup{at(900, "s"), at(901, "s")},
			want: []string{"1017.0000 stays: the newest of a site that has no whole backup", "1016.2300 goes: no rule keeps it"},
		},
		{
			name: "the future stays and counts for nothing", policy: Policy{Last: 1}, backups: []Backup{at(-9000, ""), at(1, ""), at(2, "")},
			want: []string{
				"1203.1200 stays: dated in the future: look at the clocks", "1123.1100 stays: the last good backup of the site, last 1 of 1",
				"1123.1000 goes: no rule keeps it",
			},
		},
		{
			name: "minimum age", policy: Policy{Last: 1, MinAge: 3 * time.Hour}, backups: []Backup{at(1, ""), at(2, ""), at(3, "")},
			want: []string{
				"1123.1100 stays: younger than the minimum age, the last good backup of the site, last 1 of 1",
				"1123.1000 stays: younger than the minimum age", "1123.0900 goes: no rule keeps it",
			},
		},
		{
			name: "a budget takes the oldest and spares what is protected", policy: Policy{Last: 9}, budgets: Budgets{Total: 25},
			backups: []Backup{at(1, ""), at(2, ""), at(3, ""), at(4, "p")},
			want: []string{
				"1123.1100 stays: the last good backup of the site, last 1 of 9", "1123.1000 goes: over the size budget of all",
				"1123.0900 goes: over the size budget of all", "1123.0800 stays: pinned, last 4 of 9",
			},
		},
		{
			name: "a client's budget works without a policy", budgets: Budgets{Standard: 20, Clients: map[string]int64{"": 10}},
			backups: []Backup{at(1, ""), at(2, ""), at(3, "")},
			want: []string{
				"1123.1100 stays: no retention is set, the last good backup of the site", "1123.1000 goes: over the client's size budget",
				"1123.0900 goes: over the client's size budget",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := Make(noon, bySite(c.backups), func(_, _ string) Policy { return c.policy }, c.budgets)
			if diff := cmp.Diff(c.want, lines(plan)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExcessIsReported(t *testing.T) {
	backups := []Backup{at(1, "p"), at(2, "p")}
	backups[0].Client, backups[1].Client = "acme", "acme"
	plan := Make(noon, bySite(backups), func(_, _ string) Policy { return Policy{Last: 1} }, Budgets{Total: 15, Clients: map[string]int64{"acme": 12}})
	want := []Excess{{Client: "acme", Size: 20, Most: 12}, {Size: 20, Most: 15}}
	if diff := cmp.Diff(want, plan.Excess); diff != "" {
		t.Error(diff)
	}
	if plan.Freed != 0 {
		t.Errorf("freed %d bytes of pinned backups", plan.Freed)
	}
}

func TestPeriodsBeginWhereTheOperatorLives(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	// 23:30 and 22:30 in UTC: two days in Berlin, one in UTC.
	backups := []Backup{at(12.5, ""), at(13.5, "")}
	for location, want := range map[*time.Location]int{berlin: 2, nil: 1} {
		plan := Make(noon, bySite(backups), func(_, _ string) Policy { return Policy{Daily: 5, Location: location} }, Budgets{})
		kept := 0
		for _, d := range plan.Decisions {
			if d.Keep {
				kept++
			}
		}
		if kept != want {
			t.Errorf("%v: %d backups stay, want %d", location, kept, want)
		}
	}
}

func TestSitesDoNotMix(t *testing.T) {
	var backups []Backup
	for i := range 6 {
		b := at(float64(i), "")
		b.Site = []string{"b.example", "a.example"}[i%2]
		backups = append(backups, b)
	}
	plan := Make(noon, bySite(backups), func(site, _ string) Policy {
		return map[string]Policy{"a.example": {Last: 1}, "b.example": {Last: 2}}[site]
	}, Budgets{})
	var got []string
	for _, d := range plan.Decisions {
		got = append(got, fmt.Sprint(d.Backup.Site[:1], d.Backup.ID[5:], d.Keep))
	}
	want := []string{"a1100true", "a0900false", "a0700false", "b1200true", "b1000true", "b0800false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkMake(b *testing.B) {
	const sites, each = 10_000, 30
	backups := make([]Backup, 0, sites*each)
	for s := range sites {
		for n := range each {
			at := noon.Add(-time.Duration(n) * 25 * time.Hour)
			backups = append(backups, Backup{ID: fmt.Sprint(s, n), Site: fmt.Sprintf("site%05d.example", s), At: at, Size: 1 << 20})
		}
	}
	policy := Policy{Last: 3, Daily: 7, Weekly: 4, Monthly: 6}
	ordered := bySite(backups)
	for b.Loop() {
		Make(noon, ordered, func(_, _ string) Policy { return policy }, Budgets{Total: 1 << 40})
	}
}
