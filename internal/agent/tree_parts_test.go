package agent

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// sentTree is a stream that keeps what is sent.
type sentTree struct {
	readTreeStream
	sent []*agentv1.ReadTreeResponse
}

// Send keeps a message.
func (s *sentTree) Send(m *agentv1.ReadTreeResponse) error {
	s.sent = append(s.sent, m)
	return nil
}

func TestFramesGoInParts(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 2000)
	hash := sha256.Sum256(data)
	frame := archive.Item{Frame: &archive.Frame{Kind: archive.KindTree, Data: data, Hash: hash}}
	held := func(h [sha256.Size]byte, n int) *agentv1.HeldFrame {
		return &agentv1.HeldFrame{Hash: h[:], Length: uint64(n)}
	}
	for name, c := range map[string]struct {
		size  int
		held  *agentv1.HeldFrame
		skips int
		parts int // messages behind the first
	}{
		"whole":              {0, nil, 0, 0},
		"whole, and held":    {0, held(hash, 5000), 0, 0},
		"one that fits":      {len(data), nil, 0, 0},
		"in parts":           {8000, nil, 0, 2},
		"not too small":      {1, nil, 0, 4},
		"the rest":           {8000, held(hash, 5000), 5000, 1},
		"another":            {8000, held(sha256.Sum256(nil), 5000), 0, 2},
		"more than there is": {8000, held(hash, len(data)), 0, 2},
	} {
		stream := &sentTree{}
		if err := (&treeSender{readTreeStream: stream, size: c.size, held: c.held}).item(frame); err != nil {
			t.Fatal(err)
		}
		first := stream.sent[0].GetFrame()
		got := bytes.Clone(first.GetData())
		for _, m := range stream.sent[1:] {
			got = append(got, m.GetPart().GetData()...)
		}
		if !bytes.Equal(got, data[c.skips:]) || int(first.GetHeld()) != c.skips || len(stream.sent) != 1+c.parts {
			t.Errorf("%s: %d bytes in %d messages, %d held", name, len(got), len(stream.sent), first.GetHeld())
		}
		if parts := c.parts > 0; parts != (first.GetLength() == uint64(len(data))) {
			t.Errorf("%s: it says that it has %d bytes", name, first.GetLength())
		}
	}
}
