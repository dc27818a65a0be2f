package sitekind

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	s := Settings{Name: "db", Password: NewSecret("Canary")}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "p", s.Password, "q", &s.Password)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "p", s.Password)
	asJSON, err1 := json.Marshal(map[string]any{"s": s, "p": &s.Password})
	asYAML, err2 := yaml.Marshal(map[string]any{"s": s})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	said := log.String() + string(asJSON) + string(asYAML)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T|%[1]v", "%10.3s"} {
		said += fmt.Sprintf(verb+verb+verb, s.Password, &s.Password, s)
	}
	said += fmt.Sprint(s, s.Password, []Secret{s.Password}, map[Secret]int{s.Password: 1}, fmt.Errorf("x %v", s))
	if strings.Contains(said, "Canary") || strings.Contains(said, "43616e617279") {
		t.Errorf("the password is printed: %s", said)
	}
	if s.Password.Reveal() != "Canary" || !s.Password.Equal(NewSecret("Canary")) || s.Password.IsEmpty() || !NewSecret("").IsEmpty() {
		t.Error("the password is not kept")
	}
}

func TestAddresses(t *testing.T) {
	tests := []struct {
		text   string
		host   string
		port   int
		socket string
	}{
		{"", "", 0, ""},
		{"localhost", "localhost", 0, ""},
		{"db.example.com:3307", "db.example.com", 3307, ""},
		{"192.0.2.7:65535", "192.0.2.7", 65535, ""},
		{":/run/mysqld.sock", "", 0, "/run/mysqld.sock"},
		{"localhost:/run/my:sql.sock", "localhost", 0, "/run/my:sql.sock"},
		{"2001:db8::1", "2001:db8::1", 0, ""},
		{"::1", "::1", 0, ""},
		{"[::1]:3306", "::1", 3306, ""},
		{":3306", "", 3306, ""},
	}
	for _, c := range tests {
		host, port, socket, err := ParseAddress(c.text)
		if err != nil || host != c.host || port != c.port || socket != c.socket {
			t.Errorf("%q: %q, %d, %q, %v", c.text, host, port, socket, err)
		}
		if text, err := FormatAddress(c.host, c.port, c.socket); err != nil || text != c.text {
			t.Errorf("%q is written as %q, %v", c.text, text, err)
		}
	}
	if host, _, _, err := ParseAddress("[::1]"); err != nil || host != "::1" {
		t.Errorf("[::1]: %q, %v", host, err)
	}
	for _, bad := range []string{"a:b", "a:1:2", "[::1", "a:65536", "a:999999", "[x]", "a/b"} {
		if _, _, _, err := ParseAddress(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, bad := range []Settings{{Host: "a:b"}, {Host: "a/b"}, {Socket: "relative"}, {Host: "a", Port: 70000}, {Host: "a", Port: -1}} {
		if text, err := FormatAddress(bad.Host, bad.Port, bad.Socket); err == nil {
			t.Errorf("%+v is written as %q", bad, text)
		}
	}
}

func TestPlacePaths(t *testing.T) {
	tests := []struct {
		place         Place
		site, docroot string
	}{
		{Place{}, "x", "x"},
		{Place{Docroot: "web"}, "x", "web/x"},
		{Place{Site: ".", Docroot: "."}, "x", "x"},
		{Place{Site: "sites/a", Docroot: "."}, "sites/a/x", "x"},
		{Place{Site: "sites/a"}, "sites/a/x", "sites/a/x"},
	}
	for _, c := range tests {
		if c.place.InSite("x") != c.site || c.place.InDocroot("x") != c.docroot {
			t.Errorf("%+v: %s, %s", c.place, c.place.InSite("x"), c.place.InDocroot("x"))
		}
	}
}

func TestSettingsErrorNamesFileAndLine(t *testing.T) {
	cause := fmt.Errorf("cause")
	for want, e := range map[string]*SettingsError{
		"settings in a.php line 7: x": {File: "a.php", Line: 7, What: "x"},
		"settings in a.php: x":        {File: "a.php", What: "x"},
		"settings in a.php: x: cause": {File: "a.php", What: "x", Err: cause},
	} {
		if e.Error() != want {
			t.Errorf("got %q", e.Error())
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for size, refused := range map[int]bool{MaxSettings: false, MaxSettings + 1: true} {
		if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := ReadFile(Place{Root: root}, "a")
		e, _ := errors.AsType[*SettingsError](err)
		if refused != (e != nil && e.Problem == Refused) || !refused && len(data) != size {
			t.Errorf("%d bytes: read %d, %v", size, len(data), err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "."} {
		_, err := ReadFile(Place{Root: root}, name)
		if e, ok := errors.AsType[*SettingsError](err); !ok || e.Problem != Refused {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
