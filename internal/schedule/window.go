package schedule

import (
	"regexp"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Window is when runs may begin: on some weekdays, from one time of the wall
// clock to another, which may lie on the next day. The weekday is that on which
// it opens. The zero Window is always open.
type Window struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes from midnight; to may exceed a day
	text     string
}

var windowPattern = regexp.MustCompile(`^(?:(\S+) )?([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$`)

const windowHint = `write it as "22:00-06:00" or "Mon-Fri,Sun 22:00-06:00"`

// ParseWindow reads "22:00-06:00" or "Mon-Fri,Sun 22:00-06:00"; empty is the
// zero Window. What is wrong is errs.Usage.
func ParseWindow(text string) (Window, error) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return Window{}, nil
	}
	m := windowPattern.FindStringSubmatch(text)
	if m == nil {
		return Window{}, errs.New(errs.Usage, windowHint, "%q is not a window of time", text)
	}
	w := Window{from: minutes(m[2], m[3]), to: minutes(m[4], m[5]), text: text}
	if w.to > dayMinutes || w.from == w.to {
		return Window{}, errs.New(errs.Usage, windowHint, "the window %q has no beginning or no end", text)
	}
	if w.to < w.from {
		w.to += dayMinutes
	}
	return w, w.setDays(m[1])
}

const dayMinutes = 24 * 60

func minutes(hours, rest string) int {
	n := func(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
	return n(hours)*60 + n(rest)
}

func (w *Window) setDays(list string) error {
	if list == "" {
		for d := range w.days {
			w.days[d] = true
		}
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		a, b := weekday(first), weekday(last)
		if a < 0 || b < 0 {
			return errs.New(errs.Usage, windowHint, "%q is not a weekday, nor a range of them", part)
		}
		for d := a; ; d = (d + 1) % 7 {
			if w.days[d] = true; d == b {
				break
			}
		}
	}
	return nil
}

func weekday(name string) int {
	for d := range 7 {
		if full := time.Weekday(d).String(); strings.EqualFold(name, full) || strings.EqualFold(name, full[:3]) {
			return d
		}
	}
	return -1
}

// String returns the window as it was written.
func (w Window) String() string { return w.text }

// Always reports whether it never closes.
func (w Window) Always() bool { return w.text == "" }

// Open reports whether a run may begin, by the wall clock of the time's zone.
func (w Window) Open(t time.Time) bool {
	opens, _ := w.around(t)
	return !opens.After(t)
}

// around returns the window that is open at a time, or the next one. It is the
// zero times for a window that never closes.
func (w Window) around(t time.Time) (opens, closes time.Time) {
	if w.Always() {
		return time.Time{}, time.Time{}
	}
	for day := -1; ; day++ { // the one that opened yesterday may be open yet; one of eight days has a window
		at := func(minute int) time.Time {
			return time.Date(t.Year(), t.Month(), t.Day()+day, 0, minute, 0, 0, t.Location())
		}
		opens, closes = at(w.from), at(w.to)
		if w.days[opens.Weekday()] && closes.After(t) && closes.After(opens) {
			return opens, closes
		}
	}
}
