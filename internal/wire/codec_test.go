package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// wireFrame is one with all fields, and so many bytes that do not compress.
func wireFrame(size int) *agentv1.Frame {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(data)
	return &agentv1.Frame{
		Kind: archivev1.FrameKind_FRAME_KIND_TREE, Data: data, PlainLength: 77, Hash: bytes.Repeat([]byte{1}, 32), PlainHash: bytes.Repeat([]byte{2}, 32),
		Entries:  []*archivev1.Entry{{Path: []byte("./a")}, {Path: []byte("./b")}},
		Sections: []*archivev1.Section{{Name: []byte("t")}},
	}
}

// wireIndex is a piece of an index, with frames that have several entries and none.
func wireIndex() *agentv1.BaseIndex {
	return &agentv1.BaseIndex{Frames: []*agentv1.BaseFrame{
		{Base: 1, Number: 2, PlainLength: 3, PlainHash: bytes.Repeat([]byte{1}, 32), Entries: []*archivev1.Entry{{Path: []byte("./a")}, {Path: []byte("./b")}}},
		{Number: 4}, {Entries: []*archivev1.Entry{{}}},
	}}
}

// uncarry turns the entries that messages carry encoded into messages, before those that came as such. Where a run
// of them cannot be decoded, the error is the one that decoding them as messages would have had.
func uncarry(m proto.Message) error {
	switch m := m.(type) {
	case *agentv1.ReadTreeResponse:
		return uncarryFrame(m.GetFrame())
	case *agentv1.DumpResponse:
		return uncarryFrame(m.GetFrame())
	case *agentv1.ReadTreeRequest:
		return uncarryIndex(m.GetBase())
	case *agentv1.WriteDeltaRequest:
		return uncarryIndex(m.GetIndex())
	case *agentv1.CompareTreeRequest:
		return uncarryIndex(m.GetIndex())
	}
	return nil
}

func uncarryFrame(f *agentv1.Frame) error {
	if f == nil {
		return nil
	}
	return uncarryInto(f, 6, &f.Entries)
}

func uncarryIndex(index *agentv1.BaseIndex) error {
	for _, f := range index.GetFrames() {
		if err := uncarryInto(f, 5, &f.Entries); err != nil {
			return err
		}
	}
	return nil
}

func uncarryInto(m proto.Message, field protowire.Number, entries *[]*archivev1.Entry) error {
	var carried []*archivev1.Entry
	var others []byte
	for b := m.ProtoReflect().GetUnknown(); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		size := n + protowire.ConsumeFieldValue(number, kind, b[n:])
		if number == field && kind == protowire.BytesType {
			body, _ := protowire.ConsumeBytes(b[n:])
			e := &archivev1.Entry{}
			if err := proto.Unmarshal(body, e); err != nil {
				return err
			}
			carried = append(carried, e)
		} else {
			others = append(others, b[:size]...)
		}
		b = b[size:]
	}
	if len(carried) > 0 {
		*entries = append(carried, *entries...)
		m.ProtoReflect().SetUnknown(others)
	}
	return nil
}

// pieces cuts b as gRPC's transport does.
func pieces(b []byte) mem.BufferSlice {
	var out mem.BufferSlice
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		out = append(out, mem.SliceBuffer(bytes.Clone(b[:n])))
		b = b[n:]
	}
	return out
}

// TestCodecAgreesWithProtobuf in both directions, for small and large messages of all kinds.
func TestCodecAgreesWithProtobuf(t *testing.T) {
	tree := func(size int) proto.Message {
		return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: wireFrame(size)}}
	}
	messages := map[string]proto.Message{
		"small frame": tree(10), "frame": tree(300 << 10), "large frame": tree(3 << 20), "smaller frame": tree(40 << 10),
		"dump":      &agentv1.DumpResponse{Message: &agentv1.DumpResponse_Frame{Frame: wireFrame(100 << 10)}},
		"no data":   &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: &agentv1.Frame{PlainLength: 3}}},
		"reference": &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Reference{Reference: &agentv1.Reference{First: 7, Count: 3}}},
		"summary":   &agentv1.DumpResponse{Message: &agentv1.DumpResponse_Summary{Summary: &agentv1.DumpSummary{Charset: "utf8mb4"}}},
		"base":      &agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Base{Base: wireIndex()}},
		"header":    &agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Header{Header: &agentv1.ReadTreeHeader{Format: "tar.zst"}}},
		"index":     &agentv1.WriteDeltaRequest{Message: &agentv1.WriteDeltaRequest_Index{Index: wireIndex()}},
		"compared":  &agentv1.CompareTreeRequest{Message: &agentv1.CompareTreeRequest_Index{Index: wireIndex()}},
		"no frames": &agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Base{Base: &agentv1.BaseIndex{}}},
		"end":       &agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_End{End: &agentv1.StreamEnd{}}},
		"empty":     &agentv1.ReadTreeResponse{},
		"other":     &agentv1.GetInfoResponse{Version: "1"},
	}
	codec := wire.NewFrameReceiver()
	for range 2 { // the second time with buffers that were in use
		for name, want := range messages {
			out, err := codec.Marshal(want)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sent := out.Materialize()
			out.Free()
			plain := want.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(sent, plain); err != nil || !proto.Equal(plain, want) {
				t.Errorf("%s: what was sent is another message (%v)", name, err)
			}
			got := want.ProtoReflect().New().Interface()
			if err := errors.Join(codec.Unmarshal(pieces(sent), got), uncarry(got)); err != nil || !proto.Equal(got, want) {
				t.Errorf("%s: what was received is another message (%v)", name, err)
			}
		}
	}
	if codec.Name() != "proto" {
		t.Errorf("name = %q", codec.Name())
	}
}

// TestReceivedDataIsShared keeps one buffer for all messages of a stream: frames cost no memory.
func TestReceivedDataIsShared(t *testing.T) {
	codec := wire.NewFrameReceiver()
	sent, err := proto.Marshal(&agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: &agentv1.Frame{Data: make([]byte, 500<<10)}}})
	if err != nil {
		t.Fatal(err)
	}
	in := pieces(sent)
	var first, second agentv1.ReadTreeResponse
	for _, m := range []*agentv1.ReadTreeResponse{&first, &second} {
		if err := codec.Unmarshal(in, m); err != nil {
			t.Fatal(err)
		}
	}
	if &first.GetFrame().Data[0] != &second.GetFrame().Data[0] {
		t.Error("each message has a buffer of its own")
	}
	if d := second.GetFrame().GetData(); cap(d) != len(d) {
		t.Error("who appends to the data writes over the rest of the message")
	}
}

// TestPooledBuffersAreTheMessage has a message end where it does in a buffer that held a longer one.
func TestPooledBuffersAreTheMessage(t *testing.T) {
	codec := wire.NewCodec()
	for _, size := range []int{900 << 10, 50 << 10, 2 << 20, 33 << 10} {
		m := &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: wireFrame(size)}}
		out, err := codec.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if out.Len() != proto.Size(m) {
			t.Errorf("%d bytes were sent of a message of %d", out.Len(), proto.Size(m))
		}
		out.Free()
	}
}

// FuzzFrameReceiver decodes what gRPC's own codec does, to the same message, and refuses what it refuses.
func FuzzFrameReceiver(f *testing.F) {
	whole, err := proto.Marshal(&agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: wireFrame(50)}})
	if err != nil {
		f.Fatal(err)
	}
	frame, _ := protowire.ConsumeBytes(whole[1:])
	twice := protowire.AppendBytes(protowire.AppendTag(bytes.Clone(frame), 2, protowire.BytesType), []byte("again"))
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add(protowire.AppendBytes([]byte{1<<3 | 2}, twice))
	f.Add([]byte{1<<3 | 2, 2, 2<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var want, got agentv1.ReadTreeResponse
		wantErr := proto.Unmarshal(b, &want)
		gotErr := errors.Join(wire.NewFrameReceiver().Unmarshal(pieces(b), &got), uncarry(&got))
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("errors: %v, want %v", gotErr, wantErr)
		}
		if wantErr == nil && !proto.Equal(&want, &got) {
			t.Fatalf("got %v, want %v", &got, &want)
		}
	})
}

// FuzzIndexRequest is FuzzFrameReceiver for the pieces of an index that an agent receives.
func FuzzIndexRequest(f *testing.F) {
	whole, err := proto.Marshal(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Base{Base: wireIndex()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add([]byte{2<<3 | 2, 6, 1<<3 | 2, 4, 5<<3 | 2, 0, 1 << 3, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		var want, got agentv1.ReadTreeRequest
		wantErr := proto.Unmarshal(b, &want)
		gotErr := errors.Join(wire.NewCodec().Unmarshal(pieces(b), &got), uncarry(&got))
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("errors: %v, want %v", gotErr, wantErr)
		}
		if wantErr == nil && !proto.Equal(&want, &got) {
			t.Fatalf("got %v, want %v", &got, &want)
		}
	})
}

// TestEntriesAreCarried looks whether both sides do without a message for each entry.
func TestEntriesAreCarried(t *testing.T) {
	sent := &archive.BaseFrame{Number: 7, Entries: []archive.Entry{sampleEntry("./a"), sampleEntry("./b")}}
	m := wire.BaseFrameToProto(sent)
	codec := wire.NewCodec()
	out, err := codec.Marshal(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Base{Base: &agentv1.BaseIndex{Frames: []*agentv1.BaseFrame{m}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got agentv1.ReadTreeRequest
	if err := codec.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	frame := got.GetBase().GetFrames()[0]
	if n := len(m.GetEntries()) + len(frame.GetEntries()); n > 0 {
		t.Errorf("%d entries are messages", n)
	}
	back, err := wire.BaseFrameFromProto(frame)
	if err != nil {
		t.Fatal(err)
	}
	same(t, back, *sent)
	wire.Sent([]*agentv1.BaseFrame{m, {Number: 3}})
	if n := proto.Size(m); n != proto.Size(&agentv1.BaseFrame{Number: 7, PlainHash: m.GetPlainHash()}) {
		t.Errorf("a frame that was sent still has %d bytes", n)
	}
	longer := &archive.BaseFrame{Entries: []archive.Entry{sampleEntry("./c"), sampleEntry("./d"), sampleEntry("./e")}}
	if back, err = wire.BaseFrameFromProto(wire.BaseFrameToProto(longer)); err != nil {
		t.Fatal(err)
	}
	same(t, back, *longer)
}

// TestCarriedEntriesAreChecked has an agent or a master refuse what cannot be an entry.
func TestCarriedEntriesAreChecked(t *testing.T) {
	m := wire.BaseFrameToProto(&archive.BaseFrame{Entries: []archive.Entry{{Path: "/etc/passwd", Type: archive.TypeRegular}}})
	if _, err := wire.BaseFrameFromProto(m); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a path outside: %v", err)
	}
	m.ProtoReflect().SetUnknown([]byte{5<<3 | 2, 1, 0xff})
	if _, err := wire.BaseFrameFromProto(m); !errs.Is(err, errs.Corrupt) {
		t.Errorf("garbage: %v", err)
	}
}
