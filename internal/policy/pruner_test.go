package policy

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/retention"
)

func TestExcessIsToldInSizesThatPeopleRead(t *testing.T) {
	for want, e := range map[string]retention.Excess{
		"all backups take 1.5 TiB, more than their budget of 931.3 GiB, and none of them may go":              {Size: 3 << 39, Most: 1e12},
		"the backups of client acme take 2.0 KiB, more than their budget of 1023 B, and none of them may go":  {Client: "acme", Size: 2048, Most: 1023},
		"the backups of client acme take 1.0 MiB, more than their budget of 1.0 KiB, and none of them may go": {Client: "acme", Size: 1<<20 - 1, Most: 1024},
	} {
		if got := ExcessText(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
