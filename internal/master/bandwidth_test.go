package master

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
)

func TestBandwidthAndLimits(t *testing.T) {
	dir := inited(t)
	c, err := Load(dir)
	must(t, err)
	if c.Limits.RetryFor != 15*time.Minute || c.FullEvery != 30 || c.Limits.PerDatabaseServer != 2 || c.Bandwidth.of("web1") != 0 {
		t.Errorf("what init writes: %+v", c)
	}
	text := "name: m\nlimits: {retry_for: 90s, per_database_server: 5}\nfull_every: 0\n" +
		"bandwidth: {default: 500KB, servers: {web1: 20MiB, web2: 0, web3: 65536, web4: 1 GiB}}\n"
	must(t, os.WriteFile(filepath.Join(dir, configName), []byte(text), 0o600))
	c, err = Load(dir)
	must(t, err)
	for server, want := range map[string]int64{"web1": 20 << 20, "web2": 0, "web3": 65536, "web4": 1 << 30, "web5": 500e3} {
		if got := c.Bandwidth.of(server); got != want {
			t.Errorf("%s: %d bytes a second, want %d", server, got, want)
		}
	}
	if c.Limits.RetryFor != 90*time.Second || c.FullEvery != 0 || c.Limits.Total != 8 {
		t.Errorf("loaded: %+v", c)
	}
}

// TestAServerWithBothRoles has a limit for each.
func TestAServerWithBothRoles(t *testing.T) {
	dir := inited(t)
	m := opened(t, options(dir))
	m.config.Limits.PerAgent, m.config.Limits.PerDatabaseServer = 3, 7
	must(t, m.catalogue.CreateServer(t.Context(), model.Server{Name: "all", Roles: []model.Role{model.RoleWeb, model.RoleDB}, JoinedAt: time.Now()}))
	must(t, m.catalogue.CreateSite(t.Context(), model.Site{Name: "a.example", WebServers: []string{"all"}, DBServer: "all", Root: "/var/www/a"}))
	keys := m.agentsOf(t.Context(), model.Task{Site: "a.example"})
	if !slices.Equal(keys, []string{"all", "db:all"}) || m.perAgent(keys[0]) != 3 || m.perAgent(keys[1]) != 7 {
		t.Errorf("keys %q with limits %d and %d", keys, m.perAgent(keys[0]), m.perAgent(keys[len(keys)-1]))
	}
}
