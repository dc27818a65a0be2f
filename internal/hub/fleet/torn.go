package fleet

import (
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// partSize is how much of a frame comes in one message, in bytes, where the connection has broken before: what a cut
// tears is half of that on average, and of a whole frame it is half a mebibyte. A message stays below 32 KiB, for which
// gRPC has pooled buffers.
const partSize = 30 << 10

// parts puts frames together that come in parts. The zero value is for streams whose frames come whole.
type parts struct {
	torn   *model.TornFrame // what has come; nil: frames come whole
	frame  archive.Frame    // the one that is coming, but for its data
	length int              // of its data; 0: none is coming
}

// ask has an agent send parts, and skip what has come before.
func (p *parts) ask(header *agentv1.ReadTreeHeader) {
	if p.torn == nil {
		return
	}
	header.PartSize = partSize
	if n := len(p.torn.Data); n > 0 {
		header.Held = &agentv1.HeldFrame{Hash: p.torn.Hash[:], Length: uint64(n)}
	}
}

// take takes the next message. It reports false where more of a frame must come first. A frame's data is valid until
// the next message.
func (p *parts) take(m item) (it archive.Item, whole bool, err error) {
	switch {
	case m.part != nil && p.length > 0:
		return p.add(m.part.GetData())
	case m.part != nil || p.length > 0:
		return archive.Item{}, false, unknownMessage()
	case m.frame.GetLength() > 0:
		return p.begin(m.frame)
	}
	it, err = m.archive()
	return it, true, err
}

// begin takes the first part of a frame, with all else of it.
func (p *parts) begin(m *agentv1.Frame) (archive.Item, bool, error) {
	f, err := wire.FrameFromProto(m)
	if err != nil {
		return archive.Item{}, false, err
	}
	if p.torn == nil || m.GetLength() > archive.MaxDataLength {
		return archive.Item{}, false, unknownMessage()
	}
	if held := m.GetHeld(); held == 0 {
		p.torn.Data = p.torn.Data[:0]
	} else if held != uint64(len(p.torn.Data)) || f.Hash != p.torn.Hash {
		return archive.Item{}, false, wrongPart("goes on with a frame that is not here")
	}
	p.torn.Hash, p.frame, p.length = f.Hash, f, int(m.GetLength())
	return p.add(f.Data)
}

// add takes a part.
func (p *parts) add(data []byte) (archive.Item, bool, error) {
	if len(data) == 0 || len(data) > p.length-len(p.torn.Data) {
		return archive.Item{}, false, wrongPart("sends a frame of another length than it said")
	}
	p.torn.Data = append(p.torn.Data, data...)
	if len(p.torn.Data) < p.length {
		return archive.Item{}, false, nil
	}
	f := p.frame
	f.Data = p.torn.Data
	p.frame, p.length = archive.Frame{}, 0
	return archive.Item{Frame: &f}, true, nil
}

// taken says that the item was kept: a frame that is complete is torn no more.
func (p *parts) taken(it archive.Item) {
	if p.torn != nil && it.Frame != nil && it.Frame.Hash == p.torn.Hash {
		p.torn.Hash, p.torn.Data = [len(p.torn.Hash)]byte{}, p.torn.Data[:0]
	}
}

func wrongPart(what string) error {
	return errs.New(errs.Corrupt, "install the same version of Sitekeep on both sides", "the agent %s", what)
}
