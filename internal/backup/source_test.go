package backup_test

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// TestClusterWithAServerAway is backed up from one that is there, with a warning; one of which none is there is not.
func TestClusterWithAServerAway(t *testing.T) {
	for _, c := range []struct {
		away   string
		source string
	}{{"web1", "web2"}, {"web2", "web1"}} {
		r := newRig(t)
		r.agents.Broken = func(call string) error {
			if call == "info "+c.away {
				return errs.New(errs.Unreachable, "", "no route to host")
			}
			return nil
		}
		b, err := r.maker.Make(t.Context(), r.request(), r.log)
		r.must(err)
		if !r.log.warned("web server " + c.away + " of example.com does not answer, so the files come from " + c.source) {
			t.Errorf("%s is away: warnings %q", c.away, r.log.warnings)
		}
		if got := r.open(b.ID).Manifest().GetSources()[0].GetName(); got != c.source || len(b.Warnings) != 1 {
			t.Errorf("%s is away: the source is %s, warnings %q", c.away, got, b.Warnings)
		}
	}
	r := newRig(t)
	r.agents.Broken = func(call string) error {
		if call == "info web1" || call == "info web2" {
			return errs.New(errs.Unreachable, "", "no route to host")
		}
		return nil
	}
	if _, err := r.maker.Make(t.Context(), r.request(), r.log); !errs.Is(err, errs.Unreachable) {
		t.Errorf("all are away: %v", err)
	}
}
