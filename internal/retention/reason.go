package retention

import "strconv"

// Rule is what keeps a backup, or lets it go.
type Rule uint8

// The rules. The first group protects: neither counts nor budgets remove such a backup.
const (
	Pinned   Rule = iota + 1
	LastGood      // the newest whole backup of its site
	Newest        // the newest of a site that has no whole one
	Future        // dated after now: a clock was, or is, wrong
	Young         // younger than Policy.MinAge
	NoPolicy      // no count is set, so nothing goes
	Recent        // a safety backup within Policy.Safety
	Waiting       // it lacks something, and too few whole ones have come since

	Last
	Hourly
	Daily
	Weekly
	Monthly
	Yearly

	Expired    // no rule keeps it
	OverClient // its client's budget is exceeded, and it was the oldest that may go
	OverTotal  // the budget of all is exceeded, and it was the oldest that may go
)

// protects reports whether a budget must spare what the rule keeps.
func (r Rule) protects() bool { return r < Last && r != NoPolicy }

// Reason is a rule and, for counts, which of its periods (from 1, the newest).
type Reason struct {
	Rule Rule
	Nth  int
	Of   int
}

var words = [...]string{
	Pinned: "pinned", LastGood: "the last good backup of the site", Newest: "the newest of a site that has no whole backup",
	Future: "dated in the future: look at the clocks", Young: "younger than the minimum age", NoPolicy: "no retention is set",
	Recent: "taken before a restore not long ago", Waiting: "incomplete, and not enough whole ones have come since",
	Last: "last", Hourly: "hourly", Daily: "daily", Weekly: "weekly", Monthly: "monthly", Yearly: "yearly",
	Expired: "no rule keeps it", OverClient: "over the client's size budget", OverTotal: "over the size budget of all",
}

// String returns the reason in words, such as "daily 3 of 7".
func (r Reason) String() string {
	if r.Nth == 0 {
		return words[r.Rule]
	}
	return words[r.Rule] + " " + strconv.Itoa(r.Nth) + " of " + strconv.Itoa(r.Of)
}
