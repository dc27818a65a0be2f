package phpserial

import (
	"fmt"
	"strings"
	"testing"
)

func str(text string) string { return fmt.Sprintf(`s:%d:"%s";`, len(text), text) }

func rewriter() *Rewriter {
	return New("https://old.example", "https://much-newer.example", "old.example", "much-newer.example", "/var/www/old", "/srv/n")
}

// values are values before and after. PHP confirms that the ones that are
// serialised can be read, in the integration test.
var values = []struct{ name, before, after string }{
	{"plain", "see https://old.example/x, old.example", "see https://much-newer.example/x, much-newer.example"},
	{"nothing to do", str("kept"), str("kept")},
	{"string", str("https://old.example"), str("https://much-newer.example")},
	{"bytes, not letters", str("ü https://old.example €"), str("ü https://much-newer.example €")},
	{"quotes and semicolons", str(`";s:3:"old.example";}`), str(`";s:3:"old.example";}`)},
	{"array", `a:2:{s:3:"url";` + str("//old.example/") + `i:1;` + str("/var/www/old/f") + `}`,
		`a:2:{s:3:"url";` + str("//much-newer.example/") + `i:1;` + str("/srv/n/f") + `}`},
	{"keys are kept", `a:1:{s:11:"old.example";` + str("old.example") + `}`, `a:1:{s:11:"old.example";` + str("much-newer.example") + `}`},
	{"all types", `a:7:{i:0;N;i:1;b:1;i:2;i:-7;i:3;d:1.5E-7;i:4;` + str("old.example") + `i:5;R:2;i:6;a:0:{}}`,
		`a:7:{i:0;N;i:1;b:1;i:2;i:-7;i:3;d:1.5E-7;i:4;` + str("much-newer.example") + `i:5;R:2;i:6;a:0:{}}`},
	{"object", `O:8:"stdClass":1:{s:1:"u";` + str("old.example") + `}`, `O:8:"stdClass":1:{s:1:"u";` + str("much-newer.example") + `}`},
	{"serialised in a string", `a:1:{i:0;` + str(`a:1:{i:0;`+str("old.example")+`}`) + `}`, `a:1:{i:0;` + str(`a:1:{i:0;`+str("much-newer.example")+`}`) + `}`},
	{"twice", str(str(str("old.example"))), str(str(str("much-newer.example")))},
	{"JSON", `{"u":"https:\/\/old.example\/a","p":"\/var\/www\/old"}`, `{"u":"https:\/\/much-newer.example\/a","p":"\/srv\/n"}`},
	{"JSON in a string", str(`["https:\/\/old.example"]`), str(`["https:\/\/much-newer.example"]`)},

	{"cut", `a:2:{i:0;` + str("old.example"), `a:2:{i:0;` + str("old.example")},
	{"wrong length", `s:5:"old.example";`, `s:5:"old.example";`},
	{"wrong count", `a:2:{i:0;` + str("old.example") + `}`, `a:2:{i:0;` + str("old.example") + `}`},
	{"something after", str("old.example") + "x;", str("old.example") + "x;"},
	{"a class's own form", `C:1:"A":11:{old.example}`, `C:1:"A":11:{old.example}`},
	{"a session", "user|" + str("old.example"), "user|" + str("old.example")},
	{"serialised in JSON", `{"a":"s:11:\"old.example\";"}`, `{"a":"s:11:\"old.example\";"}`},
	{"huge length", `s:99999999999999999999:"old.example";`, `s:99999999999999999999:"old.example";`},
	{"deep", strings.Repeat("a:1:{i:0;", 5000) + str("old.example") + strings.Repeat("}", 5000),
		strings.Repeat("a:1:{i:0;", 5000) + str("old.example") + strings.Repeat("}", 5000)},
}

func TestRewrite(t *testing.T) {
	for _, c := range values {
		got, changed := rewriter().Rewrite(c.before)
		if got != c.after || changed != (c.before != c.after) {
			t.Errorf("%s: %.200s\ngot  %.200s, %v\nwant %.200s", c.name, c.before, got, changed, c.after)
		}
	}
}

func TestSameLengthReachesPieces(t *testing.T) {
	r := New("old", "new", "", "ignored")
	for before, want := range map[string]string{
		"user|" + str("old"):       "user|" + str("new"),
		`{"a":"s:3:\"old\";"}`:     `{"a":"s:3:\"new\";"}`,
		"a text that is no " + "s": "a text that is no s",
	} {
		if got, _ := r.Rewrite(before); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzRewriteThereAndBack(f *testing.F) {
	for _, c := range values {
		f.Add(c.before)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got, changed := New("old.example", "old.example").Rewrite(value); got != value || changed {
			t.Fatalf("replacing a text by itself made %q of %q", got, value)
		}
		if strings.Contains(value, "\x01new\x01") || strings.Contains(value, "\x01") {
			return
		}
		there, changed := New("old.example", "\x01new\x01").Rewrite(value)
		if !changed {
			return
		}
		if back, _ := New("\x01new\x01", "old.example").Rewrite(there); back != value {
			t.Fatalf("%q became %q and then %q", value, there, back)
		}
	})
}
