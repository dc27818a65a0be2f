package agent_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const holder = "disabled"

// switchRig is a rig with a WordPress behind a virtual host that is not ours, at which somebody answers as WordPress does.
type switchRig struct {
	*rig
	site *agentv1.SiteRef
	file string // the switch
}

func newSwitchRig(t *testing.T) *switchRig {
	t.Helper()
	s := &switchRig{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.Sum256([]byte(r.Header.Get(webserver.PassHeader)))
		if text, err := os.ReadFile(s.file); err == nil && !strings.Contains(string(text), hex.EncodeToString(hash[:])) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "the page")
	}))
	t.Cleanup(web.Close)
	s.rig = newRig(t, func(o *agent.Options) { o.Config.Webserver.Listen = []string{web.Listener.Addr().String()} })
	s.site, s.file = s.wordpress(s.www+"/x"), s.www+"/x/.maintenance"
	s.site.External = true
	return s
}

func (s *switchRig) beginAs(who string, lease time.Duration) *agentv1.BeginMaintenanceResponse {
	s.t.Helper()
	reply, err := s.vhost.BeginMaintenance(s.ctx(), &agentv1.BeginMaintenanceRequest{Site: s.site, Task: who, Lease: durationpb.New(lease)})
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

func (s *switchRig) end(who string) {
	s.t.Helper()
	if _, err := s.vhost.EndMaintenance(s.ctx(), &agentv1.EndMaintenanceRequest{Site: s.site, Task: who}); err != nil {
		s.t.Fatal(err)
	}
}

// answers probes as a task, or for "" as a visitor.
func (s *switchRig) answers(who string, status int32) {
	s.t.Helper()
	p, err := s.vhost.ProbeSite(s.ctx(), &agentv1.ProbeSiteRequest{Site: s.site, Task: who})
	if err != nil || p.GetStatus() != status || p.GetMaintenance() != (status == 503) {
		s.t.Errorf("%q gets %v, %v; want %d", who, p, err, status)
	}
}

func (s *switchRig) on() bool {
	_, err := os.Lstat(s.file)
	return err == nil
}

func (s *switchRig) tree() string { return fingerprint(s.t, s.www+"/x") }

func TestTheSitesOwnSwitch(t *testing.T) {
	s := newSwitchRig(t)
	before := s.tree()
	reply := s.beginAs(task, time.Minute)
	if reply.GetWarning() != "" || !strings.Contains(reply.GetBy(), ".maintenance") {
		t.Errorf("begun: %v", reply)
	}
	s.answers("", 503)
	s.answers(task, 200)
	s.beginAs(holder, time.Hour)
	s.end(task)
	s.answers("", 503)
	s.end(holder)
	s.end(holder)
	s.answers("", 200)
	if s.on() || s.flag() || s.tree() != before {
		t.Errorf("something is left:\n%s", s.tree())
	}
}

// TestTheSwitchIsInNoBackup, is no difference to one, and goes along when trees are exchanged, there and back.
func TestTheSwitchIsInNoBackup(t *testing.T) {
	s := newSwitchRig(t)
	before := s.tree()
	s.beginAs(task, time.Minute)
	got, err := s.read(&agentv1.ReadTreeHeader{Site: s.site, Format: "tar.zst"})
	if err != nil {
		t.Fatal(err)
	}
	tarball := s.assemble("tar.zst", got, nil)
	if d := s.compare(&agentv1.CompareTreeHeader{Site: s.site, MaxPaths: 10}, tarball); d.GetRemoved().GetEntries()+d.GetChanged().GetEntries() != 0 {
		t.Errorf("the switch is a difference: %v", d)
	}
	if _, err := s.write("x", tarball); err != nil {
		t.Fatal(err)
	}
	if staged := fingerprint(t, s.www+"/.sitekeep-T1/x"); staged != before {
		t.Errorf("the switch was in the backup:\n%s", staged)
	}
	for range 2 {
		state, err := s.rig.tree.InspectTree(s.ctx(), &agentv1.InspectTreeRequest{Site: s.site, Task: task})
		if err != nil {
			t.Fatal(err)
		}
		exchange := &agentv1.ExchangeTreeRequest{Site: s.site, Task: task, LiveInode: state.GetLiveInode(), StagedInode: state.GetStagedInode()}
		for range 2 { // the second is over
			if _, err := s.rig.tree.ExchangeTree(s.ctx(), exchange); err != nil {
				t.Fatal(err)
			}
			s.answers("", 503)
			s.answers(task, 200)
		}
	}
	s.end(task)
	if s.on() || s.tree() != before {
		t.Errorf("something is left:\n%s", s.tree())
	}
}

// TestTheSwitchEndsWithItsLease, noted by an agent that has died at once after, or before it wrote the file.
func TestTheSwitchEndsWithItsLease(t *testing.T) {
	for _, died := range []bool{false, true} {
		s := newSwitchRig(t)
		before := s.tree()
		s.beginAs(task, time.Minute)
		if died {
			if err := os.Remove(s.file); err != nil {
				t.Fatal(err)
			}
		}
		s.now.advance(2 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { s.agent.Sweep(ctx) })
		eventually(t, "the lease is ended", func() bool { return !s.flag() })
		cancel()
		wg.Wait()
		if s.on() || !died && s.tree() != before {
			t.Errorf("died %v: something is left:\n%s", died, s.tree())
		}
	}
}

// TestWhatIsLeftOfASwitchGoes when nobody keeps visitors out: of a tree that was brought back by hand, for instance.
func TestWhatIsLeftOfASwitchGoes(t *testing.T) {
	s := newSwitchRig(t)
	before := s.tree()
	s.beginAs(task, time.Minute)
	if err := os.Remove(s.vhosts + "/example.com.maintenance"); err != nil {
		t.Fatal(err)
	}
	s.end(holder)
	if s.on() || s.tree() != before {
		t.Errorf("something is left:\n%s", s.tree())
	}
}

// TestNoSwitch says why, names the line that would do, and changes nothing in the site.
func TestNoSwitch(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *switchRig)
		words  string
	}{
		"only the include":  {func(s *switchRig) { s.site.Maintenance = "include" }, "put this line"},
		"somebody else's":   {func(s *switchRig) { s.put("/x/.maintenance", "<?php $upgrading = 1;") }, "not ours"},
		"drupal":            {func(s *switchRig) { s.site.Kind = "drupal" }, "in the database"},
		"generic":           {func(s *switchRig) { s.site.Kind = "generic" }, "none that is known"},
		"no site":           {func(s *switchRig) { s.site.Root = s.www + "/y" }, "put this line"},
		"docroot elsewhere": {func(s *switchRig) { s.site.Docroot = s.www + "/y" }, "nothing to do with root"},
		"another site":      {func(s *switchRig) { s.file += "-elsewhere" }, "answers 200, not 503"},
		"kind without line": {func(s *switchRig) { s.site.Maintenance, s.site.Kind = "kind", "generic" }, "no managed virtual host"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSwitchRig(t)
			c.change(s)
			before := s.tree()
			if reply := s.beginAs(task, time.Minute); reply.GetBy() != "" || !strings.Contains(reply.GetWarning(), c.words) {
				t.Errorf("begun: %v", reply)
			}
			s.end(task)
			if s.tree() != before || s.flag() {
				t.Errorf("something has changed:\n%s", s.tree())
			}
		})
	}
}

// TestAManagedSiteKeepsItsTree: there the virtual host keeps visitors out.
func TestAManagedSiteKeepsItsTree(t *testing.T) {
	s := newSwitchRig(t)
	s.site.External, s.site.Maintenance = false, "kind"
	if reply := s.beginAs(task, time.Minute); reply.GetBy() != "" || s.on() {
		t.Errorf("begun: %v", reply)
	}
	s.end(task)
	if left, err := filepath.Glob(s.vhosts + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
