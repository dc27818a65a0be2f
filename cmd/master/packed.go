package main

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// unpacker makes decisions of the packed ones of one stream, whose messages it takes in their order.
type unpacker struct{ words []string }

// unpack returns the decisions of a message; errs.Corrupt if its columns do not fit together.
func (u *unpacker) unpack(p *sitekeepv1.PackedDecisions) ([]*sitekeepv1.PruneDecision, error) {
	u.words = append(u.words, p.GetWords()...)
	if !u.fits(p) {
		return nil, errs.New(errs.Corrupt, "see that sitekeep is of the master's version", "the plan's columns do not fit together")
	}
	n := len(p.GetKeep())
	decisions, out := make([]sitekeepv1.PruneDecision, n), make([]*sitekeepv1.PruneDecision, n)
	ids, reasons := p.GetIds(), u.said(p.GetReasons())
	for i := range out {
		d := &decisions[i]
		d.Id, ids = ids[:p.IdLengths[i]], ids[p.IdLengths[i]:]
		d.Reasons, reasons = reasons[:p.ReasonCounts[i]:p.ReasonCounts[i]], reasons[p.ReasonCounts[i]:]
		d.Size, d.Keep = p.Sizes[i], p.Keep[i]
		if at := p.CreatedAt[i]; at != 0 {
			d.CreatedAt = timestamppb.New(time.Unix(0, at))
		}
		out[i] = d
	}
	nameSites(out, p)
	return out, nil
}

func (u *unpacker) said(numbers []uint32) []string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		out[i] = u.words[n]
	}
	return out
}

func nameSites(decisions []*sitekeepv1.PruneDecision, p *sitekeepv1.PackedDecisions) {
	for i, run := range p.GetSiteRuns() {
		for _, d := range decisions[:run] {
			d.Site = p.Sites[i]
		}
		decisions = decisions[run:]
	}
}

// fits reports whether each column has its value for each decision, and none names what is not there.
func (u *unpacker) fits(p *sitekeepv1.PackedDecisions) bool {
	n := len(p.GetKeep())
	for _, column := range []int{len(p.GetIdLengths()), len(p.GetCreatedAt()), len(p.GetSizes()), len(p.GetReasonCounts())} {
		if column != n {
			return false
		}
	}
	unknown := slices.ContainsFunc(p.GetReasons(), func(word uint32) bool { return uint64(word) >= uint64(len(u.words)) })
	return !unknown && len(p.GetSites()) == len(p.GetSiteRuns()) && sum(p.GetSiteRuns()) == uint64(n) &&
		sum(p.GetIdLengths()) == uint64(len(p.GetIds())) && sum(p.GetReasonCounts()) == uint64(len(p.GetReasons()))
}

func sum(counts []uint32) (total uint64) {
	for _, n := range counts {
		total += uint64(n)
	}
	return total
}
