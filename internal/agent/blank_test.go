package agent_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const canary = "C4nary-In-No-Tarball"

// blank reads the site's tree with blanked credentials and returns the bytes of every file in it, one after the other.
func (r *rig) blank(site *agentv1.SiteRef, salvage bool) (content string, got received, err error) {
	r.t.Helper()
	got, err = r.read(&agentv1.ReadTreeHeader{Site: site, Format: "tar.zst", BlankCredentials: true, Salvage: salvage, NoDump: true})
	if err != nil {
		return "", got, err
	}
	tarball := r.assemble(archive.TarZstd, got, nil)
	var all bytes.Buffer
	for e, err := range tarball.Entries() {
		if err != nil {
			r.t.Fatal(err)
		}
		if e.Type != archive.TypeRegular {
			continue
		}
		f, err := tarball.OpenEntry(r.ctx(), e)
		if err == nil {
			_, err = io.Copy(&all, f)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return all.String(), got, nil
}

// TestBlankedCredentials: the password is in no byte that is sent, and the live settings stay.
func TestBlankedCredentials(t *testing.T) {
	r := newRig(t)
	wordpress := "<?php\ndefine('DB_NAME', 'd');\ndefine('DB_USER', 'u');\ndefine('DB_PASSWORD', '" + canary + "');\ndefine('DB_HOST', 'h');\n$table_prefix = 'wp_';\n"
	drush := "<?php\n$options['db_type'] = 'mysql';\n$options['db_host'] = 'h';\n$options['db_port'] = '3306';\n" +
		"$options['db_passwd'] = '" + canary + "';\n$options['db_name'] = 'd';\n$options['db_user'] = 'u';\n"
	for what, c := range map[string]struct {
		kind    string
		files   map[string]string
		salvage bool
		blanked string // paths, by commas
		warns   string
		fails   bool
	}{
		"wordpress":           {kind: "wordpress", files: map[string]string{"wp-config.php": wordpress}, blanked: "wp-config.php"},
		"drupal":              {kind: "drupal", files: map[string]string{"settings.php": strings.Replace(plainDrupal, "'p'", "'"+canary+"'", 1)}, blanked: "settings.php"},
		"Aegir's drushrc.php": {kind: "drupal", files: map[string]string{"settings.php": cloaked, "drushrc.php": drush}, blanked: "drushrc.php"},
		"cloaked":             {kind: "drupal", files: map[string]string{"settings.php": cloaked}},
		"no settings":         {kind: "generic", files: map[string]string{"index.html": "x"}, warns: "keeps no settings that are known"},
		"a second copy":       {kind: "wordpress", files: map[string]string{"wp-config.php": wordpress + "// " + canary + "\n"}, fails: true},
		"broken":              {kind: "wordpress", files: map[string]string{"wp-config.php": wordpress + "define('"}, fails: true},
		"a second copy, broken site": {kind: "wordpress", files: map[string]string{"wp-config.php": wordpress + "// " + canary + "\n"}, salvage: true,
			blanked: "wp-config.php", warns: "stored empty"},
		"broken, broken site": {kind: "wordpress", files: map[string]string{"wp-config.php": wordpress + "define('"}, salvage: true,
			blanked: "wp-config.php", warns: "stored empty"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := r.www + "/" + strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(what)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				if err := os.WriteFile(dir+"/"+name, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			content, got, err := r.blank(&agentv1.SiteRef{Name: "example.com", Kind: c.kind, Root: dir}, c.salvage)
			if c.fails {
				if !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" || strings.Contains(err.Error(), canary) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if err != nil || strings.Contains(content, canary) {
				t.Fatalf("%v, sent:\n%s", err, content)
			}
			var warnings []string
			for _, w := range got.warnings {
				warnings = append(warnings, w.Detail)
			}
			if said := strings.Join(warnings, "; "); (said == "") != (c.warns == "") || !strings.Contains(said, c.warns) || strings.Contains(said, canary) || got.summary.Warnings != int64(len(warnings)) {
				t.Errorf("warnings %q, counted %d", said, got.summary.Warnings)
			}
			if got.start == nil || !got.start.GetBlanksCredentials() || string(bytes.Join(got.start.GetBlanked(), []byte(","))) != c.blanked {
				t.Errorf("it began with %v", got.start)
			}
			for name, text := range c.files {
				if now, err := os.ReadFile(dir + "/" + name); err != nil || string(now) != text {
					t.Errorf("the live %s has changed: %v", name, err)
				}
			}
		})
	}
}
