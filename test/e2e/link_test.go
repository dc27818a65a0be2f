//go:build integration

package e2e_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestDialOut has both agents dial the master: they back up, restore, and find
// the master again.
func TestDialOut(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.onWeb = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web, DialOut: true})
	s.onDB = s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db, DialOut: true})
	s.connected("web1", "db1")
	s.addSite("web1", "db1")
	before, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	id := s.backup()
	s.must(s.site.Wreck(t.Context()))
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, database)

	s.must(s.master.Kill())
	s.must(s.master.Start(t.Context()))
	s.connected("web1", "db1")
	s.backup()
}

// connected waits until agents have dialled.
func (s *stage) connected(names ...string) {
	s.t.Helper()
	for _, name := range names {
		eventually(s.t, "agent "+name, func() error {
			if r := s.CLI(s.master, "server", "check", name); r.Code != 0 && r.Code != 6 {
				return fmt.Errorf("server check: %s", r)
			}
			return nil
		})
	}
}

// TestRevoke ends the connection of an agent, whichever way it was made, and
// keeps it out.
func TestRevoke(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.onWeb = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web, DialOut: true})
	s.onDB = s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db})
	s.connected("web1", "db1")
	s.addSite("web1", "db1")
	s.backup()
	for name, agent := range map[string]*bed.Agent{"web1": s.onWeb, "db1": s.onDB} {
		s.ok("server", "revoke", name)
		s.shutOut(name)
		eventually(t, "the end of the connection with "+name, func() error { return s.noConnection(agent) })
		s.comesBack(agent)
		s.shutOut(name)
	}
	if len(s.backups()) != 1 {
		t.Errorf("backups with revoked servers are listed: %+v", s.backups())
	}
}

// comesBack starts an agent again, which need not find its master.
func (s *stage) comesBack(agent *bed.Agent) {
	s.t.Helper()
	s.must(agent.Stop())
	argv := []string{bed.Must(bed.Build())(s.t).Agent, "serve", "--data-dir", agent.DataDir}
	again := bed.Must(s.Run(s.t.Context(), bed.Service{Name: agent.Name() + "-again", Argv: argv, Dir: s.Dir(), Stop: unix.SIGTERM}))(s.t)
	eventually(s.t, "a try to connect", func() error {
		if log := again.Log(); !strings.Contains(log, "listening") && !strings.Contains(log, "refused") {
			return errors.New(log)
		}
		return nil
	})
}

func (s *stage) shutOut(name string) {
	s.t.Helper()
	for _, args := range [][]string{{"server", "check", name}, {"backup", siteName}} {
		if r := s.CLI(s.master, args...); r.Code != 7 && r.Code != 5 || !strings.Contains(r.Stderr, "revoked") {
			s.t.Errorf("with %s revoked, sitekeep %q: %s", name, args, r)
		}
	}
}

// noConnection is an error as long as the master and an agent are connected.
func (s *stage) noConnection(agent *bed.Agent) error {
	out, err := exec.CommandContext(s.t.Context(), "ss", "-Htnp", "state", "established").Output()
	if err != nil {
		return err
	}
	of := func(p *bed.Process) string { return fmt.Sprintf("pid=%d,", p.Pid()) }
	far := map[string]bool{} // what the agent's connections look like from the other side
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 4 && strings.Contains(line, of(agent.Process)) {
			far[f[3]+" "+f[2]] = true
		}
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 4 && strings.Contains(line, of(s.master.Process)) && far[f[2]+" "+f[3]] {
			return fmt.Errorf("still connected: %s", line)
		}
	}
	return nil
}

// TestJoinTokenIsGoodOnce refuses a token that was used, and one that was made
// up.
func TestJoinTokenIsGoodOnce(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	m := b.Master("master")
	token := strings.TrimSpace(b.OK(m, "server", "token", "web1", "--role", "web"))
	if token == "" || strings.ContainsAny(token, " \n") {
		t.Fatalf("server token prints %q", token)
	}
	at := bed.Must(bed.FreePort(netip.MustParseAddr("127.0.0.1")))(t)
	join := func(dir, token string) (string, error) {
		cmd := exec.CommandContext(t.Context(), bed.Must(bed.Build())(t).Agent, "join", "--token-file", "-",
			"--data-dir", filepath.Join(b.Dir(), dir), "--listen", at.String())
		cmd.Stdin = strings.NewReader(token)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := join("first", token); err != nil {
		t.Fatalf("join: %v: %s", err, out)
	}
	for name, bad := range map[string]string{"used": token, "changed": token[:len(token)-4] + "AAAA", "empty": ""} {
		out, err := join(name, bad)
		if err == nil || !strings.Contains(out, "hint: ") {
			t.Errorf("a %s token: %v: %s", name, err, out)
		}
	}
	if list := b.OK(m, "server", "list"); strings.Count(list, "web1") != 1 {
		t.Errorf("server list:\n%s", list)
	}
}
