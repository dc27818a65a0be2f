package agent_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/gentle"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Reading a site for a backup has the lowest priority; for a safety backup, and while a call of a restore runs, it has not.
func TestCallsAndPriorities(t *testing.T) {
	var mu sync.Mutex
	var seen []bool
	r := newRig(t, func(o *agent.Options) {
		o.Gate = gentle.New(nil, func(lowest bool) { mu.Lock(); seen = append(seen, lowest); mu.Unlock() })
	})
	r.plant("x")
	// since is what came since it was last asked. That a backup is lifted after five seconds may be among it.
	since := func() []bool {
		mu.Lock()
		defer mu.Unlock()
		defer func() { seen = nil }()
		return seen
	}
	awaited := func(when string, last bool) { // a handler ends a little after its answer
		t.Helper()
		var got []bool
		for deadline := time.Now().Add(soon); ; time.Sleep(time.Millisecond) {
			if got = append(got, since()...); len(got) > 0 && got[len(got)-1] == last {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", when, got)
			}
		}
	}
	if _, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst"}); err != nil {
		t.Fatal(err)
	}
	if got := since(); len(got) != 0 {
		t.Errorf("not gentle: %v", got)
	}
	if _, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", Gentle: true}); err != nil {
		t.Fatal(err)
	}
	awaited("gentle", false)

	// One that reads on while a restore looks at the tree.
	header := &agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", Gentle: true, HasBase: true}
	stream, err := r.tree.ReadTree(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Header{Header: header}}); err != nil {
		t.Fatal(err)
	}
	awaited("it waits for its base", true)
	if _, err := r.tree.InspectTree(r.ctx(), &agentv1.InspectTreeRequest{Site: r.ref("x"), Task: task}); err != nil {
		t.Fatal(err)
	}
	if got := since(); len(got) < 2 || !got[len(got)-1] {
		t.Errorf("a restore's call: %v", got)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	awaited("after it failed", false)
}
