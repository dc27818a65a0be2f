package fleet

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// inParts is a frame as an agent sends it, of which the master has some bytes.
func inParts(f *archive.Frame, size, held int) (out []item) {
	rest := f.Data[held:]
	first := wire.FrameToProto(f)
	first.Length, first.Held = uint64(len(f.Data)), uint64(held)
	first.Data, rest = rest[:min(size, len(rest))], rest[min(size, len(rest)):]
	out = append(out, item{frame: first})
	for len(rest) > 0 {
		n := min(size, len(rest))
		out = append(out, item{part: &agentv1.FramePart{Data: rest[:n]}})
		rest = rest[n:]
	}
	return out
}

func someFrame(size int) archive.Frame {
	data := bytes.Repeat([]byte("frame "), size/6+1)[:size]
	return archive.Frame{
		Kind: archive.KindTree, Data: data, PlainLength: 10, Hash: sha256.Sum256(data), PlainHash: sha256.Sum256(nil),
		Entries: []archive.Entry{{Path: "./a", Type: archive.TypeDirectory}},
	}
}

// TestATornFrameIsPutTogether over two streams: the second sends what the first did not.
func TestATornFrameIsPutTogether(t *testing.T) {
	f, torn := someFrame(1000), &model.TornFrame{}
	p := &parts{torn: torn}
	for _, m := range inParts(&f, 300, 0)[:2] {
		if _, whole, err := p.take(m); err != nil || whole {
			t.Fatalf("whole: %v, error: %v", whole, err)
		}
	}
	p = &parts{torn: torn} // the stream broke
	header := &agentv1.ReadTreeHeader{}
	p.ask(header)
	if header.GetPartSize() != partSize || header.GetHeld().GetLength() != 600 || !bytes.Equal(header.GetHeld().GetHash(), f.Hash[:]) {
		t.Fatalf("it asks for %v", header)
	}
	for i, m := range inParts(&f, 300, 600) {
		it, whole, err := p.take(m)
		if err != nil || whole != (i == 1) {
			t.Fatalf("message %d: whole: %v, error: %v", i, whole, err)
		}
		if whole {
			if diff := cmp.Diff(f, *it.Frame); diff != "" {
				t.Errorf("not what was sent:\n%s", diff)
			}
			p.taken(it)
		}
	}
	if len(torn.Data) > 0 || torn.Hash != [sha256.Size]byte{} {
		t.Error("a frame that is complete is still held")
	}
}

// TestWhatIsHeldOutlastsOtherFrames: the torn one may come late, or not at all, and another may be torn then.
func TestWhatIsHeldOutlastsOtherFrames(t *testing.T) {
	f, other, torn := someFrame(1000), someFrame(500), &model.TornFrame{}
	p := &parts{torn: torn}
	p.take(inParts(&f, 300, 0)[0]) //nolint:errcheck // the test above has looked
	it, whole, err := (&parts{torn: torn}).take(item{frame: wire.FrameToProto(&other)})
	if err != nil || !whole || it.Frame.Hash != other.Hash || len(torn.Data) != 300 {
		t.Fatalf("a whole frame: %v, %v, %d bytes are held", whole, err, len(torn.Data))
	}
	p = &parts{torn: torn}
	p.taken(it)
	if _, _, err := p.take(inParts(&other, 200, 0)[0]); err != nil || torn.Hash != other.Hash || len(torn.Data) != 200 {
		t.Errorf("another torn one: %v, %d bytes are held", err, len(torn.Data))
	}
}

func TestPartsThatDoNotFit(t *testing.T) {
	f := someFrame(1000)
	messages := inParts(&f, 300, 0)
	long := inParts(&f, 300, 0)
	long[1].part.Data = f.Data
	huge := inParts(&f, 300, 0)
	huge[0].frame.Length = archive.MaxDataLength + 1
	warned := item{warning: &agentv1.Warning{}}
	for name, c := range map[string]struct {
		torn *model.TornFrame
		in   []item
		want errs.Kind
	}{
		"nobody asked":            {nil, messages[:1], errs.Failed},
		"no beginning":            {&model.TornFrame{}, messages[1:2], errs.Failed},
		"something between":       {&model.TornFrame{}, []item{messages[0], warned}, errs.Failed},
		"another frame between":   {&model.TornFrame{}, []item{messages[0], messages[0]}, errs.Failed},
		"too much":                {&model.TornFrame{}, long[:2], errs.Corrupt},
		"an empty part":           {&model.TornFrame{}, []item{messages[0], {part: &agentv1.FramePart{}}}, errs.Corrupt},
		"a frame that is too big": {&model.TornFrame{}, huge[:1], errs.Failed},
		"held, but is not":        {&model.TornFrame{}, inParts(&f, 300, 600)[:1], errs.Corrupt},
		"held, but of another":    {&model.TornFrame{Data: f.Data[:600]}, inParts(&f, 300, 600)[:1], errs.Corrupt},
		"held, but not so much":   {&model.TornFrame{Hash: f.Hash, Data: f.Data[:500]}, inParts(&f, 300, 600)[:1], errs.Corrupt},
	} {
		p, err := &parts{torn: c.torn}, error(nil)
		for _, m := range c.in {
			_, _, err = p.take(m)
		}
		if !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAStreamThatEndsInAFrame is not complete, whatever its summary says.
func TestAStreamThatEndsInAFrame(t *testing.T) {
	f := someFrame(1000)
	messages := append(inParts(&f, 300, 0)[:2], item{summary: &agentv1.StreamSummary{}})
	_, err := receive(t.Context(), &parts{torn: &model.TornFrame{}}, func() (item, error) {
		m := messages[0]
		messages = messages[1:]
		return m, nil
	}, nil)
	if err == nil {
		t.Error("it is complete")
	}
}
