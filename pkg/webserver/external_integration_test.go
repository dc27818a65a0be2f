//go:build integration

package webserver

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRealExternalVhost(t *testing.T) {
	edit := func(c *Config) { c.MaintenanceAllow = []string{"192.0.2.1"} }
	eachReal(t, edit, func(t *testing.T, b *bed) {
		b.write(t, "site/style.css", "body {}")
		b.writeExternal(t, "")
		if _, err := b.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		served := func(r ProbeResult) bool { return r.Status == 200 }
		if _, err := b.WaitProbe(t.Context(), ProbeRequest{Name: "example.com", Path: "/style.css"}, served); err != nil {
			t.Fatal(err)
		}
		r, err := b.BeginExternalMaintenance(t.Context(), "example.com", "task", time.Minute)
		if err != nil || r.Ensured || !strings.Contains(r.Reason, b.IncludeLine("example.com")) {
			t.Fatalf("without the line: %+v, %v", r, err)
		}
		status, _, _ := b.visit(t, "GET", "/style.css", nil)
		for deadline := time.Now().Add(15 * time.Second); status == 421 && time.Now().Before(deadline); { // of a worker from before the reload
			status, _, _ = b.visit(t, "GET", "/style.css", nil)
		}
		if status != 200 {
			t.Errorf("without the line it answers %d", status)
		}
		b.writeExternal(t, b.IncludeLine("example.com"))
		if _, err := b.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(15 * time.Second); !r.Ensured && time.Now().Before(deadline); {
			if r, err = b.BeginExternalMaintenance(t.Context(), "example.com", "task", time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if !r.Ensured {
			t.Fatalf("with the line: %+v", r)
		}
		if status, header, _ := b.visit(t, "GET", "/style.css", nil); status != 503 || header.Get("Retry-After") != "60" {
			t.Errorf("in maintenance: %d %v", status, header)
		}
		if r := b.get(t, ProbeRequest{Name: "example.com", Path: "/style.css"}); r.Status != 200 {
			t.Errorf("the probe does not pass: %d", r.Status)
		}
		if ended, err := b.EndMaintenance(t.Context(), "example.com", "task"); err != nil || !ended {
			t.Fatal(ended, err)
		}
		if status, _, _ := b.visit(t, "GET", "/style.css", nil); status != 200 {
			t.Errorf("after maintenance: %d", status)
		}
	})
}

// writeExternal writes a virtual host as an operator would, in a file of
// another name.
func (b *bed) writeExternal(t *testing.T, line string) {
	t.Helper()
	root := filepath.Join(b.dir, "site")
	text := fmt.Sprintf("server {\n%s\nlisten %s; listen %s;\nserver_name example.com;\nroot %s;\n}\n", line, b.listen[0], b.listen[1], root)
	if b.cfg.Kind == "apache" {
		text = fmt.Sprintf("<VirtualHost %s>\n%s\nServerName example.com\nDocumentRoot %[3]s\n<Directory %[3]s>\nRequire all granted\n</Directory>\n</VirtualHost>\n",
			strings.Join(b.listen, " "), line, root)
	}
	b.write(t, "vhosts/operator.conf", text)
}
