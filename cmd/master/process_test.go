package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is a run of the program.
type process struct {
	cmd            *exec.Cmd
	person         *os.File // the terminal's other end; nil without
	seen           chan struct{}
	stdout, stderr output
}

// output is a buffer that can be read while a program writes to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

const scriptTimeout = 20 * time.Second

func start(ts *testscript.TestScript, onTerminal bool, args []string) *process {
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	p := &process{cmd: exec.Command(path, args[1:]...)}
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "SITEKEEP_DATA_DIR", "SITEKEEP_ADDRESS", "SITEKEEP_TOKEN", "SOURCE_DATE_EPOCH"} {
		if value := ts.Getenv(name); value != "" {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	if name := ts.Getenv("STDIN"); name != "" {
		in, err := os.Open(ts.MkAbs(name))
		ts.Check(err)
		defer in.Close()
		p.cmd.Stdin = in
	}
	if !onTerminal {
		p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
		ts.Check(p.cmd.Start())
		return p
	}
	person, program, err := openTerminal()
	ts.Check(err)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = program, program, program
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = p.cmd.Start()
	ts.Check(errors.Join(err, program.Close()))
	p.person, p.seen = person, make(chan struct{})
	go func() {
		defer close(p.seen)
		io.Copy(&p.stdout, person) // ends with EIO when the program has closed its end
	}()
	return p
}

// wait returns the exit status.
func (p *process) wait() int {
	timer := time.AfterFunc(scriptTimeout, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	p.cmd.Wait() // its error is the status, or what a killed process leaves
	if p.person != nil {
		<-p.seen
		p.person.Close()
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.wait()
}

func (p *process) expect(ts *testscript.TestScript, status string) {
	want, err := strconv.Atoi(status)
	ts.Check(err)
	got := p.wait()
	io.WriteString(ts.Stdout(), p.stdout.String())
	io.WriteString(ts.Stderr(), p.stderr.String())
	if got != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", got, want, p.stdout.String(), p.stderr.String())
	}
}
