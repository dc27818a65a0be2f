package fleet_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// burst is how many bytes may pass at once.
const burst = 256 << 10

// sends is a tree of so many frames of 64 KiB each; sent counts those that have left.
func sends(frames int, sent *atomic.Int64) *agent {
	f := &archive.Frame{Kind: archive.KindTree, Data: make([]byte, 64<<10), PlainLength: 1}
	m := &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Frame{Frame: wire.FrameToProto(f)}}
	return &agent{readTree: func(s agentv1.TreeService_ReadTreeServer) error {
		for range frames {
			if err := s.Send(m); err != nil {
				return err
			}
			sent.Add(1)
		}
		return s.Send(&agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Summary{Summary: &agentv1.StreamSummary{}}})
	}}
}

// TestASlowAgentHoldsUpNobody has one at a rate at which it would take hours, beside one without a bound. The slow one
// is held back itself, by flow control.
func TestASlowAgentHoldsUpNobody(t *testing.T) {
	r := newRig(t)
	leaf, err := pki.NewMasterLeaf(r.ca, time.Now)
	r.must(err)
	r.fleet = fleet.New(r, func(server string) *tls.Config { return pki.MasterDial(leaf, server, r.isRevoked, time.Now) },
		fleet.WithBandwidth(func(server string) int64 { return map[string]int64{"slow": 16}[server] }))
	t.Cleanup(r.fleet.Close)
	const frames = 1600 // 100 MiB
	var slowSent, slowCame, quickSent atomic.Int64
	for name, a := range map[string]*agent{"slow": sends(frames, &slowSent), "quick": sends(frames, &quickSent)} {
		address, _ := r.listens(a, name)
		r.know(model.Server{Name: name, Address: address})
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), make(chan struct{})
	for i := range 2 { // two streams share the bound
		slow := r.find("slow")
		go func() {
			_, _ = slow.ReadTree(ctx, model.TreeRequest{Format: "tar.zst"}, nil, func(context.Context, archive.Item) error {
				if slowCame.Add(1) == 1 {
					close(started)
				}
				return nil
			})
			if i == 0 {
				close(ended)
			}
		}()
	}
	r.within("the slow one begins", started)
	came := 0
	_, err = r.find("quick").ReadTree(t.Context(), model.TreeRequest{Format: "tar.zst"}, nil, func(context.Context, archive.Item) error { came++; return nil })
	if err != nil || came != frames || quickSent.Load() != frames {
		t.Errorf("the quick one: %d frames, %v", came, err)
	}
	if n := slowCame.Load(); n > burst/(64<<10) {
		t.Errorf("%d frames of the slow one passed", n)
	}
	if n := slowSent.Load(); n >= 2*frames {
		t.Errorf("the slow one was not held back: it has sent all %d frames", n)
	}
	cancel()
	r.within("the slow one is cancelled", ended)
}

// TestBandwidthDownwards bounds what goes to an agent too.
func TestBandwidthDownwards(t *testing.T) {
	r := newRig(t)
	leaf, err := pki.NewMasterLeaf(r.ca, time.Now)
	r.must(err)
	r.fleet = fleet.New(r, func(server string) *tls.Config { return pki.MasterDial(leaf, server, r.isRevoked, time.Now) },
		fleet.WithBandwidth(func(string) int64 { return 4 << 10 }))
	t.Cleanup(r.fleet.Close)
	var came atomic.Int64
	web1, _ := r.web1(&agent{writeTree: func(s agentv1.TreeService_WriteTreeServer) error {
		for {
			if _, err := s.Recv(); err != nil {
				return err
			}
			came.Add(1)
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	given := 0
	_, _, err = web1.WriteTree(ctx, site, "T1", "tar.zst", func(yield func(*archive.Frame, error) bool) {
		for range 1000 {
			if given++; given == 5 { // 4 have passed at once
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			if !yield(&archive.Frame{Kind: archive.KindTree, Data: make([]byte, 64<<10), PlainLength: 1}, nil) {
				return
			}
		}
	})
	if err == nil || given > 6 || came.Load() > 6 {
		t.Errorf("%d frames were given, %d came: %v", given, came.Load(), err)
	}
}
