package fleet_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

func TestWhoIsCalled(t *testing.T) {
	r := newRig(t)
	web1, _ := r.web1(&agent{hostname: "one"})
	info, err := web1.Info(t.Context())
	if err != nil || info.Hostname != "one" {
		t.Errorf("info = %+v, %v", info, err)
	}
	if _, err := r.fleet.Agent(t.Context(), "web9"); !errs.Is(err, errs.NotFound) {
		t.Errorf("unknown: %v", err)
	}
	// Another agent, of the same authority, answers at the address.
	address, _ := r.listens(&agent{hostname: "impostor"}, "web2")
	r.know(model.Server{Name: "web1", Address: address})
	if info, err := r.find("web1").Info(t.Context()); err == nil || info.Hostname != "" {
		t.Errorf("an impostor was called: %+v, %v", info, err)
	}
	r.know(model.Server{Name: "down", Address: "127.0.0.1:1"})
	if _, err := r.find("down").Info(t.Context()); !errs.Is(err, errs.Unreachable) || !strings.Contains(errs.HintOf(err), "sitekeep server check down") {
		t.Errorf("down: %v, hint %q", err, errs.HintOf(err))
	}
}

func TestARevokedServerIsNotCalled(t *testing.T) {
	r := newRig(t)
	web1, _ := r.web1(&agent{hostname: "one"})
	if _, err := web1.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ := r.Server(t.Context(), "web1")
	s.Revoked = true
	r.know(s)
	r.fleet.Drop("web1")
	if _, err := r.fleet.Agent(t.Context(), "web1"); !errs.Is(err, errs.Permission) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := web1.Info(t.Context()); !errs.Is(err, errs.Unreachable) {
		t.Errorf("the connection that there was: %v", err)
	}
	// Where only the certificate is revoked, the handshake refuses it.
	s.Revoked = false
	r.know(s)
	r.allRevoked.Store(true)
	if _, err := r.find("web1").Info(t.Context()); !errs.Is(err, errs.Unreachable) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("a revoked certificate: %v", err)
	}
}

func TestAnAgentThatDials(t *testing.T) {
	r := newRig(t)
	r.know(model.Server{Name: "web1", DialOut: true})
	if _, err := r.fleet.Agent(t.Context(), "web1"); !errs.Is(err, errs.Unreachable) || errs.HintOf(err) == "" {
		t.Errorf("before it has connected: %v", err)
	}
	first, _ := r.dials(&agent{hostname: "first"}, "web1")
	r.answers("web1", "first")
	second, cut := r.dials(&agent{hostname: "second"}, "web1")
	r.within("the older connection ends", first)
	r.answers("web1", "second")
	cut()
	r.within("a connection that was cut ends", second)
	if _, err := r.fleet.Agent(t.Context(), "web1"); !errs.Is(err, errs.Unreachable) {
		t.Errorf("after it was cut: %v", err)
	}
	third, _ := r.dials(&agent{hostname: "third"}, "web1")
	r.answers("web1", "third")
	r.fleet.Drop("web1")
	r.within("a dropped connection ends", third)
	r.fleet.Close()
	late, _ := r.dials(&agent{hostname: "late"}, "web1")
	r.within("a fleet that is closed takes none", late)
}

// TestACallOnAConnectionThatIsReplaced has lost its agent: nobody has cancelled it.
func TestACallOnAConnectionThatIsReplaced(t *testing.T) {
	r := newRig(t)
	r.know(model.Server{Name: "web1", DialOut: true})
	slow := &agent{hostname: "first"}
	r.dials(slow, "web1")
	r.answers("web1", "first")
	slow.held, slow.hold = make(chan struct{}), make(chan struct{})
	defer close(slow.hold)
	failed := make(chan error, 1)
	web1 := r.find("web1")
	go func() { _, err := web1.Info(context.Background()); failed <- err }()
	r.within("the call has come", slow.held)
	r.dials(&agent{hostname: "second"}, "web1")
	select {
	case err := <-failed:
		if !errs.Is(err, errs.Unreachable) || !errs.Temporary(err) {
			t.Errorf("error = %v (%v)", err, errs.KindOf(err))
		}
	case <-time.After(soon):
		t.Fatal("it hangs")
	}
}

var site = model.SiteRef{Name: "example.com", Kind: "generic", Root: "/var/www/example.com"}

// read runs ReadTree with a bound on its time.
func (r *rig) read(ctx context.Context, a *agent, base iter.Seq2[archive.BaseFrame, error], emit func(context.Context, archive.Item) error) error {
	r.Helper()
	web1, s := r.web1(a)
	r.stop = s.Stop
	done := make(chan error, 1)
	go func() {
		_, err := web1.ReadTree(ctx, model.TreeRequest{Site: site, Format: "tar.zst"}, base, emit)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(soon):
		r.Fatal("it hangs")
		return nil
	}
}

func warning() *agentv1.ReadTreeResponse {
	return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Warning{Warning: &agentv1.Warning{Subject: "./a", Text: "changed", Kind: "changed"}}}
}

func nothing(context.Context, archive.Item) error { return nil }

// endless is a base without an end.
func endless(yield func(archive.BaseFrame, error) bool) {
	for yield(archive.BaseFrame{}, nil) {
	}
}

func TestReadingATree(t *testing.T) {
	full := errs.New(errs.NoSpace, "make room", "the store is full")
	broken := errors.New("the base cannot be read")
	for what, c := range map[string]struct {
		agent func(agentv1.TreeService_ReadTreeServer) error
		base  iter.Seq2[archive.BaseFrame, error]
		emit  func(context.Context, archive.Item) error
		want  errs.Kind
		is    error
	}{
		"no closing message": {func(s agentv1.TreeService_ReadTreeServer) error { return s.Send(warning()) }, nil, nothing, errs.Unreachable, nil},
		"an early error": {func(agentv1.TreeService_ReadTreeServer) error {
			return errs.New(errs.Permission, "add it", "the root is not allowed")
		}, endless, nothing, errs.Permission, nil},
		"the store is full": {func(s agentv1.TreeService_ReadTreeServer) error {
			for s.Send(warning()) == nil {
			}
			return s.Context().Err()
		}, endless, func(context.Context, archive.Item) error { return full }, errs.NoSpace, full},
		"the base breaks": {func(s agentv1.TreeService_ReadTreeServer) error {
			for {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
		}, func(yield func(archive.BaseFrame, error) bool) { yield(archive.BaseFrame{}, broken) }, nothing, errs.Failed, broken},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			err := r.read(t.Context(), &agent{readTree: c.agent}, c.base, c.emit)
			if errs.KindOf(err) != c.want || c.is != nil && !errors.Is(err, c.is) || errors.Is(err, io.EOF) {
				t.Errorf("error = %v (%v)", err, errs.KindOf(err))
			}
		})
	}
}

// TestAnAgentDiesWhileItIsRead, and a caller goes away.
func TestAnAgentDiesWhileItIsRead(t *testing.T) {
	r := newRig(t)
	busy := &agent{readTree: func(s agentv1.TreeService_ReadTreeServer) error {
		if err := s.Send(warning()); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}}
	if err := r.read(t.Context(), busy, endless, func(context.Context, archive.Item) error { go r.stop(); return nil }); !errs.Is(err, errs.Unreachable) {
		t.Errorf("it died: %v (%v)", err, errs.KindOf(err))
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := r.read(ctx, busy, endless, func(context.Context, archive.Item) error { cancel(); return nil }); !errs.Is(err, errs.Cancelled) {
		t.Errorf("cancelled: %v (%v)", err, errs.KindOf(err))
	}
}

// frames are made-up ones without an end; each counts.
func frames(n *int) iter.Seq2[*archive.Frame, error] {
	return func(yield func(*archive.Frame, error) bool) {
		for {
			*n++
			if !yield(&archive.Frame{Kind: archive.KindTree, Data: make([]byte, 1<<16)}, nil) {
				return
			}
		}
	}
}

func (r *rig) write(ctx context.Context, a *agent, from iter.Seq2[*archive.Frame, error]) error {
	r.Helper()
	web1, s := r.web1(a)
	r.stop = s.Stop
	done := make(chan error, 1)
	go func() { _, _, err := web1.WriteTree(ctx, site, "T1", "tar.zst", from); done <- err }()
	select {
	case err := <-done:
		return err
	case <-time.After(soon):
		r.Fatal("it hangs")
		return nil
	}
}

func TestWritingATree(t *testing.T) {
	r := newRig(t)
	sent := 0
	full := &agent{writeTree: func(s agentv1.TreeService_WriteTreeServer) error {
		for range 3 {
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
		return errs.New(errs.NoSpace, "make room", "the disk is full")
	}}
	if err := r.write(t.Context(), full, frames(&sent)); !errs.Is(err, errs.NoSpace) || errs.HintOf(err) != "make room" || errors.Is(err, io.EOF) {
		t.Errorf("a full disk: %v (%v)", err, errs.KindOf(err))
	}
	dies := &agent{writeTree: func(s agentv1.TreeService_WriteTreeServer) error {
		_, _ = s.Recv()
		go r.stop()
		<-s.Context().Done()
		return s.Context().Err()
	}}
	if err := r.write(t.Context(), dies, frames(&sent)); !errs.Is(err, errs.Unreachable) {
		t.Errorf("it died: %v (%v)", err, errs.KindOf(err))
	}
	// A tarball that cannot be read to its end must not look like one that was.
	ended := make(chan bool, 1)
	watches := &agent{writeTree: func(s agentv1.TreeService_WriteTreeServer) error {
		for {
			m, err := s.Recv()
			if err != nil {
				ended <- false
				return err
			}
			if m.GetEnd() != nil {
				ended <- true
				return s.SendAndClose(&agentv1.WriteTreeResponse{})
			}
		}
	}}
	broken := errs.New(errs.Corrupt, "", "frame 3 is damaged")
	err := r.write(t.Context(), watches, func(yield func(*archive.Frame, error) bool) {
		if yield(&archive.Frame{Kind: archive.KindTree, Data: []byte("x")}, nil) {
			yield(nil, broken)
		}
	})
	if !errors.Is(err, broken) || <-ended {
		t.Errorf("a damaged tarball: %v", err)
	}
}
