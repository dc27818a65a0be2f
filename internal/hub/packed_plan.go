package hub

import (
	"strings"

	"github.com/sitekeep/sitekeep/internal/retention"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// packedChunk is how many decisions go in one packed message: some 400 KiB, and with the longest names a client's
// default limit of 4 MiB is not reached.
const packedChunk = 8192

// packer makes PackedDecisions of one plan.
type packer struct {
	words map[retention.Reason]uint32 // those that the stream has said, by their numbers
	ids   strings.Builder
	site  string // of the decision before, in this message
	out   *sitekeepv1.PackedDecisions
}

func newPacker() *packer {
	p := &packer{words: map[retention.Reason]uint32{}}
	p.begin()
	return p
}

func (p *packer) begin() {
	p.site = ""
	p.out = &sitekeepv1.PackedDecisions{
		IdLengths: make([]uint32, 0, packedChunk), CreatedAt: make([]int64, 0, packedChunk), Sizes: make([]int64, 0, packedChunk),
		Keep: make([]bool, 0, packedChunk), ReasonCounts: make([]uint32, 0, packedChunk), Reasons: make([]uint32, 0, packedChunk),
	}
}

// add takes a decision and reports whether there is no room for another.
func (p *packer) add(d *retention.Decision) (full bool) {
	b, out := d.Backup, p.out
	if len(out.Sites) == 0 || b.Site != p.site {
		p.site = b.Site
		out.Sites, out.SiteRuns = append(out.Sites, b.Site), append(out.SiteRuns, 0)
	}
	out.SiteRuns[len(out.SiteRuns)-1]++
	p.ids.WriteString(b.ID)
	out.IdLengths = append(out.IdLengths, uint32(len(b.ID)))
	at := int64(0)
	if !b.At.IsZero() {
		at = b.At.UnixNano()
	}
	out.CreatedAt, out.Sizes, out.Keep = append(out.CreatedAt, at), append(out.Sizes, b.Size), append(out.Keep, d.Keep)
	out.ReasonCounts = append(out.ReasonCounts, uint32(len(d.Reasons)))
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, p.word(r))
	}
	return len(out.Keep) == packedChunk
}

func (p *packer) word(r retention.Reason) uint32 {
	n, said := p.words[r]
	if !said {
		n = uint32(len(p.words))
		p.words[r] = n
		p.out.Words = append(p.out.Words, r.String())
	}
	return n
}

// take returns what was added since the last time.
func (p *packer) take() *sitekeepv1.PlanPruneResponse {
	p.out.Ids = p.ids.String()
	p.ids.Reset()
	out := &sitekeepv1.PlanPruneResponse{Packed: p.out}
	p.begin()
	return out
}
