//go:build integration

package phplit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// phpSays runs PHP on a file and returns what it makes of the constant P.
func phpSays(t *testing.T, source string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.php")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "php", "-n", "-r", `ob_start(); require $argv[1]; ob_end_clean(); echo P;`, path).Output()
	if err != nil {
		t.Fatalf("php on %q: %v\n%s", source, err, out)
	}
	return string(out)
}

func TestPHPAgreesOnLiterals(t *testing.T) {
	for _, c := range literals {
		t.Run(c.name, func(t *testing.T) {
			if got := phpSays(t, "<?php\ndefine('P', "+c.source+");\n"); got != c.want {
				t.Errorf("%s: PHP makes %q of it, the table says %q", c.source, got, c.want)
			}
		})
	}
}

func TestPHPAgreesOnWhatIsWritten(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, text := range []string{"", `\`, `'`, `\'`, `\\'\`, "?>", "<?php", "$a {$b}", "\r\n", string(all), "/*", "#", "//"} {
		f, err := Parse("x.php", []byte("<?php\ndefine('P', \"old\"); // end\n"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := f.Constant("P")
		if err != nil {
			t.Fatal(err)
		}
		out, err := f.Replace(Edit{Value: v, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if got := phpSays(t, string(out)); got != text {
			t.Errorf("PHP reads %q back as %q", text, got)
		}
	}
}

// TestFollowsWordPress parses every file of an installed WordPress: code of
// all kinds, all of which is good PHP.
func TestFollowsWordPress(t *testing.T) {
	files := 0
	err := filepath.WalkDir("/usr/share/wordpress", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".php" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if _, err := Parse(path, source); err != nil {
			t.Error(err)
		}
		return nil
	})
	if err != nil || files < 500 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestPHPAgreesOnArrays(t *testing.T) {
	for name, source := range arrays {
		if got := phpSays(t, "<?php\n"+source+"\ndefine('P', $d['x']['p']);\n"); got != "yes" {
			t.Errorf("%s: PHP makes %q of %s", name, got, source)
		}
	}
}
