package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// Master is a running `sitekeep serve`. Kill, Stop and Start of [Process] make
// it crash, end and come back over the same data directory.
type Master struct {
	*Process
	DataDir string
	Addr    netip.AddrPort // gRPC
	HTTP    netip.AddrPort
	program string
}

// Master makes a master's data directory with `sitekeep init` and starts it.
func (b *Bed) Master(ctx context.Context, name string) (*Master, error) {
	bin, err := Build()
	if err != nil {
		return nil, err
	}
	dir, err := b.part(name)
	if err != nil {
		return nil, err
	}
	ip := b.IP()
	ports, err := freePorts(ip, 2)
	if err != nil {
		return nil, err
	}
	m := &Master{DataDir: filepath.Join(dir, "data"), Addr: ports[0], HTTP: ports[1], program: bin.Master}
	init := exec.CommandContext(ctx, bin.Master, "init", "--data-dir", m.DataDir, "--name", ip.String(),
		"--listen", m.Addr.String(), "--http", m.HTTP.String())
	if _, err := run(ctx, init); err != nil {
		return nil, fmt.Errorf("%s: sitekeep init: %w", name, err)
	}
	m.Process, err = b.serve(ctx, name, dir, bin.Master, "serve", "--data-dir", m.DataDir)
	return m, err
}

// serve starts one of our programs and waits until it says that it is ready,
// on its output and to systemd.
func (b *Bed) serve(ctx context.Context, name, dir string, argv ...string) (*Process, error) {
	notify, err := listenNotify(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.onClose(notify.close)
	return b.Run(ctx, Service{
		Name: name, Argv: argv, Dir: dir, Env: []string{"NOTIFY_SOCKET=" + notify.path},
		Stop: syscall.SIGTERM, Ready: notify.isReady, Before: func() { notify.ready.Store(false) },
	})
}

// Result is what an operator's command said.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status
	Took           time.Duration
}

func (r *Result) String() string {
	return fmt.Sprintf("exit status %d after %.2f s\nstandard output:\n%s\nstandard error:\n%s",
		r.Code, r.Took.Seconds(), r.Stdout, r.Stderr)
}

// Command prepares an operator's command on the master's machine, for tests
// that want its pipes or its process. It is the leader of a process group.
func (m *Master) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.program, args...)
	cmd.Env = append(bareEnv(), "SITEKEEP_DATA_DIR="+m.DataDir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = stopTimeout
	return cmd
}

// commandTimeout ends a command that does not, before go test's own limit does
// and hides what it said.
const commandTimeout = 5 * time.Minute

// CLI runs an operator's command to its end. An exit status other than 0 is no
// error; a command that could not be run, or that a signal ended, is one, and
// so is one that runs for more than five minutes.
func (m *Master) CLI(ctx context.Context, args ...string) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := m.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := &Result{Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(began)}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		r.Code, err = exit.ExitCode(), nil
	}
	if err != nil {
		return r, fmt.Errorf("sitekeep %s: %w\n%s", strings.Join(args, " "), err, r)
	}
	return r, nil
}

// Run runs an operator's command that must end with 0 and returns its standard
// output.
func (m *Master) Run(ctx context.Context, args ...string) (string, error) {
	r, err := m.CLI(ctx, args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("sitekeep %s: %s", strings.Join(args, " "), r)
	}
	return r.Stdout, err
}

// AgentConfig is agent.yaml.
type AgentConfig struct {
	Allow struct {
		Roots     []string `yaml:"roots"`
		Databases []string `yaml:"databases"`
	} `yaml:"allow"`
	MySQL     *AgentMySQL     `yaml:"mysql,omitempty"`
	Webserver *AgentWebserver `yaml:"webserver,omitempty"`
	Hooks     *AgentHooks     `yaml:"hooks,omitempty"`
	Limits    *AgentLimits    `yaml:"limits,omitempty"`
}

// AgentLimits say how much of the machine backups may take, in agent.yaml.
type AgentLimits struct {
	Gentle bool `yaml:"gentle"`
}

// AgentHooks is where programs before and after tasks lie, in agent.yaml.
type AgentHooks struct {
	Directory string `yaml:"directory"`
	Timeout   string `yaml:"timeout,omitempty"`
}

// AgentMySQL is the part of the db role in agent.yaml.
type AgentMySQL struct {
	Socket       string `yaml:"socket,omitempty"`
	Host         string `yaml:"host,omitempty"`
	DefaultsFile string `yaml:"defaults_file,omitempty"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file,omitempty"`
	Advertise    string `yaml:"advertise,omitempty"`

	Dump AgentDump `yaml:"dump,omitempty"`
}

// AgentDump is how an agent reads databases, in agent.yaml.
type AgentDump struct {
	Engine string `yaml:"engine,omitempty"`
}

// AgentWebserver is the part of the web role in agent.yaml.
type AgentWebserver struct {
	Kind             string   `yaml:"kind"`
	VhostDir         string   `yaml:"vhost_dir"`
	Listen           []string `yaml:"listen"`
	TestCommand      []string `yaml:"test_command"`
	ReloadCommand    []string `yaml:"reload_command"`
	WebGroup         string   `yaml:"web_group"`
	PHPFPM           string   `yaml:"php_fpm,omitempty"`
	ModPHP           bool     `yaml:"mod_php,omitempty"`
	ConfigFile       string   `yaml:"config_file,omitempty"`
	PHPReloadCommand []string `yaml:"php_reload_command,omitempty"`
}

// Agent is a running `sitekeep-agent serve`.
type Agent struct {
	*Process
	DataDir string
	Addr    netip.AddrPort
	Config  AgentConfig // change it, call WriteConfig, stop and start
}

// AgentOptions say what an agent is for; a web server, a database server, or
// both. DialOut has it dial the master in place of listening. Command is a shell command that somebody was given to join
// the server with; without one the master's command line is asked for a token. The backups of a Hurried one do not give
// way to visitors.
type AgentOptions struct {
	Web     *Web
	DB      *MariaDB
	DialOut bool
	Hurried bool
	Command string
}

// Agent joins a server of the given name to the master and starts its agent.
func (b *Bed) Agent(ctx context.Context, m *Master, name string, o AgentOptions) (*Agent, error) {
	bin, err := Build()
	if err != nil {
		return nil, err
	}
	dir, err := b.part("agent-" + name)
	if err != nil {
		return nil, err
	}
	a := &Agent{DataDir: filepath.Join(dir, "data")}
	if a.Addr, err = FreePort(b.IP()); err != nil {
		return nil, err
	}
	if err := a.join(ctx, m, bin.Agent, name, o); err != nil {
		return nil, fmt.Errorf("agent %s: %w", name, err)
	}
	if err := a.configure(dir, o); err != nil {
		return nil, fmt.Errorf("agent %s: %w", name, err)
	}
	a.Process, err = b.serve(ctx, "agent-"+name, dir, bin.Agent, "serve", "--data-dir", a.DataDir)
	return a, err
}

func (a *Agent) join(ctx context.Context, m *Master, program, name string, o AgentOptions) error {
	if o.Command != "" {
		return a.joinBy(ctx, program, o.Command)
	}
	ask := []string{"server", "token", name}
	if o.Web != nil {
		ask = append(ask, "--role", "web")
	}
	if o.DB != nil {
		ask = append(ask, "--role", "db")
	}
	token, err := m.Run(ctx, ask...)
	if err != nil {
		return err
	}
	if token = strings.TrimSuffix(token, "\n"); token == "" || strings.ContainsAny(token, " \n") {
		return fmt.Errorf("server token: standard output is %q, not one token alone on its line", token)
	}
	args := []string{"join", "--token", token, "--data-dir", a.DataDir}
	if o.DialOut {
		args = append(args, "--dial-out")
	} else {
		args = append(args, "--listen", a.Addr.String())
	}
	_, err = run(ctx, exec.CommandContext(ctx, program, args...))
	return err
}

// joinBy runs a command as an operator pastes it, but for what a bed must have elsewhere.
func (a *Agent) joinBy(ctx context.Context, program, command string) error {
	bin, err := os.MkdirTemp(filepath.Dir(a.DataDir), "bin-")
	if err != nil {
		return err
	}
	if err := os.Symlink(program, filepath.Join(bin, "sitekeep-agent")); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command+` --data-dir "$1" --listen "$2"`, "sh", a.DataDir, a.Addr.String())
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
	_, err = run(ctx, cmd)
	return err
}

func (a *Agent) configure(dir string, o AgentOptions) error {
	a.Config.Allow.Roots, a.Config.Allow.Databases = []string{}, []string{}
	if w := o.Web; w != nil {
		a.Config.Allow.Roots = []string{w.Root}
		a.Config.Webserver = w.AgentConfig()
	}
	if db := o.DB; db != nil {
		a.Config.Allow.Databases = []string{"*"}
		a.Config.MySQL = &AgentMySQL{
			Socket: db.Socket, User: "root", PasswordFile: filepath.Join(dir, "db-password"), Advertise: db.Addr.String(),
		}
		if err := os.WriteFile(a.Config.MySQL.PasswordFile, []byte(db.Password+"\n"), 0o600); err != nil {
			return err
		}
	}
	if o.Hurried {
		a.Config.Limits = &AgentLimits{Gentle: false}
	}
	return a.WriteConfig()
}

// ConfigPath is the agent's agent.yaml.
func (a *Agent) ConfigPath() string { return filepath.Join(a.DataDir, "agent.yaml") }

// WriteConfig writes Config to agent.yaml; the agent reads it when it starts.
func (a *Agent) WriteConfig() error {
	text, err := yaml.Marshal(&a.Config)
	if err != nil {
		return fmt.Errorf("agent.yaml: %w", err)
	}
	return os.WriteFile(a.ConfigPath(), text, 0o600)
}
