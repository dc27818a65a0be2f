package agent

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

func TestSelection(t *testing.T) {
	if selection(nil) != nil {
		t.Error("no path selects something")
	}
	chosen := selection([][]byte{[]byte("./a/b"), []byte("./c"), []byte("./raw\xff/x")})
	for name, want := range map[string]bool{
		"./": true, "./a": true, "./a/b": true, "./a/b/c/d": true, "./a/bc": false, "./a/c": false, "./c": true, "./c/d": true, "./cd": false,
		"./b": false, "./raw\xff": true, "./raw\xff/x": true, "./raw\xfe/x": false,
	} {
		if chosen(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestPathBelow(t *testing.T) {
	if got, err := pathBelow([]byte("./a/b\xff")); got != "a/b\xff" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "./", ".", "a", "/a", "./../a", "./a/../b", "./a/", "./a//b", "./a\x00b"} {
		if _, err := pathBelow([]byte(bad)); !errs.Is(err, errs.Usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
