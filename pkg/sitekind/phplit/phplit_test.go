package phplit

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func constant(t *testing.T, source, name string) (Value, error) {
	t.Helper()
	f, err := Parse("wp-config.php", []byte(source))
	if err != nil {
		return Value{}, err
	}
	return f.Constant(name)
}

// literals are expressions and the bytes that PHP makes of them. The
// integration test has PHP itself confirm the second column.
var literals = []struct{ name, source, want string }{
	{"single", `'secret'`, "secret"},
	{"single escapes", `'a\'b\\c\n\x41$d'`, `a'b\c\n\x41$d`},
	{"single ends in backslash", `'a\\'`, `a\`},
	{"single backslashes", `'\\\\\''`, `\\'`},
	{"double", `"secret"`, "secret"},
	{"double escapes", `"\n\t\r\v\e\f\\\$\"\'\q"`, "\n\t\r\v\x1b\f\\$\"\\'\\q"},
	{"octal", `"\101\0\377\400\18"`, "A\x00\xff\x00\x018"},
	{"hexadecimal", `"\x41\x4\X42\xg\xFF7"`, "A\x04B\\xg\xff7"},
	{"unicode", `"\u{41}\u{20AC}\u{1F600}\u{000041}\u1"`, "A€😀A\\u1"},
	{"surrogate", `"\u{D800}"`, "\xed\xa0\x80"},
	{"dollars that begin nothing", `"$ $1 a$ {a} { $"`, "$ $1 a$ {a} { $"},
	{"binary prefix", `b'x' . B"y"`, "xy"},
	{"newlines", "'a\r\nb\nc'", "a\r\nb\nc"},
	{"any bytes", "'\x00\x01\xff\xfe'", "\x00\x01\xff\xfe"},
	{"close tag in a string", `'a?>b'`, "a?>b"},
	{"comment in a string", `'a/*b*/#c//d'`, "a/*b*/#c//d"},
	{"concatenation", `'a' . "b" .'c'`, "abc"},
	{"concatenation with comments", "'a' . // ' . 'x'\n 'b' /* . 'y' */ . 'c' # . 'z'\n", "abc"},
	{"parentheses", `(('a') . ('b'))`, "ab"},
	{"number in a concatenation", `'a' . 1 . 'b'`, "a1b"},
	{"integer", `3306`, "3306"},
	{"true", `TRUE`, "1"},
	{"false", `false`, ""},
	{"null", `\Null`, ""},
	{"heredoc", "<<<EOT\na\\tb\\\"c\n  d\nEOT", "a\tb\\\"c\n  d"},
	{"heredoc in quotes", "<<<\"EOT\"\na\nEOT", "a"},
	{"heredoc indented", "<<< X\n    a\n      b\n\n    c\n    X", "a\n  b\n\nc"},
	{"heredoc whose body begins like its label", "<<<X\nXY\nX", "XY"},
	{"heredoc empty", "<<<X\nX", ""},
	{"heredoc of an empty line", "<<<X\n\nX", ""},
	{"nowdoc", "<<<'EOT'\n$a {$b} \\n\nEOT", "$a {$b} \\n"},
	{"nowdoc with CR LF", "<<<'EOT'\r\na\r\nb\r\nEOT", "a\r\nb"},
	{"heredoc and concatenation", "<<<X\na\nX . 'b'", "ab"},
	{"cast to string", `(string) 3306`, "3306"},
	{"cast to string of a string", `( STRING )'a' . (int)'7'`, "a7"},
	{"cast to int", `(int) "3306"`, "3306"},
	{"heredoc escapes", "<<<X\n\\x41\\$a\\\\\nX", "A$a\\"},
}

func TestLiterals(t *testing.T) {
	for _, c := range literals {
		t.Run(c.name, func(t *testing.T) {
			for _, source := range []string{
				"<?php\ndefine('P', " + c.source + ");\n",
				"<?php\nconst P = " + c.source + ";\n",
				"<?php\nconst O = 'x', P = " + c.source + ", Q = 'y';\n",
				"<?php\n\\define('P', " + c.source + ", false);\n",
				"<?php\nDefine(\"P\" ,(" + c.source + "))\n?>",
			} {
				v, err := constant(t, source, "P")
				if err != nil || v.Text != c.want {
					t.Errorf("%q: got %q, %v; want %q", source, v.Text, err, c.want)
				}
			}
		})
	}
}

func TestConstantIsFoundWhereItCounts(t *testing.T) {
	tests := map[string]string{
		"comment before":            "<?php # define('P','no');\n// define('P','no');\n/* define('P','no'); */ define('P','yes');",
		"line comment and tag":      "<?php // define('P', 'no'); ?>define('P','no');<?php define('P','yes');",
		"text outside":              "define('P','no'); <?php define('P','yes');",
		"text between":              "<?php $a = 1 ?> define('P','no'); <?php\ndefine('P','yes');",
		"the first counts":          "<?php define('P','yes'); define('P','no');",
		"conditional second":        "<?php define('P','yes'); if ($x) define('P','no');",
		"guarded by if":             "<?php if (!defined('P')) { define('P','yes'); }",
		"guarded by if, no braces":  "<?php if ( ! defined( 'P' ) ) define( 'P', 'yes' );",
		"guarded by if, colon":      "<?php if (!defined('P')): define('P','yes'); endif;",
		"guarded by or":             "<?php defined('P') or define('P','yes');",
		"guarded by ||":             "<?php defined('P') || define('P','yes');",
		"guarded by &&":             "<?php !defined('P') && define('P','yes');",
		"included after":            "<?php if (!defined('P')) define('P','yes'); require 'x.php';",
		"definite, included before": "<?php require 'x.php'; define('P','yes');",
		"after a condition":         "<?php if ($a) { b(); } elseif ($c) { d(); } else if ($e) f(); else { g(); } define('P','yes');",
		"after loops":               "<?php foreach ($a as $b): c(); endforeach; while (x()) { y(); } do { z(); } while (0); for(;;) break; switch (1) { case 1: a(); default: b(); } define('P','yes');",
		"after a class":             "<?php class A { const P = 'no'; function f() { return new class { const P = 'no'; }; } } define('P','yes');",
		"after a function":          "<?php function f(array $a = ['x' => 1]): ?string { return \"{$a['x']}\"; } define('P','yes');",
		"after closures":            "<?php $f = function () use ($a) { return 1; }; $g = fn($x) => $x; define('P','yes');",
		"after try":                 "<?php try { a(); } catch (\\E $e) { b(); } finally { c(); } define('P','yes');",
		"after an attribute":        "<?php #[A('x')] class B {} define('P','yes');",
		"a method of that name":     "<?php $x->define('P','no'); X::define('P','no'); $x?->define('P','no'); define('P','yes');",
		"in a bare block":           "<?php { define('P','yes'); }",
		"nested ifs with colon":     "<?php if ($a): if ($b) c(); endif; define('P','yes');",
		"html in an if":             "<?php if ($a) { ?> <b>define('P','no');</b> <?php } define('P','yes');",
		"before return":             "<?php define('P','yes'); return; define('P','no');",
		"before halt":               "<?php define('P','yes'); __halt_compiler(); define('P','no'); }}}'",
		"quiet":                     "<?php @define('P','yes');",
		"after strings with code":   "<?php $a = \"{$b[\"}\"]} ${c} $d[0]\"; $e = `ls {$f}`; define('P','yes');",
		"byte order mark":           "\xef\xbb\xbf<?php define('P','yes');",
		"no space before text":      "<?php define('P','yes')?>",
		"declare":                   "<?php declare(strict_types=1); define('P','yes');",
		"use":                       "<?php use A\\{B, C}; define('P','yes');",
		"after labels":              "<?php switch ($a) { case $b ? 1 : 2: case f(':'); default: if ($c): d(); endif; } define('P','yes');",
		"after an empty label":      "<?php switch ($a) { default: } define('P','yes');",
		"casts after words":         "<?php echo (int) $a; return_it((string) $b); print (bool) $c; $d = new (X); define('P','yes');",
		"elseif of an outer if":     "<?php if ($a): if ($b) { c(); } ?> x <?php elseif ($d): endif; define('P','yes');",
		"casts and matches":         "<?php $a = (string) getenv('X'); $b = match($a) { 'x' => 1, default => 2 }; define('P','yes');",
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			if v, err := constant(t, source, "P"); err != nil || v.Text != "yes" {
				t.Errorf("%s\ngot %q, %v", source, v.Text, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name, source string
		problem      Problem
		line         int
		words        string
	}{
		{"function", "<?php\n\ndefine('P', secret('P'));", NotLiteral, 3, "result of a function"},
		{"environment", "<?php\n\ndefine('P', getenv('P'));", NotLiteral, 3, "from the environment (P)"},
		{"environment with a default", "<?php\n\ndefine('P', $_SERVER['P'] ?? 'x');", NotLiteral, 3, "from the environment (P)"},
		{"computed default", "<?php define('P', getenv('P') ?: f());", NotLiteral, 1, "default"},
		{"computed environment", "<?php define('P', getenv($x));", NotLiteral, 1, "result of a function"},
		{"element of a server variable", "<?php define('P', $_SERVER['argv'][1]);", NotLiteral, 1, "a variable"},
		{"cast of a string", "<?php define('P', (int) '12abc');", NotLiteral, 1, "a cast"},
		{"cast to bool", "<?php define('P', (bool) 'x');", NotLiteral, 1, "a cast"},
		{"class constant as a value", "<?php const C = 'x'; define('P', C::D);", NotLiteral, 1, "a constant"},
		{"constant of later", "<?php define('P', C); const C = 'x';", NotLiteral, 1, "a constant"},
		{"constant under a condition", "<?php if ($x) { define('C', 'x'); } define('P', C);", NotLiteral, 1, "a constant"},
		{"constant", "<?php\ndefine('P', OTHER);", NotLiteral, 2, "a constant"},
		{"lost quotes", "<?php\ndefine('P', hunter2);", NotLiteral, 2, "a constant"},
		{"variable", "<?php define('P', $x);", NotLiteral, 1, "a variable"},
		{"array element", "<?php define('P', $_COOKIE['x']);", NotLiteral, 1, "a variable"},
		{"interpolation", "<?php define('P', \"a$b\");", NotLiteral, 1, "string with variables"},
		{"interpolation in braces", "<?php define('P', \"a{$b['x']}\");", NotLiteral, 1, "string with variables"},
		{"heredoc with a variable", "<?php\n/* a\nb */\ndefine('P', <<<X\na $b\nX);", NotLiteral, 4, "string with variables"},
		{"shell", "<?php define('P', `id`);", NotLiteral, 1, "command"},
		{"partly literal", "<?php define('P', 'a' . getenv('b'));", NotLiteral, 1, "put together"},
		{"ternary", "<?php define('P', true ? 'a' : 'b');", NotLiteral, 1, "an expression"},
		{"array", "<?php define('P', ['a']);", NotLiteral, 1, "an array"},
		{"octal", "<?php define('P', 0777);", NotLiteral, 1, "not a plain integer"},
		{"hexadecimal", "<?php define('P', 0xff);", NotLiteral, 1, "not a plain integer"},
		{"fraction", "<?php define('P', 1.5);", NotLiteral, 1, "not a plain integer"},

		{"in an if", "<?php\nif ($x) {\n define('P','a'); }", Ambiguous, 3, "condition"},
		{"in an else", "<?php if ($x) {} else define('P','a');", Ambiguous, 1, "condition"},
		{"in an else of a guard", "<?php if (!defined('P')) {} else define('P','a');", Ambiguous, 1, "condition"},
		{"in an elseif", "<?php if ($x) {} elseif ($y) { define('P','a'); }", Ambiguous, 1, "condition"},
		{"in a loop", "<?php foreach ($a as $b) define('P','a');", Ambiguous, 1, "condition"},
		{"in a switch", "<?php switch ($a) { case 1: define('P','a'); }", Ambiguous, 1, "condition"},
		{"in a try", "<?php try { define('P','a'); } catch (E $e) {}", Ambiguous, 1, "condition"},
		{"in a function", "<?php function f() { define('P','a'); }", Ambiguous, 1, "condition"},
		{"in a method", "<?php class A { static function f() { define('P','a'); } }", Ambiguous, 1, "condition"},
		{"in a closure", "<?php $f = function () { define('P','a'); };", Ambiguous, 1, "condition"},
		{"in a condition", "<?php if (define('P','a')) {}", Ambiguous, 1, "condition"},
		{"in a ternary", "<?php $x ? define('P','a') : define('P','b');", Ambiguous, 1, "condition"},
		{"guarded by another", "<?php if (!defined('O')) { define('P','a'); }", Ambiguous, 1, "condition"},
		{"guarded in a condition", "<?php if ($x) { if (!defined('P')) { define('P','a'); } }", Ambiguous, 1, "condition"},
		{"guarded after an include", "<?php\ninclude 'local.php';\ndefined('P') || define('P','a');", Ambiguous, 3, "included"},
		{"computed name", "<?php foreach ($e as $k => $v) define($k, $v);\ndefine('P','a');", Ambiguous, 1, "computed"},
		{"computed name, unconditional", "<?php define('D' . X, 'b'); define('P','a');", Ambiguous, 1, "computed"},
		{"goto", "<?php goto a; define('P','x'); a: define('P','y');", Ambiguous, 1, "goto"},
		{"constant of a namespace", "<?php namespace A; const P = 'a';", Ambiguous, 1, "condition"},

		{"nothing", "", Missing, 0, "not defined"},
		{"text only", "define('P','a');", Missing, 0, "not defined"},
		{"short tag", "<? define('P','a');", Missing, 0, "not defined"},
		{"in a comment", "<?php /* define('P','a'); */", Missing, 0, "not defined"},
		{"in a string", "<?php $x = 'define(\"P\",\"a\");';", Missing, 0, "not defined"},
		{"class constant", "<?php class A { const P = 'a'; }", Missing, 0, "not defined"},
		{"after return", "<?php return; define('P','a');", Missing, 0, "not defined"},
		{"after exit", "<?php exit(1); define('P','a');", Missing, 0, "not defined"},
		{"after halt", "<?php __halt_compiler(); define('P','a');", Missing, 0, "not defined"},
		{"other case", "<?php define('p','a');", Missing, 0, "not defined"},

		{"open string", "<?php\ndefine('P', 'a);\n", Syntax, 2, "does not end"},
		{"open double string", "<?php\n\ndefine('P', \"a);\n", Syntax, 3, "does not end"},
		{"open comment", "<?php define('P', 'a');\n/* x", Syntax, 2, "does not end"},
		{"open heredoc", "<?php define('P', <<<X\na\n", Syntax, 1, "does not end"},
		{"open bracket", "<?php\ndefine('P', 'a';\n", Syntax, 2, "does not close"},
		{"open brace", "<?php if ($x) {\ndefine('P', 'a');\n", Syntax, 1, "does not close"},
		{"stray brace", "<?php define('P', 'a'); }", Syntax, 1, "no opening"},
		{"stray parenthesis", "<?php define('P', 'a'));", Syntax, 1, "not opened"},
		{"wrong bracket", "<?php define('P', ['a'); ", Syntax, 1, "another kind"},
		{"no semicolon at the end", "<?php define('P', 'a')", Syntax, 1, "ends within"},
		{"no semicolon", "<?php define('P', 'a')\ndefine('Q', 'b');", Syntax, 2, "missing"},
		{"no operator", "<?php $x = 'a' 'b'; define('P', 'a');", Syntax, 1, "missing"},
		{"tag within brackets", "<?php define('P', ?>", Syntax, 1, "PHP ends"},
		{"bad escape", `<?php define('P', "\u{110000}");`, Syntax, 1, `\u`},
		{"empty escape", `<?php define('P', "\u{}");`, Syntax, 1, `\u`},
		{"heredoc indented less", "<?php define('P', <<<X\na\n  X);", Syntax, 1, "indented"},
		{"stray endif", "<?php endif; define('P','a');", Syntax, 1, "no beginning"},
		{"label without an end", "<?php switch ($a) { case 1 }", Syntax, 1, "label"},
		{"label at the end", "<?php switch ($a) { default", Syntax, 1, "does not"},
		{"nothing after do", "<?php do", Syntax, 1, "ends within"},
		{"deep statements", "<?php " + strings.Repeat("{", 100000), Syntax, 1, "deeply"},
		{"deep strings", "<?php " + strings.Repeat(`"{$`, 100000), Syntax, 1, "deeply"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := constant(t, c.source, "P")
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Problem != c.problem || e.Line != c.line || !strings.Contains(e.What, c.words) {
				t.Fatalf("got %#v; want problem %d, line %d, words %q", err, c.problem, c.line, c.words)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds a piece of the file")
			}
		})
	}
}

func TestVariable(t *testing.T) {
	tests := []struct {
		source, want string
		problem      Problem
	}{
		{"<?php $t = 'a'; $t = 'b';", "b", 0},
		{"<?php $t = 'a' . 'b'; if ($x == 'c') {}", "ab", 0},
		{"<?php global $t; $t='a';", "a", 0},
		{"<?php $o->t = 'x'; $t = 'a';", "a", 0},
		{"<?php $t = 'a'; if ($x) { $t = 'b'; }", "", Ambiguous},
		{"<?php if ($x) { $t = 'b'; } $t = 'a';", "a", 0},
		{"<?php $t = 'a'; $t .= 'b';", "", Ambiguous},
		{"<?php $s = $t = 'a';", "", Ambiguous},
		{"<?php $t = getenv('x') ?: 'a';", "", NotLiteral},
		{"<?php $u = 'a';", "", Missing},
	}
	for _, c := range tests {
		f, err := Parse("x.php", []byte(c.source))
		if err != nil {
			t.Fatal(err)
		}
		v, err := f.Variable("$t")
		e, _ := errors.AsType[*Error](err)
		if v.Text != c.want || (e != nil) != (c.problem != 0) || e != nil && e.Problem != c.problem {
			t.Errorf("%s: got %q, %v", c.source, v.Text, err)
		}
	}
}

func TestReplaceKeepsTheRest(t *testing.T) {
	source := "\xef\xbb\xbf<?php // 'a'\r\ndefine('A', \"x\" /* c */ . 'y' ) ; const B=<<<'E'\nz\nE;\n $t = 3 ?>\xff tail"
	f, err := Parse("x.php", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	a, errA := f.Constant("A")
	b, errB := f.Constant("B")
	v, errV := f.Variable("$t")
	if err := errors.Join(errA, errB, errV); err != nil {
		t.Fatal(err)
	}
	got, err := f.Replace(Edit{Value: v, Text: ""}, Edit{Value: a, Text: `it's \ "$x"`}, Edit{Value: b, Text: "\x00\n?>"})
	want := "\xef\xbb\xbf<?php // 'a'\r\ndefine('A', 'it\\'s \\\\ \"$x\"' ) ; const B='\x00\n?>';\n $t = '' ?>\xff tail"
	if err != nil || string(got) != want {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	if _, err := f.Replace(Edit{Value: a, Text: "1"}, Edit{Value: a, Text: "2"}); err == nil {
		t.Error("the same value was replaced twice")
	}
}

func FuzzReplace(f *testing.F) {
	for _, c := range literals {
		f.Add([]byte("<?php define('P', "+c.source+"); $v = 'x';"), c.want)
	}
	f.Add([]byte("<?php if (!defined('P')): const P = \"{$a}\"; endif ?> x"), "\\'")
	f.Fuzz(func(t *testing.T, source []byte, text string) {
		file, err := Parse("x.php", source)
		if err != nil {
			return
		}
		for _, get := range []func(*File) (Value, error){
			func(f *File) (Value, error) { return f.Constant("P") },
			func(f *File) (Value, error) { return f.Variable("$v") },
		} {
			if old, err := get(file); err == nil {
				checkReplace(t, file, old, text, get)
			}
		}
	})
}

func checkReplace(t *testing.T, file *File, old Value, text string, get func(*File) (Value, error)) {
	t.Helper()
	out, err := file.Replace(Edit{Value: old, Text: text})
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	again, err := Parse("x.php", out)
	if err != nil {
		t.Fatalf("parse what was written: %v\n%q\n%q", err, file.source, out)
	}
	v, err := get(again)
	if err != nil || v.Text != text || v.Type != String {
		t.Fatalf("read back %q, %v; want %q\n%q", v.Text, err, text, out)
	}
	if !bytes.Equal(out[:v.start], file.source[:old.start]) || !bytes.Equal(out[v.end:], file.source[old.end:]) {
		t.Fatalf("bytes beside the value changed\n%q\n%q", file.source, out)
	}
}
