package config

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/sitekeep/sitekeep/pkg/webserver"

	_ "embed"
)

//go:embed agent.yaml.sample
var sample []byte

// SampleName is the name of the commented example beside the configuration.
const SampleName = FileName + ".sample"

// Sample returns a commented configuration to begin with.
func Sample() []byte { return sample }

func samplePath(dataDir string) string { return filepath.Join(dataDir, SampleName) }

// programs are the commands and directories of Debian's packages.
type programs struct {
	test, reload []string
	vhostDir     string
}

func programsOf(kind string) programs {
	switch kind {
	case "nginx":
		return programs{[]string{"nginx", "-t"}, []string{"nginx", "-s", "reload"}, "/etc/nginx/sitekeep.d"}
	case "apache":
		return programs{[]string{"apache2ctl", "configtest"}, []string{"apache2ctl", "graceful"}, "/etc/apache2/sitekeep.d"}
	}
	return programs{}
}

func (c *Config) setDefaults() {
	if c.MySQL != nil && c.MySQL.User == "" && c.MySQL.DefaultsFile == "" {
		c.MySQL.User = "root"
	}
	if c.Webserver != nil {
		setWebserverDefaults(c.Webserver)
	}
	if c.Hooks != nil && c.Hooks.Timeout == 0 {
		c.Hooks.Timeout = 10 * time.Minute
	}
}

func setWebserverDefaults(w *webserver.Config) {
	p := programsOf(w.Kind)
	if w.VhostDir == "" {
		w.VhostDir = p.vhostDir
	}
	if w.TestCommand == nil {
		w.TestCommand = p.test
	}
	if w.ReloadCommand == nil {
		w.ReloadCommand = p.reload
	}
	if w.Listen == nil {
		w.Listen = []string{"80"}
	}
	if w.WebGroup == "" {
		w.WebGroup = "www-data"
	}
}

// String says what there is, without what might be secret.
func (m *MySQL) String() string {
	switch {
	case m.Socket != "":
		return m.Socket
	case m.Host != "":
		return fmt.Sprintf("%s:%d", m.Host, m.PortOrDefault())
	}
	return m.DefaultsFile
}

// PortOrDefault returns the port, 3306 if none is given.
func (m *MySQL) PortOrDefault() int {
	if m.Port == 0 {
		return 3306
	}
	return m.Port
}
