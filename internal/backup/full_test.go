package backup_test

import (
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup"
)

// TestEveryNthReadsEverything, and says what had changed unseen.
func TestEveryNthReadsEverything(t *testing.T) {
	r := newRig(t)
	r.patient(func(d *backup.Deps) { d.FullEvery = 3 })
	all := func(q *backup.Request) {}
	for i, c := range []struct {
		change func(*backup.Request)
		full   bool
		label  string
	}{{all, false, "0"}, {all, false, "1"}, {all, false, "2"}, {salvage, false, "3"}, {all, true, "0"}, {all, false, "1"},
		{func(q *backup.Request) { q.Full = true }, true, "0"}, {all, false, "1"}} {
		b := r.made(c.change)
		asked := r.agents.Asked()[i]
		if label := r.open(b.ID).Manifest().GetLabels()[backup.LabelSinceFull]; label != c.label || asked.ReadAll != c.full {
			t.Errorf("backup %d: everything read: %v, label %q; want %v, %q", i, asked.ReadAll, label, c.full, c.label)
		}
		if taken := b.NewBytes*5 < b.Size; i > 0 && taken == asked.SendAll {
			t.Errorf("backup %d: %d of %d bytes are new", i, b.NewBytes, b.Size)
		}
	}
	r.patient()
	for range 3 {
		r.made()
	}
	for _, q := range r.agents.Asked()[8:] {
		if q.ReadAll {
			t.Error("with FullEvery 0 everything was read")
		}
	}
}

// TestUnseenChangesAreNamed, so many of them, and counted.
func TestUnseenChangesAreNamed(t *testing.T) {
	r := newRig(t)
	r.made()
	r.agents.Unseen = 130
	b := r.made(func(q *backup.Request) { q.Full = true })
	if len(r.log.warnings) != 101 || !strings.Contains(r.log.warnings[0], "./files/0.php") || !strings.Contains(r.log.warnings[100], "130 files had changed unseen") ||
		len(b.Warnings) != 101 || !strings.Contains(b.Warnings[100], "1 more") {
		t.Errorf("log %q, backup %q", r.log.warnings, b.Warnings)
	}
}
