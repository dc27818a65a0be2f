package sagatest_test

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

func TestJournalSuite(t *testing.T) {
	journals := map[string]saga.Journal{}
	sagatest.JournalSuite(t, func(_ *testing.T, name string) saga.Journal {
		if journals[name] == nil {
			journals[name] = sagatest.NewJournal(sagatest.NewFaults())
		}
		return journals[name]
	})
}
