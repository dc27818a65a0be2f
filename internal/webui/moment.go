package webui

import (
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// zoneCookie tells the reader's time zone, by its name in the IANA database. The script sets it on the first page that
// it sees, which is the one to sign in; so the pages with times on them come in the reader's own zone.
const zoneCookie = "sitekeep-zone"

// longestZone is more than any name in the IANA database has, in bytes.
const longestZone = 64

// zoneOf is the reader's zone; UTC for one that is not known here.
func zoneOf(r *http.Request) *time.Location {
	c, err := r.Cookie(zoneCookie)
	if err != nil || c.Value == "" || c.Value == "Local" || len(c.Value) > longestZone {
		return time.UTC
	}
	zone, err := time.LoadLocation(c.Value)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Layouts of moments. The script writes the same ones, so that nothing moves when it corrects a zone.
const (
	momentLayout = "2006-01-02 15:04"
	dateLayout   = "2006-01-02"
	clockLayout  = "15:04:05"
)

// When is a moment in the reader's zone.
func (p *page) When(t *timestamppb.Timestamp) template.HTML { return p.moment(t, momentLayout, "") }

// Date is the day of a moment.
func (p *page) Date(t *timestamppb.Timestamp) template.HTML {
	return p.moment(t, dateLayout, " data-date")
}

// Clock is the time of day of a moment, to the second.
func (p *page) Clock(t *timestamppb.Timestamp) template.HTML {
	return p.moment(t, clockLayout, ` data-clock`)
}

func (p *page) moment(t *timestamppb.Timestamp, layout, mark string) template.HTML {
	if t == nil {
		return "–"
	}
	at := t.AsTime().In(p.zone)
	return template.HTML(fmt.Sprintf(`<time datetime="%s"%s title="%s">%s</time>`, at.UTC().Format(time.RFC3339), mark,
		template.HTMLEscapeString(at.Format(time.RFC1123)), at.Format(layout)))
}

// stamp is a moment as scripts compare it; empty for none.
func stamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339)
}

// ago is how long a moment is over, or how far off.
func ago(now time.Time, t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	d := now.Sub(t.AsTime())
	switch {
	case d.Abs() < time.Minute:
		return map[bool]string{true: "in a moment", false: "just now"}[d < 0]
	case d < 0:
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/(24*time.Hour)), "day")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

const day = 24 * time.Hour

// lengthText is a duration as the forms have it: "7d", "36h", "1h30m"; empty for none.
func lengthText(d *durationpb.Duration) string {
	length := d.AsDuration()
	switch {
	case length == 0:
		return ""
	case length%day == 0:
		return fmt.Sprintf("%dd", length/day)
	}
	text := length.String() // such as 36h0m0s
	for _, nothing := range []string{"0s", "0m"} {
		if cut := strings.TrimSuffix(text, nothing); cut != text && !strings.ContainsAny(cut[len(cut)-1:], "0123456789") {
			text = cut
		}
	}
	return text
}

// parseLength reads what lengthText writes; nil for an empty text.
func parseLength(text string) (*durationpb.Duration, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.ParseInt(number, 10, 32)
		if err == nil {
			return durationpb.New(time.Duration(n) * day), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, errs.New(errs.Usage, "write it like 7d, 36h or 90m", "%q is no length of time", text)
	}
	return durationpb.New(d), nil
}
