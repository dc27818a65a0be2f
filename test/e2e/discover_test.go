//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// discovered is what scripts rely on.
type discovered struct {
	Site struct {
		Name      string   `json:"name"`
		Aliases   []string `json:"aliases"`
		Kind      string   `json:"kind"`
		Root      string   `json:"root"`
		DBServer  string   `json:"db_server"`
		Database  string   `json:"database"`
		Vhost     string   `json:"vhost"`
		WebServer []string `json:"web_servers"`
	} `json:"site"`
	Version       string   `json:"version"`
	KnownAs       string   `json:"known_as"`
	Obstacle      string   `json:"obstacle"`
	Warnings      []string `json:"warnings"`
	VhostFile     string   `json:"vhost_file"`
	FileBytes     int64    `json:"file_bytes"`
	DatabaseBytes int64    `json:"database_bytes"`
}

// many is how many sites one command finds and adds.
const many = 200

// TestManySitesAreDiscovered puts two hundred sites under care by one command, and again none.
func TestManySitesAreDiscovered(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Web("web1"), master: b.Master("master")}
	s.onWeb, s.onDB = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web}), s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db})
	var databases []string
	for i := range many {
		database := fmt.Sprintf("site%03d", i)
		s.laySmall(database+".example", database)
		databases = append(databases, "CREATE DATABASE "+database)
	}
	s.must(s.db.Exec(t.Context(), databases...))
	s.must(s.web.Reload(t.Context()))

	began := s.CLI(s.master, "site", "discover", "web1", "--add")
	if began.Code != 0 || strings.Count(began.Stdout, "  added\n") != many || !strings.Contains(began.Stderr, "200 sites added") {
		t.Fatalf("site discover --add: %s", began)
	}
	t.Logf("%d sites were discovered and added in %.1f s", many, began.Took.Seconds())
	again := read[[]discovered](s, "site", "discover", "web1", "--add")
	for _, d := range again {
		if d.KnownAs != d.Site.Name || d.Site.Kind != "wordpress" || d.Version != "6.8.1" || d.Site.DBServer != "db1" || d.Site.Vhost != "external" {
			t.Fatalf("known now: %+v", d)
		}
	}
	if sites := read[[]map[string]any](s, "site", "list"); len(again) != many || len(sites) != many {
		t.Errorf("%d sites known, %d listed", len(again), len(sites))
	}
}

// laySmall makes a site in the shape of WordPress with a vhost, that nginx does not serve yet.
func (s *stage) laySmall(name, database string) {
	s.t.Helper()
	root := filepath.Join(s.web.Root, name)
	s.must(os.MkdirAll(filepath.Join(root, "wp-includes"), 0o755))
	for file, text := range map[string]string{
		"wp-load.php": "<?php\n", "index.php": "<?php echo 'small';\n", "wp-includes/version.php": "<?php\n$wp_version = '6.8.1';\n",
		"wp-config.php": fmt.Sprintf("<?php\ndefine('DB_NAME', '%[1]s');\ndefine('DB_USER', '%[1]s');\ndefine('DB_PASSWORD', 'x');\ndefine('DB_HOST', '%[2]s');\n$table_prefix = 'wp_';\n",
			database, s.db.Addr),
	} {
		s.must(os.WriteFile(filepath.Join(root, file), []byte(text), 0o644))
	}
	s.must(bed.Vhost{Web: s.web, Name: name, Aliases: []string{"www." + name}, Docroot: root}.Write())
}
