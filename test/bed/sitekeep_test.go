//go:build integration

package bed_test

import (
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestSitekeep has the two programs come up over a real site, crash, and come
// back. What they do with a site is for the end-to-end tests.
func TestSitekeep(t *testing.T) {
	b := bed.New(t)
	db, web := b.MariaDB("db1"), b.Web("web1")
	m := b.Master("master")
	b.WatchSecrets(nil, db.Password)
	onWeb := b.Agent(m, "web1", bed.AgentOptions{Web: web})
	onDB := b.Agent(m, "db1", bed.AgentOptions{DB: db})
	list := func() {
		t.Helper()
		for _, name := range []string{"web1", "db1"} {
			if r := b.CLI(m, "server", "check", name); r.Code != 0 && r.Code != 6 {
				t.Errorf("server check %s: %s", name, r)
			}
		}
	}
	list()
	if r := b.CLI(m, "no-such-command"); r.Code != 2 || r.Stdout != "" || r.Stderr == "" {
		t.Errorf("an unknown command: %s", r)
	}
	for _, p := range []*bed.Process{m.Process, onWeb.Process, onDB.Process} {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if r := b.CLI(m, "server", "list"); r.Code != 5 {
		t.Errorf("a dead master: %s", r)
	}
	for _, p := range []*bed.Process{m.Process, onWeb.Process, onDB.Process} {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list()
	onDB.Config.MySQL.Socket = ""
	if err := onDB.WriteConfig(); err != nil {
		t.Fatal(err)
	}
	if err := onDB.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := onDB.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "agent.yaml") {
		t.Errorf("an agent with a mysql: that says nothing of where: %v", err)
	}
}
