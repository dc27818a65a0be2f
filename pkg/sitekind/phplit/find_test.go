package phplit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func find(t *testing.T, source string, open Open, name string, keys ...string) (Found, error) {
	t.Helper()
	f, err := Parse("settings.php", []byte(source))
	if err != nil {
		return Found{}, err
	}
	return f.Find(open, name, keys...)
}

// arrays are files in which $d['x']['p'] is "yes". PHP confirms them in the
// integration test.
var arrays = map[string]string{
	"short":                  "$d = ['x' => ['p' => 'yes']];",
	"long":                   "$d = array('x' => ARRAY ( 'p' => \"yes\", ), );",
	"element":                "$d['x'] = ['p' => 'yes'];",
	"element of an element":  "$d['x']['p'] = 'yes';",
	"later counts":           "$d['x']['p'] = 'no'; $d['x']['p'] = 'yes';",
	"later element counts":   "$d = ['x' => ['p' => 'no']]; $d['x']['p'] = 'yes';",
	"later whole counts":     "$d['x']['p'] = 'no'; $d = ['x' => ['p' => 'yes']];",
	"others beside":          "$d['x']['p'] = 'yes'; $d['y']['p'] = 'no'; $d['x']['q'] = 'no';",
	"last key counts":        "$d = ['x' => ['p' => 'no', 'p' => 'yes']];",
	"comments":               "$d = [ # 'x' => 1\n 'x' /* => */ => [ // 'p' => 'no',\n 'p' => 'yes', /* 'p' => 'no' */ ]];",
	"computed beside":        "$d = ['x' => ['q' => strlen('a'), 'p' => 'yes', 'r' => PHP_VERSION]];",
	"arrow function beside":  "$d = ['x' => ['q' => fn($a) => ['p' => 'no'], 'p' => 'yes']];",
	"constant":               "const A = 'yes'; $d['x']['p'] = A;",
	"constant as key":        "define('K', 'p'); $d['x'] = [K => 'yes'];",
	"concatenation":          "$d['x']['p'] = 'y' . \"e\" . 's';",
	"concatenated key":       "$d['x'] = ['' . 'p' => 'yes'];",
	"heredoc":                "$d['x']['p'] = <<<A\n  yes\n  A;",
	"nowdoc in an array":     "$d = ['x' => ['p' => <<<'A'\nyes\nA\n]];",
	"in parentheses":         "$d = (['x' => (['p' => ('yes')])]);",
	"variable key elsewhere": "$d['x']['p'] = 'yes'; $k = 'z'; $e[$k] = 'no';",
	"other unset":            "$d['x']['p'] = 'yes'; unset($d['x']['q'], $d['y']);",
	"environment unset":      "$d['x']['p'] = 'yes'; unset($_SERVER['db_passwd']);",
	"loop over others":       "$d['x']['p'] = 'yes'; foreach ([] as &$e) { $e = 1; }",
}

func TestFindInArrays(t *testing.T) {
	for name, source := range arrays {
		found, err := find(t, "<?php\n"+source+"\n", nil, "$d", "x", "p")
		if err != nil || found.Value.Text != "yes" {
			t.Errorf("%s: %s: got %q, %v", name, source, found.Value.Text, err)
		}
	}
}

func TestFindPositions(t *testing.T) {
	for source, want := range map[string]string{
		"$d = ['a', 'b', 5 => 'c', 'd'];":        "0=a 1=b 5=c 6=d",
		"$d = ['x' => 'a', 'b'];":                "0=b",
		"$d = ['7' => 'a', 'b', true => 'c'];":   "7=a 8=b 1=c",
		"$d = array(); $d[3] = 'a';":             "3=a",
		"$d = ['a', PHP_OS => 'x', 5 => 'yes'];": "5=yes",
	} {
		for _, pair := range strings.Fields(want) {
			key, text, _ := strings.Cut(pair, "=")
			if found, err := find(t, "<?php "+source, nil, "$d", key); err != nil || found.Value.Text != text {
				t.Errorf("%s: [%s]: got %q, %v; want %q", source, key, found.Value.Text, err, text)
			}
		}
	}
}

func TestFindRefusals(t *testing.T) {
	tests := []struct {
		source  string
		problem Problem
		line    int
		words   string
	}{
		{"$e = 1;", Missing, 0, "$d[x][p] is not defined"},
		{"$d = ['x' => ['q' => 'a']];", Missing, 0, "not defined"},
		{"$d = ['x' => 'a'];", NotLiteral, 1, "no array"},
		{"$d = ['x' => f()];", NotLiteral, 1, "result of a function"},
		{"$d = f();", NotLiteral, 1, "result of a function"},
		{"$d['x']['p'] = f();", NotLiteral, 1, "result of a function"},
		{"$d['x']['p']['z'] = 'a';", NotLiteral, 1, "pieces"},
		{"$d = ['x' => ['p' => 'a', ...$more]];", Ambiguous, 1, "computed"},
		{"$d = ['x' => ['p' => 'a', $k => 'b']];", Ambiguous, 1, "computed"},
		{"$d['x']['p'] = 'a';\n$d['x'][$k] = 'b';", Ambiguous, 2, "computed"},
		{"$d['x']['p'] = 'a';\n$d[] = 'b';", Ambiguous, 2, "computed"},
		{"$d['x']['p'] = 'a';\nif ($y) { $d['x']['p'] = 'b'; }", Ambiguous, 2, "condition"},
		{"$d['x']['p'] = 'a';\nif ($y) { $d['x'] = []; }", Ambiguous, 2, "condition"},
		{"$d['x']['p'] = 'a';\n$d['x']['p'] .= 'b';", Ambiguous, 2, "changed"},
		{"$d['x']['p'] = 'a';\n$d += ['x' => []];", Ambiguous, 2, "changed"},
		{"$d['x']['p'] = 'a';\nunset($d['x']);", Ambiguous, 2, "changed"},
		{"$d['x']['p'] = 'a';\nforeach ($d as &$e) { $e = 'b'; }", Ambiguous, 2, "changed"},
		{"$d['x']['p'] = 'a';\nif (isset($_SERVER['staging'])) { $d['x']['p'] = 'b'; }", Ambiguous, 2, "environment"},
		{"function f() { $d['x']['p'] = 'a'; }", Ambiguous, 1, "condition"},
	}
	for _, c := range tests {
		found, err := find(t, "<?php "+c.source, nil, "$d", "x", "p")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Problem != c.problem || e.Line != c.line || !strings.Contains(e.What, c.words) {
			t.Errorf("%s: got %q, %#v; want problem %d, line %d, words %q", c.source, found.Value.Text, err, c.problem, c.line, c.words)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for source, want := range map[string]string{
		"getenv('X')":                   "X=",
		"\\getenv( \"X\" )":             "X=",
		"$_SERVER['X']":                 "X=",
		"$_ENV['X'] ?? 'dflt'":          "X=dflt",
		"getenv('X') ?: 'dflt'":         "X=dflt",
		"(string) $_SERVER['X']":        "X=",
		"((int) ($_SERVER['X'] ?? 33))": "X=33",
	} {
		for _, form := range []string{"$d['p'] = %s;", "$d = ['p' => %s];", "if (isset($_SERVER['Y'])) { $d = ['p' => %s]; }"} {
			found, err := find(t, "<?php "+fmt.Sprintf(form, source), nil, "$d", "p")
			if got := found.Value.Env + "=" + found.Value.Text; err != nil || found.Value.Type != Environment || got != want {
				t.Errorf("%s in %s: got %q, %v", source, form, got, err)
			}
		}
	}
	// What stands beside values of the environment holds when they do.
	found, err := find(t, "<?php if (isset($_SERVER['db'])) { $d = ['p' => $_SERVER['db'], 'q' => 'plain']; }", nil, "$d", "q")
	if err != nil || found.Value.Text != "plain" {
		t.Errorf("got %q, %v", found.Value.Text, err)
	}
}

// files are includes by the last part of their path.
func files(t *testing.T, sources map[string]string) Open {
	return func(i Include) (*File, error) {
		if len(i.Path) == 0 {
			return nil, errors.New("the path cannot be followed")
		}
		source, ok := sources[i.Path[len(i.Path)-1].Text]
		if !ok {
			return nil, nil
		}
		return Parse(i.Path[len(i.Path)-1].Text, []byte("<?php "+source))
	}
}

func TestFindFollowsIncludes(t *testing.T) {
	others := map[string]string{
		"/a.php": "$d['p'] = 'a';", "/none.php": "$e = 1;", "/deep.php": "include __DIR__ . '/a.php';",
		"/before.php": "$d['p'] = 'before'; return;", "/self.php": "include __DIR__ . '/self.php';",
	}
	tests := []struct{ source, want, file string }{
		{"$d['p'] = 'main'; include __DIR__ . '/a.php';", "a", "/a.php"},
		{"include_once(__DIR__ . '/a.php'); $d['p'] = 'main';", "main", "settings.php"},
		{"$d['p'] = 'main'; require dirname(__FILE__) . '/none.php';", "main", "settings.php"},
		{"$d['p'] = 'main'; include $app_root . '/' . $site_path . '/deep.php';", "a", "/a.php"},
		{"$d['p'] = 'main'; if (file_exists(__DIR__ . '/a.php')) { include __DIR__ . '/a.php'; }", "a", "/a.php"},
		{"$d['p'] = 'main'; if (file_exists(__DIR__ . '/gone.php')) { include __DIR__ . '/gone.php'; }", "main", "settings.php"},
		{"$d['p'] = 'main'; if ($x) { include __DIR__ . '/none.php'; }", "main", "settings.php"},
		{"include __DIR__ . '/before.php'; include __DIR__ . '/a.php'; $e = 1;", "a", "/a.php"},
		{"@include __DIR__ . '/a.php'; return; include __DIR__ . '/before.php';", "a", "/a.php"},
	}
	for _, c := range tests {
		found, err := find(t, "<?php "+c.source, files(t, others), "$d", "p")
		if err != nil || found.Value.Text != c.want || found.File.name != c.file {
			t.Errorf("%s: got %+v, %v; want %s in %s", c.source, found, err, c.want, c.file)
		}
	}
	for source, words := range map[string]string{
		"$d['p'] = 'main'; if ($x) { include __DIR__ . '/a.php'; }":                          "under a condition",
		"$d['p'] = 'main'; if (file_exists('/x')) { include __DIR__ . '/a.php'; }":           "under a condition",
		"$d['p'] = 'main'; if (!file_exists(__DIR__.'/a.php')) include __DIR__ . '/a.php';":  "under a condition",
		"$d['p'] = 'main'; include f($x . 'y');":                                             "cannot be followed",
		"$d['p'] = 'main'; foreach (glob('*.php') as $f) { include $x['y']; }":               "cannot be followed",
		"include __DIR__ . '/self.php';":                                                     "too deeply",
		"$d['p'] = 'main'; function f() { include __DIR__ . '/a.php'; }":                     "under a condition",
		"$d['p'] = 'main'; $x && include __DIR__ . '/a.php';":                                "under a condition",
		"$d['p'] = 'main'; if (file_exists($a)) { if ($x) { include __DIR__ . '/a.php'; } }": "under a condition",
	} {
		if found, err := find(t, "<?php "+source, files(t, others), "$d", "p"); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %+v, %v", source, found.Value.Text, err)
		}
	}
}

func TestInsertIntoArrays(t *testing.T) {
	for source, want := range map[string]string{
		"$d = [];":                       "$d = ['port' => '1'];",
		"$d = array( 'a' => 1 );":        "$d = array( 'a' => 1, 'port' => '1' );",
		"$d = ['a' => 1, 'b' => 2,];":    "$d = ['a' => 1, 'b' => 2, 'port' => '1',];",
		"$d = [\n  'a' => 1,\n]; // end": "$d = [\n  'a' => 1,\n  'port' => '1',\n]; // end",
		"$d = ['a' => f(1)/* x */];":     "$d = ['a' => f(1), 'port' => '1'/* x */];",
	} {
		f, err := Parse("x.php", []byte("<?php "+source))
		if err != nil {
			t.Fatal(err)
		}
		found, err := f.Find(nil, "$d")
		if err != nil {
			t.Fatal(err)
		}
		out, err := f.Replace(Edit{Value: found.Value, Key: "port", Text: "1"})
		if err != nil || string(out) != "<?php "+want {
			t.Errorf("got %q, %v; want %q", out, err, want)
		}
	}
}

func TestReplaceInArraysKeepsTheRest(t *testing.T) {
	const source = "<?php\r\n/* 'p' => 'x' */ $d = array ( 'q'=>f(\"{$a}\") , 'p' /**/ => <<<E\nold\nE , 'r' => 7,);\n?>\xff"
	f, err := Parse("x.php", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	p, errP := f.Find(nil, "$d", "p")
	r, errR := f.Find(nil, "$d", "r")
	if err := errors.Join(errP, errR); err != nil {
		t.Fatal(err)
	}
	out, err := f.Replace(Edit{Value: r.Value, Null: true}, Edit{Value: p.Value, Text: `a'b\`})
	want := strings.NewReplacer("<<<E\nold\nE", `'a\'b\\'`, "7", "NULL").Replace(source)
	if err != nil || string(out) != want {
		t.Errorf("got  %q, %v\nwant %q", out, err, want)
	}
}

func TestReturned(t *testing.T) {
	found, err := find(t, "<?php $a = 1; return array('x' => ['p' => 'yes']); return [];", nil, Returned, "x", "p")
	if err != nil || found.Value.Text != "yes" {
		t.Errorf("got %q, %v", found.Value.Text, err)
	}
	if _, err := find(t, "<?php if ($x) { return ['x' => 1]; }", nil, Returned, "x"); !isMissing(err) {
		t.Errorf("got %v", err)
	}
}

func TestClassConstant(t *testing.T) {
	for source, want := range map[string]string{
		"class Drupal { const VERSION = '10.1.2'; const CORE = 'x'; }":                                                "10.1.2",
		"namespace A; final class K extends B { public const string A = 'x'; final public const VERSION = \"6.4\"; }": "6.4",
		"class A { function f() { return ['const VERSION' => 1]; } const VERSION='1' . '.2'; }":                       "1.2",
	} {
		f, err := Parse("x.php", []byte("<?php "+source))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := f.ClassConstant("VERSION"); err != nil || v.Text != want {
			t.Errorf("%s: got %q, %v", source, v.Text, err)
		}
		if v, err := f.ClassConstant("NONE"); !isMissing(err) {
			t.Errorf("%s: got %q, %v", source, v.Text, err)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, source := range arrays {
		f.Add([]byte("<?php "+source), "te'xt\\")
	}
	f.Add([]byte("<?php if (file_exists($a . 'b')) { include $a . 'b'; } $d['x'] = array(1 => ['p' => getenv('x') ?: 'y', ]);"), "")
	f.Fuzz(func(t *testing.T, source []byte, text string) {
		file, err := Parse("x.php", source)
		if err != nil {
			return
		}
		get := func(f *File) (Value, error) {
			found, err := f.Find(nil, "$d", "x", "p")
			return found.Value, err
		}
		if old, err := get(file); err == nil {
			checkReplace(t, file, old, text, get)
		}
		array, err := file.Find(nil, "$d", "x")
		if err != nil || array.Value.Type != Array {
			return
		}
		out, err := file.Replace(Edit{Value: array.Value, Key: "new key", Text: text})
		if err != nil {
			t.Fatalf("insert: %v", err)
		}
		again, err := Parse("x.php", out)
		if err != nil {
			t.Fatalf("parse what was inserted: %v\n%q\n%q", err, source, out)
		}
		if found, err := again.Find(nil, "$d", "x", "new key"); err != nil || found.Value.Text != text {
			t.Fatalf("read back %q, %v; want %q\n%q", found.Value.Text, err, text, out)
		}
	})
}
