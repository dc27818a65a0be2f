package agent

import (
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type compareTreeStream = grpc.ClientStreamingServer[agentv1.CompareTreeRequest, agentv1.CompareTreeResponse]

// maxPaths bounds what an answer names; an answer is one message.
const maxPaths = 1000

// CompareTree walks the live tree next to a backup's index. A tree that is not there differs in everything.
func (s *treeService) CompareTree(stream compareTreeStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return noHeader()
	}
	site, err := s.site(header.GetSite())
	if err != nil {
		return err
	}
	live := s.liveTree(site)
	if live != nil {
		defer live.Close()
	}
	index := baseFrames(func() (*agentv1.BaseIndex, *agentv1.StreamEnd, error) {
		m, err := stream.Recv()
		return m.GetIndex(), m.GetEnd(), err
	}, wire.BaseFrameFromProto)
	var warned warningList
	out := newDifferences(min(int(header.GetMaxPaths()), maxPaths), covered(header.GetSelect()))
	exclude := append(s.ownSwitches(stream.Context(), site), guard.StagingPrefix+"*/")
	err = archive.CompareTree(stream.Context(), live, index, exclude, out.add,
		func(w archive.Warning) { warned.add(w.String()) })
	if err != nil {
		return treeError(err)
	}
	out.reply.Warnings = warned.lines()
	return stream.SendAndClose(out.reply)
}

// differences adds up what CompareTree answers.
type differences struct {
	reply *agentv1.CompareTreeResponse
	kinds map[archive.DifferenceKind]*agentv1.TreeDifference
	most  int
	wants func(path string) bool
}

func newDifferences(most int, wants func(path string) bool) *differences {
	d := &differences{most: most, wants: wants, reply: &agentv1.CompareTreeResponse{
		Added: &agentv1.TreeDifference{}, Changed: &agentv1.TreeDifference{}, Removed: &agentv1.TreeDifference{},
	}}
	d.kinds = map[archive.DifferenceKind]*agentv1.TreeDifference{
		archive.Added: d.reply.Added, archive.Changed: d.reply.Changed, archive.Removed: d.reply.Removed,
	}
	return d
}

func (d *differences) add(x archive.Difference) error {
	if !d.wants(x.Entry.Name()) {
		return nil
	}
	sum := d.kinds[x.Kind]
	sum.Entries++
	if x.Entry.Type == archive.TypeRegular {
		sum.Bytes += uint64(x.Entry.Size)
	}
	if len(sum.Paths) < d.most {
		sum.Paths = append(sum.Paths, wire.ValidText(x.Entry.Name()))
	}
	return nil
}
