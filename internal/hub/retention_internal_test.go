package hub

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/retention"
)

// Who looks at one site's plan is not told of the budgets of others.
func TestWhichBudgetsAPlanSpeaksOf(t *testing.T) {
	for name, row := range map[string]struct {
		budget, caller, asked string
		all, want             bool
	}{
		"everything was asked for":             {budget: "acme", all: true, want: true},
		"a site of the client":                 {budget: "acme", asked: "acme", want: true},
		"a site of another":                    {budget: "acme", asked: "other"},
		"a site of nobody":                     {budget: "acme"},
		"the budget of all concerns each site": {budget: "", asked: "other", want: true},
		"the client's own user":                {budget: "acme", caller: "acme", all: true, want: true},
		"another client's user":                {budget: "acme", caller: "other", all: true},
		"the budget of all is not a client's":  {budget: "", caller: "acme", all: true},
	} {
		if got := speaksOf(retention.Excess{Client: row.budget}, row.caller, row.asked, row.all); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
