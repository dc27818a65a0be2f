package webconf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// lay writes files below a directory of the test; DIR in them stands for it.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		text = strings.ReplaceAll(text, "DIR", dir)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// summary writes virtual hosts as "name alias=docroot" in a line each.
func summary(dir string, r Result) string {
	var lines []string
	for _, v := range r.Vhosts {
		line := strings.Join(v.Names, " ") + "=" + v.Docroot
		for _, e := range v.Env {
			line += " " + e.Name + ":" + e.Value
		}
		lines = append(lines, strings.ReplaceAll(line, dir, "DIR"))
	}
	return strings.Join(lines, "\n")
}

func judge(t *testing.T, dir string, r Result, want, warnings []string) {
	t.Helper()
	if got := summary(dir, r); got != strings.Join(want, "\n") {
		t.Errorf("read\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for _, w := range warnings {
		if !slices.ContainsFunc(r.Warnings, func(have string) bool { return strings.Contains(strings.ReplaceAll(have, dir, "DIR"), w) }) {
			t.Errorf("no warning says %q: %q", w, r.Warnings)
		}
	}
	if len(warnings) != len(r.Warnings) {
		t.Errorf("%d warnings, want %d: %q", len(r.Warnings), len(warnings), r.Warnings)
	}
}

func TestNginx(t *testing.T) {
	tests := []struct {
		name           string
		conf           string
		want, warnings []string
	}{
		{"plain", `http { server { listen 80; server_name a.example www.a.example; root /w/a; } }`, []string{"a.example www.a.example=/w/a"}, nil},
		{"quotes and comments", "http { # } server {\n server { server_name \"a.example\" 'b.example'; root \"/w/with space\";#x\n} }", []string{"a.example b.example=/w/with space"}, nil},
		{"escapes", `http { server { server_name a.example; root /w/a\ b; } server { server_name b.example; root "/w/\"q\""; } }`,
			[]string{`a.example=/w/a\ b`, `b.example=/w/"q"`}, nil},
		{"several server_name", `http { server { server_name a.example; server_name b.example A.Example; root /w; } }`, []string{"a.example b.example=/w"}, nil},
		{"inherited root", `http { root /w/all; server { server_name a.example; } server { server_name b.example; root /w/b; } }`, []string{"a.example=/w/all", "b.example=/w/b"}, nil},
		{"root of location /", `http { server { server_name a.example; location / { root /w/a; } location /x { root /w/x; } } }`, []string{"a.example=/w/a"}, nil},
		{"root before location", `http { server { server_name a.example; location / { root /w/x; } root /w/a; } }`, []string{"a.example=/w/a"}, nil},
		{"names of none", `http { server { listen [::]:80 default_server; server_name _ "" localhost 192.0.2.1 [2001:db8::1]; root /w; } }`, []string{"=/w"}, nil},
		{"patterns", `http { server { server_name *.a.example ~^(.+)\.b\.example$ .c.example mail.*; root /w; } }`, []string{"c.example=/w"},
			[]string{"the name *.a.example stands for many hosts", "a name is a regular expression", "the name .c.example stands for all its subdomains", "the name mail.* stands"}},
		{"redirect", `http { root /w; server { server_name a.example; return 301 https://b.example$request_uri; } }`, []string{"a.example="}, nil},
		{"return under a condition", `http { server { server_name a.example; root /w; if ($x) { return 403; } } }`, []string{"a.example=/w"}, nil},
		{"proxy", `http { server { server_name a.example; location / { proxy_pass http://x; } } }`, []string{"a.example="}, nil},
		{"variables", `http { server { server_name a.example; set $base /w; root $base/${server_name}/web; } }`, []string{"a.example=/w/a.example/web"}, nil},
		{"host of one name", `http { server { server_name a.example; root /w/$host; } }`, []string{"a.example=/w/a.example"}, nil},
		{"host of two names", `http { server { server_name a.example b.example; root /w/$host; } }`, []string{"a.example b.example="}, []string{"variable that is not known"}},
		{"variable of the request", `http { server { server_name a.example; set $x $uri; root /w/$x; } }`, []string{"a.example="}, []string{"variable that is not known"}},
		{"relative root", `http { server { server_name a.example; root html; } }`, []string{"a.example="}, []string{"is relative to where"}},
		{"lua", `http { init_by_lua_block { local a = "}" -- { it
			if a then b = { 1 } end } server { server_name a.example; root /w; } }`, []string{"a.example=/w"}, nil},
		{"environment", `http { geo $d { default "$"; } server { server_name a.example; root /w; location ~ \.php$ { fastcgi_param db_name x; fastcgi_param U $uri; fastcgi_param P "a${d}b\"c d"; fastcgi_param db_name y; } } }`,
			[]string{`a.example=/w db_name:y P:a$b"c d`}, nil},
		{"not closed", `http { server { server_name a.example; root /w; } server { server_name b.example; root /b; `, []string{"a.example=/w", "b.example=/b"}, []string{"the file ends within"}},
		{"quote not closed", `http { server { server_name a.example; root /w; } server { server_name "b.example; } }`, []string{"a.example=/w", "="}, []string{"a quoted string does not end"}},
		{"a brace too many", `http { server { server_name a.example; root /w; } } } http { server { server_name b.example; root /w; } }`, []string{"a.example=/w"}, []string{"closes nothing"}},
		{"stream is no http", `stream { server { listen 1; } } http { server { server_name a.example; root /w; } }`, []string{"a.example=/w"}, nil},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			dir := lay(t, map[string]string{"nginx.conf": c.conf})
			judge(t, dir, Nginx(dir+"/nginx.conf"), c.want, c.warnings)
		})
	}
}

func TestNginxIncludes(t *testing.T) {
	dir := lay(t, map[string]string{
		"nginx.conf":    "include modules/*.conf;\nhttp { include conf.d/*.conf; include DIR/sites/*; include gone.conf; include none/*.conf; }",
		"conf.d/a.conf": "server { server_name a.example; include snippets/root.conf; }", "snippets/root.conf": "root /w/a;",
		"sites/b": "server { server_name b.example; root /w/b; }", "sites/c": "server { server_name c.example; root /w/c;",
		"loop.conf": "include loop.conf;",
	})
	if err := errors.Join(os.Symlink("b", dir+"/sites/z-link"), syscall.Mkfifo(dir+"/sites/pipe", 0o644)); err != nil {
		t.Fatal(err)
	}
	judge(t, dir, Nginx(dir+"/nginx.conf"), []string{"a.example=/w/a", "b.example=/w/b", "c.example=/w/c", "b.example=/w/b"},
		[]string{"gone.conf: it cannot be read: no such file", "sites/pipe: it cannot be read: it is not a regular file", "sites/c:1: the file ends within"})
	loop := Nginx(dir + "/loop.conf")
	if len(loop.Warnings) != 1 || !strings.Contains(loop.Warnings[0], "too deeply") {
		t.Errorf("a file that includes itself: %q", loop.Warnings)
	}
	if gone := Nginx(dir + "/nowhere"); len(gone.Warnings) != 1 || !strings.Contains(gone.Warnings[0], "cannot be read") {
		t.Errorf("no main file: %q", gone.Warnings)
	}
}

func TestApache(t *testing.T) {
	tests := []struct {
		name           string
		conf           string
		want, warnings []string
	}{
		{"plain", "<VirtualHost *:80>\nServerName a.example\nServerAlias www.a.example b.example\nDocumentRoot /w/a\n</VirtualHost>", []string{"a.example www.a.example b.example=/w/a"}, nil},
		{"case, quotes, continuation", "<virtualhost *:80 [::]:80>\n  SERVERNAME \"A.example\"\n serveralias one.example \\\n   two.example\nDocumentRoot '/w/a b'\n</VirtualHost>",
			[]string{"a.example one.example two.example=/w/a b"}, nil},
		{"alias before name", "<VirtualHost *>\nServerAlias b.example\nServerName https://a.example:8443\nDocumentRoot /w\n</VirtualHost>", []string{"a.example b.example=/w"}, nil},
		{"inherited root", "<VirtualHost *>\nServerName a.example\n</VirtualHost>\nDocumentRoot /w/main\n", []string{"a.example=/w/main"}, nil},
		{"main server alone", "ServerName a.example\nDocumentRoot /w\n", []string{"a.example=/w"}, nil},
		{"no name", "<VirtualHost *>\nDocumentRoot /w\n</VirtualHost>", []string{"=/w"}, nil},
		{"wildcards", "<VirtualHost *>\nServerName a.example\nServerAlias *.a.example\nDocumentRoot /w\n</VirtualHost>", []string{"a.example=/w"}, []string{"the name *.a.example stands for many"}},
		{"defines", "Define base /w\nDefine name a\n<VirtualHost *>\nServerName ${name}.example\nDocumentRoot ${base}/${name}\n</VirtualHost>", []string{"a.example=/w/a"}, nil},
		{"not defined", "<VirtualHost *>\nServerName a.example\nDocumentRoot ${gone}/a\n</VirtualHost>", []string{"a.example="}, []string{"variable that is not known"}},
		{"envvars", "<VirtualHost *>\nServerName a.example\nDocumentRoot ${WWW}/a\n</VirtualHost>", []string{"a.example=/srv/www/a"}, nil},
		{"conditions", "<IfModule mod_ssl.c>\n<VirtualHost *:443>\nServerName a.example\nDocumentRoot /w\n</VirtualHost>\n</IfModule>\n" +
			"<IfModule !mod_ssl.c>\n<VirtualHost *>\nServerName no.example\n</VirtualHost>\n</IfModule>\n" +
			"<IfDefine X>\n<VirtualHost *>\nServerName no.example\n</VirtualHost>\n</IfDefine>\n<IfDefine !X>\n<VirtualHost *>\nServerName b.example\nDocumentRoot /b\n</VirtualHost>\n</IfDefine>",
			[]string{"a.example=/w", "b.example=/b"}, nil},
		{"redirect", "<VirtualHost *>\nServerName a.example\nDocumentRoot /w\nRedirect permanent / https://a.example/\n</VirtualHost>", []string{"a.example="}, nil},
		{"redirect of a part", "<VirtualHost *>\nServerName a.example\nDocumentRoot /w\nRedirect /old /new\n</VirtualHost>", []string{"a.example=/w"}, nil},
		{"environment", "Define d $\n<VirtualHost *>\nServerName a.example\nDocumentRoot /w\n<Directory /w>\nSetEnv db_name x\n</Directory>\nSetEnv P \"a\\\"b ${d}{c\"\n</VirtualHost>",
			[]string{`a.example=/w db_name:x P:a"b ${c`}, nil},
		{"comments", "# <VirtualHost *>\n#ServerName no.example\n<VirtualHost *>\nServerName a.example\n# DocumentRoot /no \\\nDocumentRoot /no\nDocumentRoot /w\n</VirtualHost>", []string{"a.example=/w"}, nil},
		{"relative root", "ServerRoot /etc/x\n<VirtualHost *>\nServerName a.example\nDocumentRoot htdocs\n</VirtualHost>", []string{"a.example=/etc/x/htdocs"}, nil},
		{"macro", "<Macro VHost $name>\n<VirtualHost *>\nServerName $name\n</VirtualHost>\n</Macro>\nUse VHost a.example\n", []string{"="}, []string{"conf:1: a macro is not", "conf:6: a macro is not"}},
		{"many hosts", "<VirtualHost *>\nServerName a.example\nVirtualDocumentRoot /w/%0\n</VirtualHost>", []string{"a.example="}, []string{"pattern of directories"}},
		{"not closed", "<VirtualHost *>\nServerName a.example\nDocumentRoot /w\n", []string{"a.example=/w"}, []string{"<virtualhost> is not closed"}},
		{"closed wrongly", "<VirtualHost *>\n<Directory /w>\nServerName a.example\nDocumentRoot /w\n</VirtualHost>\n</Directory>\n", []string{"a.example=/w"}, nil},
		{"closes nothing", "</VirtualHost>\n<VirtualHost *>\nServerName a.example\n</VirtualHost>\n", []string{"a.example="}, nil},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			dir := lay(t, map[string]string{"conf": c.conf, "envvars": "SUFFIX=\nexport WWW=/srv/www$SUFFIX\nexport X=$(date)\n"})
			judge(t, dir, Apache(dir+"/conf"), c.want, c.warnings)
		})
	}
}

func TestApacheIncludes(t *testing.T) {
	dir := lay(t, map[string]string{
		"conf":                 "IncludeOptional sites-enabled/*.conf\nInclude dir\nIncludeOptional gone.conf\nInclude missing.conf\n<VirtualHost *>\nServerName m.example\nInclude root.inc\n</VirtualHost>\n",
		"sites-enabled/a.conf": "<VirtualHost *>\nServerName a.example\nDocumentRoot /w/a\n</VirtualHost>\n",
		"dir/deep/b":           "<VirtualHost *>\nServerName b.example\nDocumentRoot /w/b\n", "dir/c": "<VirtualHost *>\nServerName c.example\nDocumentRoot /w/c\n</VirtualHost>",
		"root.inc": "DocumentRoot /w/m\n", "loop": "Include loop\n",
	})
	judge(t, dir, Apache(dir+"/conf"), []string{"m.example=/w/m", "c.example=/w/c", "b.example=/w/b", "a.example=/w/a"},
		[]string{"missing.conf: it cannot be read", "deep/b: <virtualhost> is not closed"})
	if loop := Apache(dir + "/loop"); len(loop.Warnings) != 1 || !strings.Contains(loop.Warnings[0], "too deeply") {
		t.Errorf("a file that includes itself: %q", loop.Warnings)
	}
}

// TestWarningsHoldNoValues: whatever file an include leads to, nothing of it is told.
func TestWarningsHoldNoValues(t *testing.T) {
	const secret = "s3cr3t"
	dir := lay(t, map[string]string{"shadow": "root:" + secret + ":1:\n\"" + secret + "\n", "nginx.conf": "include shadow;", "apache.conf": "Include shadow\n"})
	for _, r := range []Result{Nginx(dir + "/nginx.conf"), Apache(dir + "/apache.conf")} {
		if text := fmt.Sprintf("%v %+v %#v", r, r.Vhosts, r.Warnings); strings.Contains(text, secret) {
			t.Errorf("it is told: %s", text)
		}
	}
	v := EnvVar{"P", secret}
	if text := fmt.Sprintf("%v %+v %#v %s", v, []EnvVar{v}, v, v); strings.Contains(text, secret) {
		t.Errorf("printed: %s", text)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var conf strings.Builder
	for i := range 2 * maxWarning {
		fmt.Fprintf(&conf, "include %d.conf;\n", i)
	}
	dir := lay(t, map[string]string{"nginx.conf": conf.String()})
	if r := Nginx(dir + "/nginx.conf"); len(r.Warnings) != maxWarning+1 {
		t.Errorf("%d warnings", len(r.Warnings))
	}
}

func FuzzNginx(f *testing.F) {
	f.Add("http { server { server_name a.example; root \"/w\"; location / { fastcgi_param A $b; } } }")
	f.Add("a_by_lua_block { } ; } { \"\\")
	f.Fuzz(func(t *testing.T, conf string) { calm(t, "conf", conf, Nginx) })
}

func FuzzApache(f *testing.F) {
	f.Add("<VirtualHost *>\nServerName a.example\nDocumentRoot /w\n</VirtualHost>\n")
	f.Add("</X>\n<IfDefine !>\nInclude \\\n\"")
	f.Fuzz(func(t *testing.T, conf string) { calm(t, "conf", conf, Apache) })
}

// calm reads any file, and every docroot is absolute and every name that of a host.
func calm(t *testing.T, name, conf string, read func(string) Result) {
	if strings.Contains(conf, "nclude") || strings.Contains(conf, "NCLUDE") {
		return // of this machine's files
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, v := range read(filepath.Join(dir, name)).Vhosts {
		if v.Docroot != "" && !filepath.IsAbs(v.Docroot) || slices.ContainsFunc(v.Names, func(n string) bool { return n == "" || strings.ContainsAny(n, "*~$") }) {
			t.Errorf("%q, %q", v.Docroot, v.Names)
		}
	}
}
