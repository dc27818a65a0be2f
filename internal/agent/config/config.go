// Package config reads agent.yaml: which directories and databases an agent
// may touch, and where its database server and its web server are. It refuses
// to know what is done with them, and opens nothing but the files it is told of.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/webserver"
)

// FileName is the configuration's name in an agent's data directory.
const FileName = "agent.yaml"

// maxFile bounds what is read of a configuration, and of a password file.
const maxFile = 1 << 20

// Config is what stands in agent.yaml, with defaults filled in.
type Config struct {
	Allow Allow `yaml:"allow"`
	// MySQL is the database server; nil for an agent without one.
	MySQL *MySQL `yaml:"mysql"`
	// Webserver is the web server; nil for an agent without one.
	Webserver *webserver.Config `yaml:"webserver"`
	// Hooks are the programs that run before and after tasks; nil for an agent without them.
	Hooks *Hooks `yaml:"hooks"`
	// Limits say how much of the machine backups may take.
	Limits Limits `yaml:"limits"`
}

// Limits say how much of the machine backups may take.
type Limits struct {
	// Gentle has the sites' visitors go before backups; nil: it is so.
	Gentle *bool `yaml:"gentle"`
}

// BackupsAreGentle reports whether visitors go first.
func (l Limits) BackupsAreGentle() bool { return l.Gentle == nil || *l.Gentle }

// Hooks says where programs lie that run before and after tasks, and how they are run.
type Hooks struct {
	// Directory holds a directory for each event, such as after-restore; the executables in that are the hooks.
	Directory string `yaml:"directory"`
	// Timeout is how long one hook may run; 0: ten minutes.
	Timeout time.Duration `yaml:"timeout"`
	// User is the account they run as; empty: the owner of the site's directory.
	User string `yaml:"user"`
}

// Allow is what a master may name.
type Allow struct {
	// Roots are clean absolute directories. Nothing outside is read or written.
	Roots []string `yaml:"roots"`
	// Databases are patterns, as path.Match reads them.
	Databases []string `yaml:"databases"`
}

// MySQL says where the database server is and who administers it. One of
// Socket, Host and DefaultsFile is set.
type MySQL struct {
	Socket       string `yaml:"socket"`
	Host         string `yaml:"host"`
	Port         int    `yaml:"port"` // 0: 3306
	DefaultsFile string `yaml:"defaults_file"`
	User         string `yaml:"user"`
	// PasswordFile holds the password; read at every login, so that it may change.
	PasswordFile string `yaml:"password_file"`
	// TLS is how a connection over TCP is protected, as dbdump.TLSMode: "disabled", "required", "verify", or empty for
	// what the option file says, or else TLS where the server offers it.
	TLS string `yaml:"tls"`
	// TLSCA is a file of CAs in PEM for "verify"; empty: those of the system.
	TLSCA string `yaml:"tls_ca"`
	// Advertise is host:port that web servers use; empty: the agent finds out.
	Advertise string `yaml:"advertise"`
	// Dump is how databases are read.
	Dump Dump `yaml:"dump"`
	// Import is how databases are filled.
	Import Import `yaml:"import"`
}

// Import says how databases are filled.
type Import struct {
	// MaxThreadsRunning lets an import pause while more threads of others run on the server; 0: never.
	MaxThreadsRunning int `yaml:"max_threads_running"`
}

// Dump says how databases are read. A master may ask for more tables without
// rows.
type Dump struct {
	// Engine is "native", "client", or empty for whichever fits.
	Engine string `yaml:"engine"`
	// Parallel is how many connections read a database at once; 0 for up to two.
	Parallel int `yaml:"parallel"`
	// StructureOnly are patterns of tables whose rows are left out, as path.Match reads them.
	StructureOnly []string `yaml:"structure_only"`
	// LockTables keeps tables without transactions locked against writing during a dump.
	LockTables bool `yaml:"lock_tables"`
	// MaxThreadsRunning lets a dump pause while more threads run on the server; 0: never.
	MaxThreadsRunning int `yaml:"max_threads_running"`
}

// Load reads the configuration in an agent's data directory. Its error names
// every fault with its line and what to do.
func Load(dataDir string) (*Config, error) {
	path := filepath.Join(dataDir, FileName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, fmt.Sprintf("write it, beginning with: cp %s %s", samplePath(dataDir), path),
			"there is no configuration %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if info.Size() > maxFile {
		return nil, errs.New(errs.Precondition, "make it shorter", "configuration %s is larger than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse reads a configuration; name stands before each line number in its error.
func Parse(name string, text []byte) (*Config, error) {
	d, err := decode(name, text)
	if err != nil {
		return nil, err
	}
	d.cfg.setDefaults()
	d.validate()
	if len(d.faults) > 0 {
		return nil, d.err()
	}
	return d.cfg, nil
}

// Password returns what password_file holds, without the line's end; empty if there is none.
func (m *MySQL) Password() (string, error) {
	if m.PasswordFile == "" {
		return "", nil
	}
	if err := checkPasswordFile(m.PasswordFile); err != nil {
		return "", err
	}
	text, err := os.ReadFile(m.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("mysql.password_file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
