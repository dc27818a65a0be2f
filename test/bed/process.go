package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Nobody and Nogroup are the user and the group that the servers of a bed run
// as, by Debian's numbers (/usr/share/base-passwd).
const (
	Nobody  = 65534
	Nogroup = 65534
)

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	pollInterval = 10 * time.Millisecond
)

// Service is how a process of the bed is started, and started again.
type Service struct {
	Name   string   // part and log name
	Argv   []string // the program, absolute or in PATH, and its arguments
	Env    []string // beside the bare environment
	Dir    string
	Nobody bool           // runs as nobody, else as root
	Stop   syscall.Signal // asks it to end in good order
	Logs   []string       // what it writes beside its standard error

	// Ready returns nil as soon as the process does its work. It is asked
	// again until it does, the process ends, or a minute has passed. Nil stands
	// for a process that is ready at once.
	Ready func(ctx context.Context, p *Process) error
	// Before, if set, is called before each start.
	Before func()
}

// Process is a child with a process group and a log file of its own.
type Process struct {
	bed     *Bed
	spec    Service
	logPath string
	current atomic.Pointer[running] // nil when nothing runs
}

// running is one life of a process.
type running struct {
	pid      int
	logStart int64         // where its part of the log begins
	done     chan struct{} // closed when the child was waited for
	end      error         // how it ended; valid after done
}

// bareEnv is all that children get from outside.
func bareEnv() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8", "HOME=/nonexistent", "TZ=UTC",
	}
}

// Run starts a service and waits until it is ready. The bed ends it.
func (b *Bed) Run(ctx context.Context, s Service) (*Process, error) {
	p := &Process{bed: b, spec: s, logPath: filepath.Join(b.dir, "log", s.Name+".log")}
	if err := os.MkdirAll(filepath.Dir(p.logPath), 0o755); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	b.mu.Lock()
	b.children = append(b.children, p)
	b.mu.Unlock()
	b.onClose(p.Stop)
	began := time.Now()
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	b.Logf("%s is up (%.1f s)", s.Name, time.Since(began).Seconds())
	return p, nil
}

// Start starts the process again after [Process.Kill] or [Process.Stop], with
// the same arguments, and waits until it is ready. Its log goes on.
func (p *Process) Start(ctx context.Context) error {
	if r := p.current.Load(); r != nil && r.over() {
		if err := p.finish(r); err != nil {
			return err
		}
	}
	if p.Alive() {
		return fmt.Errorf("%s: runs already as process %d", p.spec.Name, p.Pid())
	}
	if err := p.spawn(); err != nil {
		return fmt.Errorf("start %s: %w", p.spec.Name, err)
	}
	if err := p.waitReady(ctx); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

func (p *Process) spawn() error {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	began, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if p.spec.Before != nil {
		p.spec.Before()
	}
	argv := p.bed.elsewhere(p.spec)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(bareEnv(), p.spec.Env...)
	cmd.Dir = p.spec.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.spec.Nobody && len(argv) == len(p.spec.Argv) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: Nobody, Gid: Nogroup}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := &running{pid: cmd.Process.Pid, logStart: began, done: make(chan struct{})}
	p.current.Store(r)
	go func() {
		r.end = cmd.Wait()
		close(r.done)
	}()
	return p.bed.guard.watch(r.pid)
}

func (p *Process) waitReady(ctx context.Context) error {
	r := p.current.Load()
	if p.spec.Ready == nil || r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := p.spec.Ready(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("%s ended before it was ready (%w); its log ends:\n%s", p.spec.Name, r.ended(), p.LogTail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w); its log ends:\n%s", p.spec.Name, err, p.LogTail())
		case <-time.After(pollInterval):
		}
	}
}

// Name is the part's name, such as "db1".
func (p *Process) Name() string { return p.spec.Name }

// Pid is the process id, which is its group's id too; 0 when nothing runs.
func (p *Process) Pid() int {
	if r := p.current.Load(); r != nil {
		return r.pid
	}
	return 0
}

// Alive says whether the process runs.
func (p *Process) Alive() bool {
	r := p.current.Load()
	return r != nil && !r.over()
}

func (r *running) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *running) ended() error {
	if r.end == nil {
		return errors.New("exit status 0")
	}
	return r.end
}

// Signal sends a signal to the whole process group. A process that has ended
// already is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	r := p.current.Load()
	if r == nil || r.over() {
		return nil
	}
	return p.send(-r.pid, sig)
}

func (p *Process) send(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s: %w", p.spec.Name, err)
	}
	return nil
}

// Kill ends the whole group with SIGKILL, as a crash would, and waits.
func (p *Process) Kill() error {
	r := p.current.Load()
	if r == nil {
		return nil
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.done
	return p.finish(r)
}

// Stop asks the process to end in good order, waits, and kills it when it does
// not. To stop what has stopped is no error.
func (p *Process) Stop() error {
	r := p.current.Load()
	if r == nil {
		return nil
	}
	if !r.over() {
		if err := p.send(r.pid, p.spec.Stop); err != nil {
			return err
		}
	}
	select {
	case <-r.done:
		return p.finish(r)
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not stop within %s", p.spec.Name, stopTimeout), p.Kill())
	}
}

// Wait waits for the process to end by itself, at most for the time of ctx.
func (p *Process) Wait(ctx context.Context) error {
	r := p.current.Load()
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", p.spec.Name, ctx.Err())
	}
}

// finish removes what is left of the group after its leader's end.
func (p *Process) finish(r *running) error {
	if !p.current.CompareAndSwap(r, nil) {
		return nil
	}
	err := p.send(-r.pid, syscall.SIGKILL)
	awaitGroup(r.pid)
	return errors.Join(err, p.bed.guard.forget(r.pid))
}

// groupTimeout is for what was killed to let go of its sockets.
const groupTimeout = 10 * time.Second

// awaitGroup waits until a killed group is dead: a worker that is dying still accepts connections.
func awaitGroup(pid int) {
	for deadline := time.Now().Add(groupTimeout); groupLives(pid) && time.Now().Before(deadline); {
		time.Sleep(pollInterval)
	}
}

// groupLives reports whether a process group has more than dead members, which wait for somebody to reap them and hold
// nothing; see proc_pid_stat(5).
func groupLives(pid int) bool {
	if errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var state string
		var parent, group int
		_, err = fmt.Sscan(string(text[bytes.LastIndexByte(text, ')')+1:]), &state, &parent, &group)
		if err == nil && group == pid && state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// Log is all that the process wrote to standard output and standard error.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// printedReady says whether a line since the last start begins with "ready".
func (p *Process) printedReady() bool {
	r := p.current.Load()
	if r == nil {
		return false
	}
	text := p.Log()
	for line := range strings.Lines(text[min(int64(len(text)), r.logStart):]) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.TrimRight(word, ":,.") == "ready" {
			return true
		}
	}
	return false
}

// LogTail is the end of the log, at most 4 KiB.
func (p *Process) LogTail() string { return tail(p.logPath, 4<<10) }

func tail(path string, limit int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > limit {
		if _, err := f.Seek(-limit, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// run runs a helper program to its end and returns its standard output. A
// failure's error has what the program said.
func run(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	said := &Tail{}
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = said
	if cmd.Env == nil {
		cmd.Env = bareEnv()
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, said)
	}
	return out.Bytes(), nil
}

// asNobody makes a command run as the servers do.
func asNobody(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: Nobody, Gid: Nogroup}}
	return cmd
}
