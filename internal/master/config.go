package master

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

// Names in a data directory.
const (
	configName    = "master.yaml"
	caDir         = "ca"
	storeDir      = "store"
	catalogueName = "catalogue.db"
	// SocketName is that of the Unix socket for commands on the same machine.
	SocketName = "sitekeep.sock"
)

// Config is master.yaml.
type Config struct {
	// Name is the host name under which agents reach the master.
	Name string `yaml:"name"`
	// Listen is where the gRPC API and agents that dial in are served: HOST:PORT.
	Listen string `yaml:"listen"`
	// HTTP is where the pages are served over TLS, and the health page with and without: HOST:PORT. Empty: nowhere.
	HTTP string `yaml:"http"`
	// HTTPS is the certificate of the pages.
	HTTPS HTTPS `yaml:"https,omitempty"`
	// Limits bound what runs at the same time, and how long it waits.
	Limits Limits `yaml:"limits"`
	// Niceness puts the master behind other programs of its machine that want a processor, such as the sites of one that
	// serves some itself: 0 to 19.
	Niceness int `yaml:"niceness"`
	// Bandwidth bounds the bytes from and to agents.
	Bandwidth Bandwidth `yaml:"bandwidth"`
	// FullEvery has every so many backups of a site read everything. 0: only those that are asked to.
	FullEvery int `yaml:"full_every"`
	// Reserve is how many bytes of the store's file system stay free.
	Reserve int64 `yaml:"reserve_bytes"`
	// ZstdLevel is the compression level of tar.zst, 1 to 19.
	ZstdLevel int `yaml:"zstd_level"`
	// KeepLogs is for how long logs of ended tasks are kept.
	KeepLogs time.Duration `yaml:"keep_task_logs"`
}

// HTTPS names PEM files; without, the master's own authority issues the certificate. They are read again when they change.
type HTTPS struct {
	Certificate string `yaml:"certificate,omitempty"` // with the chain
	Key         string `yaml:"key,omitempty"`
}

// Limits bound running tasks.
type Limits struct {
	Total             int `yaml:"total"`               // in all
	PerAgent          int `yaml:"per_agent"`           // that use one web server's agent
	PerDatabaseServer int `yaml:"per_database_server"` // that use one database server's agent
	// RetryFor is how long a backup, or a restore's upload, whose connection broke waits to get on. 0: not at all.
	RetryFor time.Duration `yaml:"retry_for"`
	// WaitForAgents is for how long a backup of a schedule, or one of many, is tried again whose agents cannot be reached.
	// 0: not at all.
	WaitForAgents time.Duration `yaml:"wait_for_agents"`
}

// Default addresses.
const (
	DefaultListen = ":7440"
	DefaultHTTP   = "127.0.0.1:7480"
)

// defaultZstdLevel: on a site of text and media level 1 takes half the CPU of level 3, and 0.6 % more room; see
// docs/performance.md.
const defaultZstdLevel = 1

func defaults() Config {
	return Config{
		Listen: DefaultListen, HTTP: DefaultHTTP, Limits: Limits{Total: 8, PerAgent: 2, PerDatabaseServer: 2, RetryFor: 15 * time.Minute, WaitForAgents: 30 * time.Minute},
		FullEvery: 30, Niceness: 10,
		Reserve: 256 << 20, KeepLogs: 90 * 24 * time.Hour, ZstdLevel: defaultZstdLevel,
	}
}

// Init makes a data directory: certificate authority, store, master.yaml. It
// refuses one that is a master's already.
func Init(dir string, c Config, now time.Time) error {
	path := filepath.Join(dir, configName)
	if _, err := os.Stat(path); err == nil {
		return errs.New(errs.Exists, "run it with: sitekeep serve --data-dir "+dir, "%s is a master's data directory already", dir)
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, storeDir), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if _, err := loadOrInitCA(filepath.Join(dir, caDir), c.Name, now); err != nil {
		return err
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("master.yaml: %w", err)
	}
	return renameio.WriteFile(path, text, 0o600)
}

// loadOrInitCA goes on after an Init that was interrupted.
func loadOrInitCA(dir, name string, now time.Time) (*pki.CA, error) {
	if _, err := os.Stat(dir); err == nil {
		if ca, err := pki.LoadCA(dir); err == nil {
			return ca, nil
		}
	}
	return pki.InitCA(dir, name, now)
}

// Load reads and checks master.yaml.
func Load(dir string) (Config, error) {
	path := filepath.Join(dir, configName)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Config{}, errs.New(errs.NotFound, "make it with: sitekeep init --data-dir "+dir, "%s is not a master's data directory", dir)
	}
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c := defaults()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, errs.New(errs.Usage, "mend the line that it names", "%s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// NewConfig is the configuration that init writes.
func NewConfig(name, listen, http string) Config {
	c := defaults()
	c.Name, c.Listen, c.HTTP = name, listen, http
	return c
}

func (c *Config) check() error {
	if c.Name == "" {
		return errs.New(errs.Usage, "give the host name under which agents reach the master", "name: is empty")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return errs.New(errs.Usage, "give HOST:PORT or :PORT", "listen: %w", err)
	}
	if c.HTTP != "" {
		if _, _, err := net.SplitHostPort(c.HTTP); err != nil {
			return errs.New(errs.Usage, "give HOST:PORT or :PORT", "http: %w", err)
		}
		if c.HTTP == c.Listen && !strings.HasSuffix(c.HTTP, ":0") {
			return errs.New(errs.Usage, "give each a port of its own", "http and listen are both %s", c.HTTP)
		}
	}
	if c.ZstdLevel < 1 || c.ZstdLevel > 19 {
		return errs.New(errs.Usage, "give 1 to 19", "zstd_level: %d", c.ZstdLevel)
	}
	if c.Niceness < 0 || c.Niceness > 19 {
		return errs.New(errs.Usage, "give 0 to 19", "niceness: %d", c.Niceness)
	}
	if (c.HTTPS.Certificate == "") != (c.HTTPS.Key == "") {
		return errs.New(errs.Usage, "give both, or neither for a certificate of the master's own authority", "https: certificate and key belong together")
	}
	return c.checkLimits()
}

func (c *Config) checkLimits() error {
	l := c.Limits
	switch {
	case l.Total < 1 || l.PerAgent < 1 || l.PerDatabaseServer < 1:
		return errs.New(errs.Usage, "give at least 1", "limits: %d in all, %d an agent, %d a database server", l.Total, l.PerAgent, l.PerDatabaseServer)
	case l.RetryFor < 0:
		return errs.New(errs.Usage, "give 0 or more, such as 15m", "limits: retry_for: %s", l.RetryFor)
	case l.WaitForAgents < 0:
		return errs.New(errs.Usage, "give 0 or more, such as 30m", "limits: wait_for_agents: %s", l.WaitForAgents)
	case c.FullEvery < 0:
		return errs.New(errs.Usage, "give 0 or more", "full_every: %d", c.FullEvery)
	}
	return nil
}

// addresses are where agents find the master, the best first.
func (c *Config) addresses() []string {
	host, port, _ := net.SplitHostPort(c.Listen)
	named := net.JoinHostPort(c.Name, port)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return []string{named}
	}
	if host == c.Name {
		return []string{c.Listen}
	}
	return []string{c.Listen, named}
}
