package webserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answering starts a server that gives one answer, over TLS or not, and returns its address.
func answering(t *testing.T, overTLS bool, status int, location string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(status)
	}))
	if overTLS {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// serverAt is a web server that listens there.
func serverAt(t *testing.T, listen ...string) *Server {
	t.Helper()
	s, err := New(Config{
		Kind: "nginx", VhostDir: t.TempDir(), Listen: listen, TestCommand: []string{"true"}, ReloadCommand: []string{"true"}, WebGroup: "nogroup",
		CommandTimeout: time.Minute,
	}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// TestVisitorStatus: whoever is let in anywhere counts, and http that leads to https is asked there.
func TestVisitorStatus(t *testing.T) {
	nobody := "127.0.0.1:1"
	at := func(status int) string { return answering(t, false, status, "") }
	secure := func(status int) string {
		return answering(t, false, 301, "https://example.com:"+portOf(answering(t, true, status, ""))+"/")
	}
	for name, c := range map[string]struct {
		listen []string
		want   int
	}{
		"closed":                {[]string{at(503)}, 503},
		"open":                  {[]string{at(200)}, 200},
		"open at the second":    {[]string{at(503), at(200)}, 200},
		"another's at the last": {[]string{at(503), at(404)}, 503},
		"broken":                {[]string{at(403), nobody}, 403},
		"nobody":                {[]string{nobody}, 0},
		"closed by https":       {[]string{secure(503)}, 503},
		"open by https":         {[]string{secure(200)}, 200},
		"elsewhere":             {[]string{answering(t, false, 302, "http://other.example/")}, 302},
	} {
		t.Run(name, func(t *testing.T) {
			s := serverAt(t, c.listen...)
			if status, err := s.VisitorStatus(t.Context(), "example.com"); err != nil || status != c.want {
				t.Errorf("%d, %v; want %d", status, err, c.want)
			}
		})
	}
}

// TestSwitchIsOffBeforeTheMaintenanceEnds, and as long as it is not the maintenance stays.
func TestSwitchIsOffBeforeTheMaintenanceEnds(t *testing.T) {
	broken, offs := errors.New("the disk is gone"), 0
	s := serverAt(t, "127.0.0.1:1")
	s.switchOff = func(name string, note []byte) error {
		offs++
		if name != "example.com" || string(note) != `{"a":1}` {
			t.Errorf("switched off %s, %s", name, note)
		}
		return broken
	}
	note := func([]byte, string) ([]byte, error) { return []byte(`{"a":1}`), nil }
	if err := s.NoteSwitch(t.Context(), "example.com", note); !errors.Is(err, ErrNotHeld) {
		t.Errorf("noted without a maintenance: %v", err)
	}
	begun, err := s.BeginMaintenance(t.Context(), "example.com", "task", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.NoteSwitch(t.Context(), "example.com", note); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EndMaintenance(t.Context(), "example.com", "task"); !errors.Is(err, broken) {
		t.Errorf("ended: %v", err)
	}
	if ended, err := s.SweepMaintenance(t.Context(), begun.Until.Add(time.Second)); !errors.Is(err, broken) || len(ended) > 0 {
		t.Errorf("swept: %v, %v", ended, err)
	}
	if got, pass, held, err := s.Switch("example.com"); err != nil || !held || pass == "" || string(got) != `{"a":1}` {
		t.Errorf("the note is %s, pass %q, held %v, %v", got, pass, held, err)
	}
	broken = nil
	if ended, err := s.EndMaintenance(t.Context(), "example.com", "task"); err != nil || !ended || offs != 3 {
		t.Errorf("ended %v, %v, after %d", ended, err, offs)
	}
	if got, _, held, err := s.Switch("example.com"); err != nil || held || got != nil {
		t.Errorf("left: %s, held %v, %v", got, held, err)
	}
}
