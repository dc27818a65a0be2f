package agent

import (
	"bytes"

	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// leastPart is the smallest part that a master gets, in bytes, whatever it asks for.
const leastPart = 4 << 10

// treeSender sends what is read of a tree: frames whole, or in the parts that a master asks for whose connection broke.
type treeSender struct {
	readTreeStream
	size int                // of a part, in bytes; 0: frames go whole
	held *agentv1.HeldFrame // what the master has of one; may be nil
}

func (s *treeSender) item(item archive.Item) error {
	if item.Frame == nil || s.size == 0 || len(item.Frame.Data) <= max(s.size, leastPart) {
		return s.Send(treeItem(item))
	}
	return s.frame(item.Frame)
}

// frame sends a frame in parts, without what the master has of it: the hash is over all of the data, so that the rest
// belongs to the same.
func (s *treeSender) frame(f *archive.Frame) error {
	rest, m := f.Data, wire.FrameToProto(f)
	m.Length = uint64(len(rest))
	if held := s.held.GetLength(); held < m.Length && bytes.Equal(s.held.GetHash(), m.Hash) {
		m.Held, rest = held, rest[held:]
	}
	m.Data, rest = s.cut(rest)
	if err := s.Send(&agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: m}}); err != nil {
		return err
	}
	for len(rest) > 0 {
		part := &agentv1.FramePart{}
		part.Data, rest = s.cut(rest)
		if err := s.Send(&agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Part{Part: part}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *treeSender) cut(b []byte) (part, rest []byte) {
	n := min(len(b), max(s.size, leastPart))
	return b[:n], b[n:]
}
