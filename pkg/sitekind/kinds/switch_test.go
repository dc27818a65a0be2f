package kinds

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// TestMaintenanceSwitch: a kind has one that comes and goes without a trace, or says why not.
func TestMaintenanceSwitch(t *testing.T) {
	pass := sitekind.Pass{Header: "X-Probe", Value: "p4ss"}
	switched := map[string]bool{}
	each(t, func(t *testing.T, f *fixture) {
		before := f.tree(t)
		sw, err := sitekind.FindSwitch(ctx(t), f.kind, f.place, pass)
		if _, none := errors.AsType[*sitekind.NoSwitchError](err); none {
			return
		}
		if err != nil || !bytes.Contains(sw.Content, []byte(sitekind.SwitchMark)) || strings.Contains(string(sw.Content), pass.Value) {
			t.Fatalf("%+v, %v", sw, err)
		}
		switched[f.kind.Name()] = true
		path := filepath.Join(f.dir, sw.Name)
		old := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
		if err := errors.Join(os.Chmod(filepath.Dir(path), 0o2750), os.Chtimes(filepath.Dir(path), old, old)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := sw.TurnOn(f.place); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
			t.Errorf("the switch is %v, %v", info, err)
		}
		for range 2 {
			if err := sitekind.TurnOff(f.place.Root, sw.Name); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.ModTime().Equal(old) || !maps.Equal(before, f.tree(t)) {
			t.Errorf("it left a trace: %v, %v", info.ModTime(), err)
		}
		f.write(t, sw.Name, "somebody else's")
		if err := sw.TurnOn(f.place); !errors.Is(err, sitekind.ErrForeignSwitch) {
			t.Errorf("somebody else's: %v", err)
		}
		if err := sitekind.TurnOff(f.place.Root, sw.Name); err != nil || f.tree(t)[path] != "somebody else's" {
			t.Errorf("somebody else's was taken away: %v", err)
		}
	})
	if want := map[string]bool{"wordpress": true, "dotenv": true}; !maps.Equal(switched, want) {
		t.Errorf("kinds with a switch: %v", switched)
	}
}
