package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun runs real packages through go test.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, body    string
		fails         bool
		wants, silent []string
	}{
		{"pass", `func TestA(t *testing.T) { t.Log("quiet") }`, false, []string{"ok  \tx\t", "1 tests passed, 0 failed, 0 skipped"}, []string{"quiet"}},
		{
			"fail", `func TestA(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("loud") }) }`, true,
			[]string{"loud", "--- FAIL: TestA/sub", "FAIL\tx\t", "0 tests passed, 2 failed"}, nil,
		},
		{"skip", `func TestA(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Skip("no server") }) }`, true, []string{"SKIPPED", "TestA/sub", "no server"}, nil},
		{"exit", `func TestA(t *testing.T) { println("last words"); os.Exit(3) }`, true, []string{"last words", "FAIL\tx\t"}, nil},
		{"panic", `func TestA(t *testing.T) { t.Log("before"); panic("boom") }`, true, []string{"boom"}, nil},
		{"no compile", `func TestA(t *testing.T) { undefined() }`, true, []string{"undefined: undefined", "build failed"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "go.mod", "module x\n\ngo 1.26\n")
			write(t, dir, "x_test.go", "package x\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Exit\n\n"+c.body+"\n")
			t.Chdir(dir)
			var out, diag strings.Builder
			err := run(t.Context(), []string{"."}, &out, &diag)
			if (err != nil) != c.fails {
				t.Errorf("error %v, want one: %t", err, c.fails)
			}
			for _, want := range c.wants {
				if !strings.Contains(out.String()+diag.String(), want) {
					t.Errorf("output lacks %q:\n%s%s", want, &out, &diag)
				}
			}
			for _, silent := range c.silent {
				if strings.Contains(out.String(), silent) {
					t.Errorf("output has %q:\n%s", silent, &out)
				}
			}
		})
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
