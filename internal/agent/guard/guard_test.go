package guard_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// layout is a small machine: two places, one of them allowed.
type layout struct{ www, www2, secret string }

func newLayout(t *testing.T) layout {
	t.Helper()
	top := t.TempDir()
	l := layout{filepath.Join(top, "www"), filepath.Join(top, "www2"), filepath.Join(top, "secret")}
	for _, dir := range []string{l.www + "/site/web", l.www + "/deep/down", l.www2 + "/site", l.secret + "/site"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		l.www + "/out": l.secret, l.www + "/up": "../secret", l.www + "/within": "deep", l.www + "/alias": "site",
		l.www + "/site/leak": l.secret, l.www + "/loop": "loop",
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(l.www+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l layout) list() *guard.List {
	return guard.New([]string{l.www, l.www + "/deep"}, []string{"site_*", "exact"}, dbdump.IsSystemDatabase)
}

func ref(root, docroot string) model.SiteRef {
	return model.SiteRef{Name: "example.com", Kind: "generic", Root: root, Docroot: docroot}
}

func TestPathsOutsideAreRefused(t *testing.T) {
	l := newLayout(t)
	for name, path := range map[string]string{
		"empty":                  "",
		"relative":               "www/site",
		"root of all":            "/",
		"elsewhere":              "/etc",
		"the allowed itself":     l.www,
		"trailing slash":         l.www + "/",
		"dot":                    l.www + "/./site",
		"dot dot":                l.www + "/../secret/site",
		"dot dot at the end":     l.www + "/site/..",
		"double slash":           l.www + "//site",
		"same prefix":            l.www2 + "/site",
		"same prefix, no slash":  l.www + "2",
		"NUL":                    l.www + "/site\x00",
		"another's staging":      l.www + "/.sitekeep-T/site",
		"a staging directory":    l.www + "/.sitekeep-T",
		"link that leads out":    l.www + "/out/site",
		"relative link out":      l.www + "/up/site",
		"link out from the site": l.www + "/site/leak/site",
		"link to itself":         l.www + "/loop/site",
		"below a file":           l.www + "/file/site",
	} {
		t.Run(name, func(t *testing.T) {
			if err := reach(l.list(), ref(path, "")); !errs.Is(err, errs.Permission) || errs.HintOf(err) == "" {
				t.Errorf("root %q: error = %v (kind %v, hint %q)", path, err, errs.KindOf(err), errs.HintOf(err))
			}
			if _, err := l.list().Site(ref(l.www+"/site", path)); path != "" && !errs.Is(err, errs.Permission) {
				t.Errorf("docroot %q: error = %v", path, err)
			}
		})
	}
}

// reach does what services do: check, then open.
func reach(l *guard.List, r model.SiteRef) error {
	site, err := l.Site(r)
	if err != nil {
		return err
	}
	for _, open := range []func() (*os.Root, error){site.OpenParent, site.MakeParent, site.OpenRoot, site.OpenDocroot} {
		dir, err := open()
		if err != nil {
			return err
		}
		_ = dir.Close()
	}
	return nil
}

func TestPathsInsideAreOpened(t *testing.T) {
	l := newLayout(t)
	for _, path := range []string{"/site", "/site/web", "/deep", "/deep/down", "/within/down"} {
		if err := reach(l.list(), ref(l.www+path, "")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	site, err := l.list().Site(ref(l.www+"/site", ""))
	if err != nil {
		t.Fatal(err)
	}
	root, err := site.OpenRoot()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if f, err := root.Open("leak/site"); err == nil {
		_ = f.Close()
		t.Error("a link inside the site led out of it")
	}
}

// TestPrefixesAreComparedByComponent: os.Root would refuse such a path too, but it must not come so far.
func TestPrefixesAreComparedByComponent(t *testing.T) {
	l := newLayout(t)
	for _, path := range []string{l.www2 + "/site", l.www + "2"} {
		if _, err := l.list().Site(ref(path, "")); err == nil || !strings.Contains(err.Error(), "is not below a directory that is allowed") {
			t.Errorf("%s: error = %v", path, err)
		}
	}
}

// TestLinksThatComeLater: a directory that becomes a link between the check and the use leads nowhere.
func TestLinksThatComeLater(t *testing.T) {
	l := newLayout(t)
	list := guard.New([]string{l.www}, nil, dbdump.IsSystemDatabase)
	site, err := list.Site(ref(l.www+"/deep/down", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.MkdirAll(l.secret+"/deep/down", 0o755), os.Rename(l.www+"/deep", l.www+"/old"), os.Symlink(l.secret+"/deep", l.www+"/deep"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := list.Site(ref(l.www+"/deep/down", "")); !errs.Is(err, errs.Permission) {
		t.Errorf("a link at the time of the check: error = %v", err)
	}
	for name, open := range map[string]func() (*os.Root, error){
		"OpenParent": site.OpenParent, "MakeParent": site.MakeParent, "OpenRoot": site.OpenRoot, "OpenDocroot": site.OpenDocroot,
	} {
		if _, err := open(); !errs.Is(err, errs.Permission) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestRootThatIsALinkIsRefused(t *testing.T) {
	l := newLayout(t)
	site, err := l.list().Site(ref(l.www+"/alias", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.OpenRoot(); !errs.Is(err, errs.Precondition) {
		t.Errorf("a link as root: error = %v", err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	l := newLayout(t)
	site, err := l.list().Site(ref(l.www+"/a/b/c", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.OpenParent(); !errs.Is(err, errs.NotFound) {
		t.Errorf("missing parent: error = %v", err)
	}
	room, err := site.Room()
	if err != nil {
		t.Fatal(err)
	}
	_ = room.Close()
	parent, err := site.MakeParent()
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	if _, err := os.Stat(l.www + "/a/b"); err != nil {
		t.Error(err)
	}
	if _, err := site.OpenRoot(); !errs.Is(err, errs.NotFound) {
		t.Errorf("missing root: error = %v", err)
	}
	gone := guard.New([]string{l.www + "-gone"}, nil, dbdump.IsSystemDatabase)
	site, err = gone.Site(ref(l.www+"-gone/site", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.MakeParent(); !errs.Is(err, errs.NotFound) || !strings.Contains(errs.HintOf(err), "agent.yaml") {
		t.Errorf("missing allowed directory: error = %v, hint %q", err, errs.HintOf(err))
	}
}

func TestSiteNames(t *testing.T) {
	l := newLayout(t)
	for _, name := range []string{"", "../x", "a/b", "A.example"} {
		r := ref(l.www+"/site", "")
		r.Name = name
		if _, err := l.list().Site(r); !errs.Is(err, errs.Usage) {
			t.Errorf("site name %q: error = %v", name, err)
		}
	}
}

func TestDatabases(t *testing.T) {
	l := guard.New(nil, []string{"site_*", "exact"}, dbdump.IsSystemDatabase)
	for _, name := range []string{"site_1", "site_", "exact"} {
		if err := l.Database(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]errs.Kind{
		"": errs.Usage, strings.Repeat("x", 65): errs.Usage, "a\x00": errs.Usage,
		"site": errs.Permission, "Exact": errs.Permission, "exact2": errs.Permission, "xsite_1": errs.Permission,
	} {
		if err := l.Database(name); !errs.Is(err, want) {
			t.Errorf("database %q: error = %v, want kind %v", name, err, want)
		}
	}
	all := guard.New(nil, []string{"*"}, dbdump.IsSystemDatabase)
	for _, name := range []string{"mysql", "MySQL", "information_schema", "performance_schema", "sys", "SYS"} {
		if err := all.Database(name); !errs.Is(err, errs.Permission) {
			t.Errorf("system database %s: error = %v", name, err)
		}
	}
	if err := l.Database("other"); !strings.Contains(errs.HintOf(err), "agent.yaml") {
		t.Errorf("hint = %q", errs.HintOf(err))
	}
}

func TestTaskTokens(t *testing.T) {
	for _, task := range []string{"01JD", "a-b_C", strings.Repeat("x", 64)} {
		if err := guard.CheckTask(task); err != nil {
			t.Error(err)
		}
	}
	for _, task := range []string{"", "a/b", "..", "a.b", "a b", "ä", strings.Repeat("x", 65), "a\n"} {
		if err := guard.CheckTask(task); !errs.Is(err, errs.Usage) {
			t.Errorf("task %q: error = %v", task, err)
		}
	}
}
