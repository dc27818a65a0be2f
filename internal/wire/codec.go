package wire

import (
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Codec encodes as gRPC's own codec for protobuf does, and with less work where
// messages are large: gRPC's buffers are cleared before each use.
type Codec struct{ encoding.CodecV2 }

// NewCodec returns a codec for any number of calls at the same time.
func NewCodec() Codec { return Codec{encoding.GetCodecV2(protocodec.Name)} }

// pooled is from which size on a message's buffer is kept for the next, in bytes.
const pooled = 32 << 10

// Marshal encodes a message.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	size := proto.Size(m)
	if size < pooled {
		return c.CodecV2.Marshal(v)
	}
	buf := messages.Get(size)
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buf)[:0], m)
	if err != nil {
		messages.Put(buf)
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	*buf = out
	return mem.BufferSlice{mem.NewBuffer(buf, messages)}, nil
}

// Unmarshal decodes a message.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	set := indexSetter(v)
	if set == nil || len(data) == 0 || !isIndex(data[0].ReadOnlyData()) {
		return c.CodecV2.Unmarshal(data, v)
	}
	b := data.Materialize()
	if index := carryingIndex(b); index != nil {
		set(index)
		return nil
	}
	return c.CodecV2.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, v)
}

// messages are buffers of large messages that gRPC has sent.
var messages = new(bufferPool)

// bufferPool keeps buffers as they are: whoever gets one writes it from the beginning.
type bufferPool struct{ sync.Pool }

// Get returns a buffer of a length.
func (p *bufferPool) Get(length int) *[]byte {
	buf, _ := p.Pool.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	*buf = slices.Grow((*buf)[:0], length)[:length]
	return buf
}

// Put takes one back.
func (p *bufferPool) Put(buf *[]byte) { p.Pool.Put(buf) }

// FrameReceiver decodes the messages of one stream that carries frames up. A
// frame's Data lies in a buffer that the next message overwrites.
type FrameReceiver struct {
	Codec
	buffer []byte
}

// NewFrameReceiver returns the codec for one call. Its messages must be received
// one at a time.
func NewFrameReceiver() *FrameReceiver { return &FrameReceiver{Codec: NewCodec()} }

// Unmarshal decodes a message.
func (r *FrameReceiver) Unmarshal(data mem.BufferSlice, v any) error {
	n := data.Len()
	r.buffer = slices.Grow(r.buffer[:0], n)[:n]
	data.CopyTo(r.buffer)
	switch m := v.(type) {
	case *agentv1.ReadTreeResponse:
		if f := sharedFrame(r.buffer); f != nil {
			m.Reset()
			m.Message = &agentv1.ReadTreeResponse_Frame{Frame: f}
			return nil
		}
	case *agentv1.DumpResponse:
		if f := sharedFrame(r.buffer); f != nil {
			m.Reset()
			m.Message = &agentv1.DumpResponse_Frame{Frame: f}
			return nil
		}
	}
	return r.Codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(r.buffer)}, v)
}

// Numbers of fields: the frame in a response, the data in a frame; the piece of an
// index in a request, the frames in that.
const (
	fieldFrame  = 1
	fieldData   = 2
	fieldIndex  = 2
	fieldFrames = 1
)

// indexSetter returns what sets a request that may be a piece of an index; nil
// for any other message.
func indexSetter(v any) func(*agentv1.BaseIndex) {
	switch m := v.(type) {
	case *agentv1.ReadTreeRequest:
		return func(b *agentv1.BaseIndex) { m.Reset(); m.Message = &agentv1.ReadTreeRequest_Base{Base: b} }
	case *agentv1.WriteDeltaRequest:
		return func(b *agentv1.BaseIndex) { m.Reset(); m.Message = &agentv1.WriteDeltaRequest_Index{Index: b} }
	case *agentv1.CompareTreeRequest:
		return func(b *agentv1.BaseIndex) { m.Reset(); m.Message = &agentv1.CompareTreeRequest_Index{Index: b} }
	}
	return nil
}

// isIndex reports whether a request begins as a piece of an index does.
func isIndex(b []byte) bool {
	number, kind, n := protowire.ConsumeTag(b)
	return n > 0 && number == fieldIndex && kind == protowire.BytesType
}

// carryingIndex decodes a request that is a piece of an index and nothing else;
// its frames carry their entries, which are parts of b. For every other message
// it returns nil.
func carryingIndex(b []byte) *agentv1.BaseIndex {
	number, body, size := protowireField(b)
	if number != fieldIndex || size != len(b) {
		return nil
	}
	index := &agentv1.BaseIndex{}
	for len(body) > 0 {
		number, frame, size := protowireField(body)
		f := &agentv1.BaseFrame{}
		if number != fieldFrames || unmarshalWith(f, entriesOfBaseFrame, frame) != nil {
			return nil
		}
		index.Frames = append(index.Frames, f)
		body = body[size:]
	}
	return index
}

// sharedFrame decodes a response that is a frame and nothing else; its Data and
// the entries that it carries are parts of b. For every other message it returns nil.
func sharedFrame(b []byte) *agentv1.Frame {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 || number != fieldFrame || kind != protowire.BytesType {
		return nil
	}
	frame, size := protowire.ConsumeBytes(b[n:])
	if size < 0 || n+size != len(b) {
		return nil
	}
	before, data, behind := cutData(frame)
	if data == nil {
		return nil
	}
	f := &agentv1.Frame{}
	if unmarshalWith(f, entriesOfFrame, before, behind) != nil {
		return nil
	}
	if f.Data == nil { // a field that comes again holds
		f.Data = data
	}
	return f
}

// cutData returns a frame's data and the fields before and behind it; data is nil
// if there is none.
func cutData(frame []byte) (before, data, behind []byte) {
	for at := 0; at < len(frame); {
		number, kind, n := protowire.ConsumeTag(frame[at:])
		if n < 0 {
			return nil, nil, nil
		}
		size := protowire.ConsumeFieldValue(number, kind, frame[at+n:])
		if size < 0 {
			return nil, nil, nil
		}
		if end := at + n + size; number == fieldData && kind == protowire.BytesType {
			data, _ = protowire.ConsumeBytes(frame[at+n : end])
			return frame[:at], data[:len(data):len(data)], frame[end:]
		}
		at += n + size
	}
	return nil, nil, nil
}
