package main

import (
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// Words are numbered over the whole stream: a later message need not say them again.
func TestUnpackRemembersWords(t *testing.T) {
	var u unpacker
	if _, err := u.unpack(packedPlan()); err != nil {
		t.Fatal(err)
	}
	later := packedPlan()
	later.Words = []string{"weekly 1 of 4"}
	later.Sites, later.SiteRuns = []string{"example.com", "other.example"}, []uint32{1, 1}
	later.Reasons = []uint32{0, 3, 1}
	got, err := u.unpack(later)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got[0].Reasons, []string{"pinned", "weekly 1 of 4"}) || !slices.Equal(got[1].Reasons, []string{"daily 1 of 7"}) {
		t.Errorf("reasons %v and %v", got[0].Reasons, got[1].Reasons)
	}
	if got[0].Site != "example.com" || got[1].Site != "other.example" || got[1].CreatedAt != nil {
		t.Errorf("%v and %v", got[0], got[1])
	}
}

func TestUnpackRefusesColumnsThatDoNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*pb.PackedDecisions){
		"a time is missing":             func(p *pb.PackedDecisions) { p.CreatedAt = p.CreatedAt[1:] },
		"a size too many":               func(p *pb.PackedDecisions) { p.Sizes = append(p.Sizes, 1) },
		"an id without a length":        func(p *pb.PackedDecisions) { p.IdLengths = p.IdLengths[1:] },
		"ids that are too short":        func(p *pb.PackedDecisions) { p.Ids = p.Ids[1:] },
		"lengths that are large":        func(p *pb.PackedDecisions) { p.IdLengths[0] = 1<<32 - 1 },
		"a decision without a count":    func(p *pb.PackedDecisions) { p.ReasonCounts = p.ReasonCounts[1:] },
		"more reasons than counted":     func(p *pb.PackedDecisions) { p.Reasons = append(p.Reasons, 0) },
		"a word that nobody said":       func(p *pb.PackedDecisions) { p.Reasons[0] = 3 },
		"a site without a count":        func(p *pb.PackedDecisions) { p.Sites = append(p.Sites, "x") },
		"a site of too many":            func(p *pb.PackedDecisions) { p.SiteRuns[0] = 3 },
		"decisions that are of no site": func(p *pb.PackedDecisions) { p.SiteRuns[0] = 1 },
		"columns without any decision":  func(p *pb.PackedDecisions) { p.Keep = nil },
	} {
		p := packedPlan()
		spoil(p)
		if _, err := new(unpacker).unpack(p); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
