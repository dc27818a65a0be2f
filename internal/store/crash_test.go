package store

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestCrash kills a process at every point that a commit and a removal pass,
// and sweeps: what is listed is then complete, what is not is gone.
func TestCrash(t *testing.T) {
	for op, run := range crashOps() {
		l := openLocal(t)
		var points []string
		l.reached = func(point string) { points = append(points, point) }
		fatal(t, run(l, filepath.Join(l.dir, "listed")))
		if len(points) < 4 {
			t.Fatalf("%s passes %v", op, points)
		}
		for _, point := range slices.Compact(slices.Sorted(slices.Values(points))) {
			t.Run(op+" at "+point, func(t *testing.T) { crashAt(t, op, point) })
		}
	}
}

func crashAt(t *testing.T, op, point string) {
	l := openLocal(t)
	put(t, l, other, TarGz)
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "STORE_CRASH_OP="+op, "STORE_CRASH_POINT="+point, "STORE_CRASH_DIR="+l.dir)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	isListed := exists(filepath.Join(l.dir, "listed"))
	known := listed(other)
	if isListed {
		known = listed(other, id)
	}
	report, err := l.Sweep(t.Context(), known)
	fatal(t, err)
	if len(report.Unlisted)+len(report.Missing) > 0 {
		t.Fatalf("%+v", report)
	}
	want := []string{"b.example/" + other + ".manifest.json", "b.example/" + other + ".tar.gz"}
	if isListed {
		want = append(want, side, tarball, "listed")
		checkWhole(t, l)
	}
	slices.Sort(want)
	if got := tree(t, l); !slices.Equal(got, want) {
		t.Fatalf("left %v\nwant %v", got, want)
	}
}

func checkWhole(t *testing.T, l *Local) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(l.dir, tarball))
	fatal(t, err)
	sidecar, err := l.Sidecar(t.Context(), id)
	fatal(t, err)
	if string(got) != "tarball" || string(sidecar) != "sidecar" {
		t.Fatalf("tarball %q, sidecar %q", got, sidecar)
	}
}

// crashOps are the operations that a process is killed in. The list of backups
// is one file, there or not.
func crashOps() map[string]func(l *Local, list string) error {
	commit := func(l *Local, list string) error {
		p, err := l.Create(context.Background(), id, TarZst, 0)
		if err != nil {
			return err
		}
		if _, err := p.Spool("dump"); err != nil {
			return err
		}
		if _, err := p.File().WriteString("tarball"); err != nil {
			return err
		}
		return p.Commit(context.Background(), []byte("sidecar"), func(context.Context) error {
			l.reached("about to be recorded")
			return os.WriteFile(list, nil, 0o600)
		})
	}
	remove := func(l *Local, list string) error {
		reached := l.reached
		l.reached = func(string) {}
		if err := commit(l, list); err != nil {
			return err
		}
		l.reached = reached
		return l.Delete(context.Background(), id, func(context.Context) error {
			l.reached("about to be forgotten")
			return os.Remove(list)
		})
	}
	return map[string]func(*Local, string) error{"commit": commit, "delete": remove}
}

func TestMain(m *testing.M) {
	if op := os.Getenv("STORE_CRASH_OP"); op != "" {
		crash(op)
	}
	os.Exit(m.Run())
}

// crash runs an operation and kills its own process at the named point.
func crash(op string) {
	l, err := OpenLocal(os.Getenv("STORE_CRASH_DIR"), Options{})
	if err == nil {
		l.reached = func(point string) {
			if point == os.Getenv("STORE_CRASH_POINT") {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		err = crashOps()[op](l, filepath.Join(l.dir, "listed"))
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
	}
	os.Exit(1)
}
