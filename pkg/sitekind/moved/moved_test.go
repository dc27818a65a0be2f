package moved

import (
	"fmt"
	"strings"
	"testing"
)

func str(text string) string { return fmt.Sprintf(`s:%d:"%s";`, len(text), text) }

func example() Move {
	return Move{
		Names: []Pair{{"old.example", "new.old.example"}, {"www.old.example", "www.new.old.example"}},
		Paths: []Pair{{"/srv/old", "/srv/old/new"}, {"/srv/old/web", "/srv/w"}},
	}
}

func TestRewrite(t *testing.T) {
	for before, want := range map[string]string{
		// Names.
		"http://old.example": "http://new.old.example",
		"see https://old.example/a?b=1 and //old.example.": "see https://new.old.example/a?b=1 and //new.old.example.",
		"HTTP://Old.Example:8080/x":                        "HTTP://new.old.example:8080/x",
		"http://www.old.example/":                          "http://www.new.old.example/",
		`{"u":"https:\/\/old.example\/a"}`:                 `{"u":"https:\/\/new.old.example\/a"}`,
		"u=http%3A%2F%2Fold.example%2Fa":                   "u=http%3A%2F%2Fnew.old.example%2Fa",
		"old.example":                                      "new.old.example",
		".old.example":                                     ".new.old.example",
		str("old.example"):                                 str("new.old.example"),
		`a:1:{i:0;` + str("http://old.example/ü") + `}`:    `a:1:{i:0;` + str("http://new.old.example/ü") + `}`,
		`href="//old.example"`:                             `href="//new.old.example"`,
		"(http://old.example)":                             "(http://new.old.example)",
		// Other names.
		"http://sub.old.example/":          "http://sub.old.example/",
		"http://old.example.org/":          "http://old.example.org/",
		"http://old.examples/":             "http://old.examples/",
		"http://old.example-a.org/":        "http://old.example-a.org/",
		"http://old.example_a":             "http://old.example_a",
		"http://old.exampleé":              "http://old.exampleé",
		"http://old.example.é/":            "http://old.example.é/",
		"http://my-old.example/":           "http://my-old.example/",
		"mail me@old.example":              "mail me@old.example",
		"a word old.example in a text":     "a word old.example in a text",
		"http://other.example/old.example": "http://other.example/old.example",
		"http://oldxexample/":              "http://oldxexample/",
		// Directories.
		"/srv/old":                   "/srv/old/new",
		"/srv/old/files/a.png":       "/srv/old/new/files/a.png",
		"/srv/old/web/index.php":     "/srv/w/index.php",
		"/srv/old/webs":              "/srv/old/new/webs",
		"in '/srv/old'.":             "in '/srv/old/new'.",
		"file:///srv/old/a":          "file:///srv/old/new/a",
		`{"p":"\/srv\/old\/a"}`:      `{"p":"\/srv\/old\/new\/a"}`,
		str("/srv/old/x"):            str("/srv/old/new/x"),
		"PATH=/bin:/srv/old:/x":      "PATH=/bin:/srv/old/new:/x",
		"/srv/older":                 "/srv/older",
		"/srv/old.bak":               "/srv/old.bak",
		"/backup/srv/old":            "/backup/srv/old",
		"../srv/old":                 "../srv/old",
		`\/backup\/srv\/old`:         `\/backup\/srv\/old`,
		"http://old.example/srv/old": "http://new.old.example/srv/old",
		// What must not be broken.
		`s:5:"http://old.example";`:         `s:5:"http://old.example";`,
		"user|" + str("http://old.example"): "user|" + str("http://old.example"),
		"":                                  "",
	} {
		got, changed := example().Rewriter().Rewrite(before)
		if got != want || changed != (before != want) {
			t.Errorf("%q\ngot  %q, %v\nwant %q", before, got, changed, want)
		}
	}
}

// TestNamesAreReplacedOnce is for names of which one holds the other.
func TestNamesAreReplacedOnce(t *testing.T) {
	for _, p := range []Pair{{"a.example", "b.a.example"}, {"a.example", "a.example.org"}, {"b.a.example", "a.example"}, {"a.example", "www.a.example"}} {
		r := Move{Names: []Pair{p}}.Rewriter()
		once, _ := r.Rewrite("see http://" + p.Old + "/ and " + `\/\/` + p.Old)
		if want := "see http://" + p.New + "/ and " + `\/\/` + p.New; once != want {
			t.Errorf("%v: %q", p, once)
		}
		if twice, changed := r.Rewrite(once); changed {
			t.Errorf("%v: a second time made %q of %q", p, twice, once)
		}
	}
}

// TestAgain is for directories of which one holds the other.
func TestAgain(t *testing.T) {
	for _, p := range []Pair{{"/srv/a", "/srv/a/b"}, {"/srv/a/b", "/srv/a"}, {"/srv/a", "/srv/ab"}} {
		m := Move{Paths: []Pair{p}, Again: true}
		once, _ := m.Rewriter().Rewrite("in " + p.Old + "/x and " + escaped(p.Old))
		if want := "in " + p.New + "/x and " + escaped(p.New); once != want {
			t.Errorf("%v: %q", p, once)
		}
		if twice, changed := m.Rewriter().Rewrite(once); changed {
			t.Errorf("%v: a second time made %q of %q", p, twice, once)
		}
	}
}

// TestRelative is for sites of one code base, as Drupal's.
func TestRelative(t *testing.T) {
	m := Move{Names: []Pair{{"old.example", "new.example"}}, Paths: []Pair{{"/srv/p/sites/old.example", "/srv/p/sites/new.example"}},
		Relative: []Pair{{"sites/old.example", "sites/new.example"}}}
	for before, want := range map[string]string{
		"sites/old.example/files":                            "sites/new.example/files",
		`<img src="/sites/old.example/files/a.png">`:         `<img src="/sites/new.example/files/a.png">`,
		"http://old.example/sites/old.example/files":         "http://new.example/sites/new.example/files",
		"/srv/p/sites/old.example/private":                   "/srv/p/sites/new.example/private",
		`"\/sites\/old.example\/files"`:                      `"\/sites\/new.example\/files"`,
		`a:1:{i:0;` + str("sites/old.example/files") + `}`:   `a:1:{i:0;` + str("sites/new.example/files") + `}`,
		"sites/old.example.org/files websites/old.example/x": "sites/old.example.org/files websites/old.example/x",
		"sites/sub.old.example/files":                        "sites/sub.old.example/files",
	} {
		if got, _ := m.Rewriter().Rewrite(before); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", before, got, want)
		}
	}
}

func TestNothingMoved(t *testing.T) {
	m := Move{Names: []Pair{{"a.example", "a.example"}, {"", "b"}}, Paths: []Pair{{"/a", ""}}}
	if !m.IsZero() || example().IsZero() {
		t.Error("what has moved is not told from what has not")
	}
	if got, changed := m.Rewriter().Rewrite("http://a.example/a"); changed {
		t.Errorf("it made %q", got)
	}
}

// TestNeedles: whatever is rewritten holds one.
func TestNeedles(t *testing.T) {
	m := example()
	if got := fmt.Sprint(m.Needles()); got != "[old old.example web www.old.example]" {
		t.Errorf("needles: %s", got)
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"http://old.example", str("http://old.example/ü"), `\/srv\/old\/`, "//OLD.EXAMPLE", str(str("/srv/old"))} {
		f.Add(s)
	}
	m := example()
	r := m.Rewriter()
	f.Fuzz(func(t *testing.T, value string) {
		got, changed := r.Rewrite(value)
		if changed != (got != value) {
			t.Fatalf("%q became %q: changed %v", value, got, changed)
		}
		if !changed {
			return
		}
		for _, needle := range m.Needles() {
			if strings.Contains(strings.ToLower(value), needle) {
				return
			}
		}
		t.Fatalf("%q was rewritten and has no needle", value)
	})
}
