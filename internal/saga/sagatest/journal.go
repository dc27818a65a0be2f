package sagatest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// Journal is a journal in memory that outlives the crashes of Faults. There is
// a place before and behind each record: "journal begun push_files before".
type Journal struct {
	faults *Faults

	mu      sync.Mutex
	records [][]byte
	kinds   map[saga.Kind]int
}

// NewJournal returns an empty one.
func NewJournal(f *Faults) *Journal { return &Journal{faults: f, kinds: map[saga.Kind]int{}} }

// Append keeps the record as JSON, as a durable journal would.
func (j *Journal) Append(ctx context.Context, r saga.Record) error {
	place := fmt.Sprintf("journal %s %s", r.Kind, r.Step)
	if err := j.faults.At(ctx, place+" before"); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.records = append(j.records, text)
	j.kinds[r.Kind]++
	j.mu.Unlock()
	return j.faults.At(ctx, place+" after")
}

// Records returns all records.
func (j *Journal) Records(ctx context.Context) ([]saga.Record, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if j.faults.Dead() {
		return nil, ErrCrashed
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]saga.Record, len(j.records))
	for i, text := range j.records {
		if err := json.Unmarshal(text, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// count is the number of records of that kind.
func (j *Journal) count(kind saga.Kind) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kinds[kind]
}
