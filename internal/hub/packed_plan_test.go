package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sitekeep/sitekeep/internal/retention"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func TestPackedDecisions(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 13, 36, 5, time.UTC)
	pinned, daily, expired := retention.Reason{Rule: retention.Pinned}, retention.Reason{Rule: retention.Daily, Nth: 1, Of: 7}, retention.Reason{Rule: retention.Expired}
	p := newPacker()
	for _, d := range []*retention.Decision{
		{Backup: &retention.Backup{ID: "a-2", Site: "a", At: at, Size: 20}, Keep: true, Reasons: []retention.Reason{pinned, daily}},
		{Backup: &retention.Backup{ID: "a-1", Site: "a", Size: 10}, Reasons: []retention.Reason{expired}},
		{Backup: &retention.Backup{ID: "b.example-1", Site: "b.example", At: at, Size: 7}, Keep: true, Reasons: []retention.Reason{daily}},
	} {
		if p.add(d) {
			t.Error("full")
		}
	}
	want := &sitekeepv1.PlanPruneResponse{Packed: &sitekeepv1.PackedDecisions{
		Words: []string{"pinned", "daily 1 of 7", "no rule keeps it"}, Sites: []string{"a", "b.example"}, SiteRuns: []uint32{2, 1},
		Ids: "a-2a-1b.example-1", IdLengths: []uint32{3, 3, 11}, CreatedAt: []int64{at.UnixNano(), 0, at.UnixNano()},
		Sizes: []int64{20, 10, 7}, Keep: []bool{true, false, true}, ReasonCounts: []uint32{2, 1, 1}, Reasons: []uint32{0, 1, 2, 1},
	}}
	if diff := cmp.Diff(want, p.take(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	p.add(&retention.Decision{Backup: &retention.Backup{ID: "b.example-0", Site: "b.example", Size: 7}, Reasons: []retention.Reason{expired}})
	want = &sitekeepv1.PlanPruneResponse{Packed: &sitekeepv1.PackedDecisions{ // it says the site again, the words not
		Sites: []string{"b.example"}, SiteRuns: []uint32{1}, Ids: "b.example-0", IdLengths: []uint32{11}, CreatedAt: []int64{0},
		Sizes: []int64{7}, Keep: []bool{false}, ReasonCounts: []uint32{1}, Reasons: []uint32{2},
	}}
	if diff := cmp.Diff(want, p.take(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// Both forms say when to send, and lose nothing between two messages.
func TestDecisionsComeInMessages(t *testing.T) {
	for packed, most := range map[bool]int{false: decisionsChunk, true: packedChunk} {
		said, sizes, ids := newDecisions(packed), []int{}, []string{}
		take := func() {
			m := said.take()
			sizes = append(sizes, len(m.GetDecisions())+len(m.GetPacked().GetKeep()))
			ids = append(ids, m.GetPacked().GetIds())
		}
		for i := range 2*most + 1 {
			d := &retention.Decision{Backup: &retention.Backup{ID: fmt.Sprintf("a-%06d", i), Site: "a"}}
			if said.add(d) {
				take()
			}
		}
		take()
		if !slices.Equal(sizes, []int{most, most, 1}) {
			t.Errorf("packed %v: messages of %v", packed, sizes)
		}
		if last := ids[2]; packed && last != fmt.Sprintf("a-%06d", 2*most) {
			t.Errorf("the last message has %q", last)
		}
	}
}
