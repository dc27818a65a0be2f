package webserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExecRunner(t *testing.T) {
	out, err := ExecRunner{}.Run(t.Context(), []string{"sh", "-c", "echo out; echo err >&2; exit 3"})
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 3 || string(out) != "out\nerr\n" {
		t.Errorf("got %q, %v", out, err)
	}
	out, err = ExecRunner{}.Run(t.Context(), []string{"sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"})
	if err != nil || len(out) > maxOutput+100 || !strings.HasSuffix(string(out), "[more output left out]") {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
	if _, err := (ExecRunner{}).Run(t.Context(), []string{"/nonexistent/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := (ExecRunner{}).Run(t.Context(), nil); err == nil {
		t.Error("an empty command runs")
	}
}

func TestExecRunnerKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	alive := filepath.Join(t.TempDir(), "alive")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := ExecRunner{}.Run(ctx, []string{"sh", "-c", "(sleep 1; touch " + alive + ") & wait"})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > killDelay {
		t.Errorf("got %v after %s", err, time.Since(begun))
	}
	time.Sleep(1200 * time.Millisecond)
	if _, err := os.Stat(alive); err == nil {
		t.Error("a child of the command lives on")
	}
}

func TestExecRunnerDoesNotWaitForADaemon(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	out, err := ExecRunner{}.Run(t.Context(), []string{"sh", "-c", "echo started; sleep 5 &"})
	if err != nil || string(out) != "started\n" || time.Since(begun) > 4*time.Second {
		t.Errorf("got %q, %v after %s", out, err, time.Since(begun))
	}
}

func TestCommandsAreBoundedInTime(t *testing.T) {
	b := newBench(t, "nginx", func(c *Config) {
		c.TestCommand = []string{"sleep", "60"}
		c.CommandTimeout = 50 * time.Millisecond
	})
	b.Server.runner = ExecRunner{}
	begun := time.Now()
	err := b.Test(t.Context())
	if time.Since(begun) > 10*time.Second {
		t.Errorf("it took %s", time.Since(begun))
	}
	if e, ok := errors.AsType[*CommandError](err); !ok || e.What != whatTest || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// newFPM serves FastCGI as php-fpm would, with a handler in place of PHP.
func newFPM(t *testing.T, answer func(script string) string) string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "fpm.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(answer(fcgi.ProcessEnv(r)["SCRIPT_FILENAME"])))
		}))
	}()
	t.Cleanup(func() { l.Close(); <-served })
	return "unix:" + l.Addr().String()
}

func TestReloadResetsTheOpcacheWithoutACommand(t *testing.T) {
	tests := []struct {
		answer  string
		php     bool
		warning string
	}{
		{"sitekeep:reset", true, ""},
		{"sitekeep:refused", false, "restrict_api"},
		{"No input file specified.", false, "could not run"},
		{strings.Repeat("x", 2*maxFCGIAnswer), false, "longer than"},
	}
	for _, c := range tests {
		script := ""
		address := newFPM(t, func(s string) string { script = s; return c.answer })
		b := newBench(t, "nginx", func(cfg *Config) { cfg.PHPFPM, cfg.PHPReloadCommand = address, nil })
		r, err := b.Reload(t.Context())
		if err != nil || !r.Reloaded || r.PHP != c.php || !strings.Contains(r.Warning, c.warning) || (r.Warning == "") != c.php {
			t.Errorf("%.20q: got %+v, %v", c.answer, r, err)
		}
		if data, err := os.ReadFile(script); err != nil || string(data) != opcacheSource || filepath.Dir(script) != b.dir {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestReloadWithoutPHP(t *testing.T) {
	b := newBench(t, "nginx", func(c *Config) { c.PHPFPM, c.PHPReloadCommand = "", nil })
	if r, err := b.Reload(t.Context()); err != nil || r != (ReloadResult{Reloaded: true}) {
		t.Errorf("got %+v, %v", r, err)
	}
	b = newBench(t, "nginx", func(c *Config) { c.PHPFPM, c.PHPReloadCommand = "unix:/nonexistent/fpm.sock", nil })
	if r, err := b.Reload(t.Context()); err != nil || r.PHP || !strings.Contains(r.Warning, "php_reload_command") {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestFCGIAnswersThatEndEarly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	whole := fcgiRecord(fcgiRecord(nil, fcgiStdout, []byte("hello")), fcgiEnd, make([]byte, 8))
	for cut := range len(whole) + 1 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Write(whole[:cut])
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = conn.Read(make([]byte, 1<<16))
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		out, err := fcgiGet(ctx, l.Addr().String(), [][2]string{{"A", strings.Repeat("b", 300)}})
		cancel()
		<-done
		if (err == nil) != (cut == len(whole)) || err == nil && string(out) != "hello" {
			t.Errorf("cut at %d: %q, %v", cut, out, err)
		}
	}
}
