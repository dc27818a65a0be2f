package agent_test

import (
	"slices"
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
	expect := func(when string, want ...bool) {
		t.Helper()
		for deadline := time.Now().Add(soon); ; time.Sleep(time.Millisecond) { // a handler ends a little after its answer
			mu.Lock()
			got := slices.Clone(seen)
			mu.Unlock()
			if slices.Equal(got, want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v, want %v", when, got, want)
			}
		}
		mu.Lock()
		seen = nil
		mu.Unlock()
	}
	if _, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst"}); err != nil {
		t.Fatal(err)
	}
	expect("not gentle")
	if _, err := r.read(&agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", Gentle: true}); err != nil {
		t.Fatal(err)
	}
	expect("gentle", true, false)

	// One that reads on while a restore looks at the tree.
	header := &agentv1.ReadTreeHeader{Site: r.ref("x"), Format: "tar.zst", Gentle: true, HasBase: true}
	stream, err := r.tree.ReadTree(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&agentv1.ReadTreeRequest{Message: &agentv1.ReadTreeRequest_Header{Header: header}}); err != nil {
		t.Fatal(err)
	}
	expect("it waits for its base", true)
	if _, err := r.tree.InspectTree(r.ctx(), &agentv1.InspectTreeRequest{Site: r.ref("x"), Task: task}); err != nil {
		t.Fatal(err)
	}
	expect("a restore's call", false, true)
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	expect("after it failed", false)
}
