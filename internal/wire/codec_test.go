package wire_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/wire"
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
			if err := codec.Unmarshal(pieces(sent), got); err != nil || !proto.Equal(got, want) {
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
		gotErr := wire.NewFrameReceiver().Unmarshal(pieces(b), &got)
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("errors: %v, want %v", gotErr, wantErr)
		}
		if wantErr == nil && !proto.Equal(&want, &got) {
			t.Fatalf("got %v, want %v", &got, &want)
		}
	})
}
