package generic

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

func lay(t *testing.T, files map[string]string) sitekind.Place {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return sitekind.Place{Root: root}
}

func TestSiteThatDescribesNoSettings(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no file": {}, "empty": {mappingFile: ""}, "comment": {mappingFile: "# nothing\n"}, "empty section": {mappingFile: "settings:\n"},
	} {
		p := lay(t, files)
		_, readErr := New().ReadSettings(t.Context(), p)
		writeErr := New().WriteSettings(t.Context(), p, sitekind.Settings{Name: "a"})
		rules, rulesErr := New().Rules(t.Context(), p)
		d, detectErr := New().Detect(t.Context(), p)
		if !errors.Is(readErr, sitekind.ErrNoSettings) || !errors.Is(writeErr, sitekind.ErrNoSettings) {
			t.Errorf("%s: read: %v; write: %v", name, readErr, writeErr)
		}
		if rulesErr != nil || len(rules.Settings) > 0 || detectErr != nil || !d.Found || d.SettingsFile != "" {
			t.Errorf("%s: %+v, %v; %+v, %v", name, rules, rulesErr, d, detectErr)
		}
	}
}

func TestDescriptionsThatAreRefused(t *testing.T) {
	const good = "settings: {file: a.env, format: lines, name: N, user: U, password: P}"
	tests := map[string]string{
		"settings: [":                                          "cannot be read",
		"setting: {}":                                          "setting",
		good + "\nmore: 1":                                     "more",
		strings.Replace(good, "lines", "x", 1):                 "format",
		strings.Replace(good, "a.env", "../a.env", 1):          "file",
		strings.Replace(good, "a.env", "/etc/passwd", 1):       "file",
		strings.Replace(good, "name: N, ", "", 1):              "name",
		strings.Replace(good, "U", "N", 1):                     "twice",
		strings.Replace(good, "user:", "port: X, user:", 1):    "host",
		strings.Replace(good, "user:", "unknown: X, user:", 1): "unknown",
	}
	for text, words := range tests {
		p := lay(t, map[string]string{mappingFile: text, "a.env": "N=a\nU=b\nP=c\n"})
		_, err := New().ReadSettings(t.Context(), p)
		e, ok := errors.AsType[*sitekind.SettingsError](err)
		if !ok || e.Problem != sitekind.Broken || e.File != mappingFile || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestKeysOfTheAddress(t *testing.T) {
	p := lay(t, map[string]string{
		mappingFile: "settings: {file: a.env, format: lines, name: N, user: U, password: P, host: H, port: O, socket: S}",
		"a.env":     "N=a\nU=b\nP=c\nH=localhost\nO=\nS=/run/a.sock\n",
	})
	write := func(s sitekind.Settings, want string) {
		t.Helper()
		s.Name, s.User, s.Password = "a", "b", sitekind.NewSecret("c")
		if err := New().WriteSettings(t.Context(), p, s); err != nil {
			t.Fatal(err)
		}
		data, err := sitekind.ReadFile(p, "a.env")
		if err != nil || string(data) != "N=a\nU=b\nP=c\n"+want {
			t.Errorf("%+v: %q, %v", s, data, err)
		}
		if got, err := New().ReadSettings(t.Context(), p); err != nil || got != s {
			t.Errorf("read back %+v, %v", got, err)
		}
	}
	write(sitekind.Settings{Host: "localhost", Socket: "/run/a.sock"}, "H=localhost\nO=\nS=/run/a.sock\n")
	write(sitekind.Settings{Host: "db", Port: 3307}, "H=db\nO=3307\nS=\n")
	write(sitekind.Settings{Host: "db"}, "H=db\nO=\nS=\n")
}

func TestAddressThatCannotBeChanged(t *testing.T) {
	const text = "N=a\nU=b\nP=c\n"
	p := lay(t, map[string]string{mappingFile: "settings: {file: a.env, format: lines, name: N, user: U, password: P}", "a.env": text})
	s := sitekind.Settings{Name: "new", User: "b", Password: sitekind.NewSecret("c"), Host: "db"}
	err := New().WriteSettings(t.Context(), p, s)
	if e, ok := errors.AsType[*sitekind.SettingsError](err); !ok || e.Problem != sitekind.Unwritable || !strings.Contains(err.Error(), "host") {
		t.Errorf("got %v", err)
	}
	if data, err := sitekind.ReadFile(p, "a.env"); err != nil || string(data) != text {
		t.Errorf("the file was changed: %q, %v", data, err)
	}
}

func TestLines(t *testing.T) {
	tests := []struct {
		text, want string
		problem    sitekind.Problem
	}{
		{"K=v", "v", 0},
		{"K = v \r\n", "v", 0},
		{"x\n\texport K: v # c\n", "v", 0},
		{"K=", "", 0},
		{"K= # c", "", 0},
		{"K=#", "", sitekind.NotLiteral},
		{"K=a#b", "", sitekind.NotLiteral},
		{"K='a b'", "a b", 0},
		{`"K": "a#;b", # c`, "a#;b", 0},
		{`K="a'b" ; c`, "a'b", 0},
		{`K='$a'`, "$a", 0},
		{`K="$a"`, "", sitekind.NotLiteral},
		{`K=$a`, "", sitekind.NotLiteral},
		{`K="a\"b"`, "", sitekind.NotLiteral},
		{`K='a\b'`, "", sitekind.NotLiteral},
		{`K="a`, "", sitekind.NotLiteral},
		{`K="a" "b"`, "", sitekind.NotLiteral},
		{"K=`id`", "", sitekind.NotLiteral},
		{"K=a\nK=b", "", sitekind.Ambiguous},
		{"#K=a", "", sitekind.Missing},
		{"XK=a", "", sitekind.Missing},
		{"KX=a", "", sitekind.Missing},
		{"K", "", sitekind.Missing},
	}
	for _, c := range tests {
		s, err := find("f", []byte(c.text), "K")
		e, _ := errors.AsType[*sitekind.SettingsError](err)
		if s.text != c.want || (e != nil) != (c.problem != 0) || e != nil && e.Problem != c.problem {
			t.Errorf("%q: got %q, %v", c.text, s.text, err)
		}
	}
}

func TestLinesHoldOnlyWhatEveryProgramReadsAlike(t *testing.T) {
	for text, fits := range map[string][]string{
		`N=a`:   {"", "abc_1", "/run/a.sock:1", "a@b+c=d,e~f.g-h", "_x"},
		`N="a"`: {"", "a b", "a#;b", "it's %[1]!"},
		`N='a'`: {"", "a b", `say "x"`},
	} {
		refused := map[string][]string{
			`N=a`:   {"a b", "a%b", "ünï", "[a]", "*a", "@a", "-a", "a'b", "a#b", "a\nb", "a\x00"},
			`N="a"`: {`a"b`, `a\b`, "$a", "`a`", "ünï", "a\nb", "\t"},
			`N='a'`: {"a'b", `a\b`, "$a", "`a`", "ünï", "a\nb"},
		}[text]
		s, err := find("f", []byte(text), "N")
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range fits {
			if !s.fits(value) {
				t.Errorf("%s: %q does not fit", text, value)
			}
		}
		for _, value := range refused {
			p := lay(t, map[string]string{
				mappingFile: "settings: {file: a, format: lines, name: N, user: U, password: P}", "a": text + "\nU=b\nP=c\n",
			})
			err := New().WriteSettings(t.Context(), p, sitekind.Settings{Name: value, User: "b", Password: sitekind.NewSecret("c")})
			if e, ok := errors.AsType[*sitekind.SettingsError](err); !ok || e.Problem != sitekind.Unwritable || e.Line != 1 {
				t.Errorf("%s: %q: got %v", text, value, err)
			}
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("# c\nK = \"v\" ; x\r\nL=1\n"), "new")
	f.Add([]byte("export K='' # x"), "a b")
	f.Add([]byte("K: v"), "/run/x.sock:1")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		old, err := find("f", data, "K")
		if err != nil || !old.fits(text) {
			return
		}
		out := append(append(append([]byte(nil), data[:old.start]...), text...), data[old.end:]...)
		s, err := find("f", out, "K")
		if err != nil || s.text != text {
			t.Fatalf("read back %q, %v; want %q\n%q\n%q", s.text, err, text, data, out)
		}
		if !bytes.Equal(out[:s.start], data[:old.start]) || !bytes.Equal(out[s.end:], data[old.end:]) {
			t.Fatalf("bytes beside the value changed\n%q\n%q", data, out)
		}
	})
}
