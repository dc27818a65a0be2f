package pki_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

func same(a, b pki.Identity) bool {
	return a.Name == b.Name && slices.Equal(a.Addresses, b.Addresses) &&
		bytes.Equal(a.Certificate, b.Certificate) && bytes.Equal(a.CA, b.CA)
}

func TestIdentityIsKept(t *testing.T) {
	m := newMaster(t)
	dir := filepath.Join(t.TempDir(), "agent")
	if _, err := pki.LoadIdentity(dir); errs.KindOf(err) != errs.NotFound || errs.HintOf(err) == "" {
		t.Errorf("none: %v", err)
	}
	for _, id := range []pki.Identity{m.identity("web1"), m.identity("web1"), newMaster(t).identity("other")} {
		must(t, pki.SaveIdentity(dir, id))
		got, err := pki.LoadIdentity(dir)
		must(t, err)
		if !same(got, id) {
			t.Error("another one was loaded")
		}
		_, err = pki.NewLiveIdentity(got) // the key fits
		must(t, err)
		mode(t, dir, 0o700|os.ModeDir)
		mode(t, filepath.Join(dir, "identity.pem"), 0o600)
		onlyFiles(t, dir, "identity.pem")
	}
	must(t, os.Chmod(filepath.Join(dir, "identity.pem"), 0o604))
	if _, err := pki.LoadIdentity(dir); errs.KindOf(err) != errs.Permission {
		t.Errorf("readable by others: %v", err)
	}
}

func TestPartsOfAnIdentityBelongTogether(t *testing.T) {
	m := newMaster(t)
	a, b, stranger := m.identity("web1"), m.identity("web1"), newMaster(t).identity("web1")
	masterCert, err := m.leaf.Current()
	must(t, err)
	for name, change := range map[string]func(*pki.Identity){
		"another's key":         func(id *pki.Identity) { id.Key = b.Key },
		"another's certificate": func(id *pki.Identity) { id.Certificate = b.Certificate },
		"another CA":            func(id *pki.Identity) { id.CA = stranger.CA },
		"another name":          func(id *pki.Identity) { id.Name = "web2" },
		"no certificate":        func(id *pki.Identity) { id.Certificate = nil },
		"no CA":                 func(id *pki.Identity) { id.CA = nil },
		"the master's":          func(id *pki.Identity) { id.Certificate = masterCert.Leaf.Raw },
	} {
		id, dir := a, t.TempDir()
		must(t, pki.SaveIdentity(dir, a))
		change(&id)
		if err := pki.SaveIdentity(dir, id); err == nil {
			t.Errorf("%s: saved", name)
		}
		if _, err := pki.NewLiveIdentity(id); err == nil {
			t.Errorf("%s: used", name)
		}
		if got, err := pki.LoadIdentity(dir); err != nil || !same(got, a) {
			t.Errorf("%s: the old one is lost: %v", name, err)
		}
	}
}

func TestDamagedIdentitiesAreRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, pki.SaveIdentity(dir, newMaster(t).identity("web1")))
	path := filepath.Join(dir, "identity.pem")
	good, err := os.ReadFile(path)
	must(t, err)
	for n := 0; n < len(good)-1; n += 11 {
		must(t, os.WriteFile(path, good[:n], 0o600))
		if _, err := pki.LoadIdentity(dir); errs.KindOf(err) != errs.Corrupt || errs.HintOf(err) == "" {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	must(t, os.WriteFile(path, append(good, "more"...), 0o600))
	if _, err := pki.LoadIdentity(dir); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("with something behind: %v", err)
	}
}

func TestLeftoversOfACrashDoNotMatter(t *testing.T) {
	m, dir := newMaster(t), t.TempDir()
	first, second := m.identity("web1"), m.identity("web1")
	must(t, pki.SaveIdentity(dir, first))
	must(t, os.WriteFile(filepath.Join(dir, ".identity.pem.tmp"), []byte("half"), 0o644))
	got, err := pki.LoadIdentity(dir)
	if err != nil || !same(got, first) {
		t.Fatalf("%v", err)
	}
	must(t, pki.SaveIdentity(dir, second))
	got, err = pki.LoadIdentity(dir)
	if err != nil || !same(got, second) {
		t.Fatalf("%v", err)
	}
	mode(t, filepath.Join(dir, "identity.pem"), 0o600)
	onlyFiles(t, dir, "identity.pem")
}

const saverDir = "SITEKEEP_TEST_SAVER_DIR"

// TestMain lets the test binary play the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(saverDir); dir != "" {
		os.Exit(saveForEver(dir))
	}
	os.Exit(m.Run())
}

// saveForEver replaces the identity in dir by that in dir/other and back.
func saveForEver(dir string) int {
	a, errA := pki.LoadIdentity(dir)
	b, errB := pki.LoadIdentity(filepath.Join(dir, "other"))
	for err := errors.Join(errA, errB); err == nil; a, b = b, a {
		err = pki.SaveIdentity(dir, b)
	}
	return 1
}

func TestIdentitySurvivesKill(t *testing.T) {
	m, dir := newMaster(t), t.TempDir()
	a, b := m.identity("web1"), m.identity("web1")
	must(t, pki.SaveIdentity(dir, a))
	must(t, pki.SaveIdentity(filepath.Join(dir, "other"), b))
	seen := map[bool]int{}
	for n := range 25 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), saverDir+"="+dir)
		must(t, child.Start())
		time.Sleep(15*time.Millisecond + time.Duration(n)*731*time.Microsecond)
		must(t, child.Process.Kill())
		if err := child.Wait(); err == nil || child.ProcessState.Exited() {
			t.Fatalf("the child ended by itself: %v", child.ProcessState)
		}
		got, err := pki.LoadIdentity(dir)
		must(t, err)
		if !same(got, a) && !same(got, b) {
			t.Fatal("neither the one nor the other")
		}
		seen[same(got, a)]++
		must(t, pki.SaveIdentity(filepath.Join(dir, "other"), map[bool]pki.Identity{true: b, false: a}[same(got, a)]))
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("the child never saved anything: %v", seen)
	}
}

func TestNewIdentityIsUsedAtOnce(t *testing.T) {
	m, now := newMaster(t), clockAt(start())
	live := m.agent("web1")
	server := pki.AgentServer(live, now)
	serial := func() string {
		got := meet(t, pki.MasterDial(m.leaf, "web1", nobody, now), server)
		must(t, got.err())
		peer, err := pki.PeerOf(got.client)
		must(t, err)
		return peer.Serial
	}
	first := serial()
	must(t, live.Replace(m.identity("web1")))
	if serial() == first {
		t.Error("the old certificate is shown")
	}
}
