package webserver

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/sitekeep/sitekeep/pkg/webserver/webconf"
)

// FoundVhost is a virtual host of the web server's configuration.
type FoundVhost struct {
	webconf.Vhost
	// Managed says that Sitekeep wrote its file.
	Managed bool
}

// Vhosts reads all virtual hosts out of the files of the web server's
// configuration, as they are on disk; the running server may know others. The
// one that is no site's, by which PHP in the web server is asked, is not among
// them. Warnings say what could not be read or understood.
func (s *Server) Vhosts() (vhosts []FoundVhost, warnings []string) {
	result := s.kind.Read(s.configFile())
	managed := map[string]bool{}
	for _, v := range result.Vhosts {
		if slices.Contains(v.Names, phpVhostName) {
			continue
		}
		ours, known := managed[v.File]
		if !known {
			ours = s.wrote(v.File)
			managed[v.File] = ours
		}
		vhosts = append(vhosts, FoundVhost{Vhost: v, Managed: ours})
	}
	return vhosts, result.Warnings
}

// wrote says whether a file is a virtual host that we manage.
func (s *Server) wrote(file string) bool {
	if !sameDirectory(filepath.Dir(file), s.cfg.VhostDir) {
		return false
	}
	data, err := readBounded(file)
	return err == nil && readSeal([]byte(data)).Managed
}

func sameDirectory(a, b string) bool {
	if a == b {
		return true
	}
	first, err1 := os.Stat(a)
	second, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(first, second)
}

// configFile is the main configuration file: as configured, or where the
// packages of Debian or of Red Hat have it.
func (s *Server) configFile() string {
	usual := map[string][]string{
		nginx{}.Name():  {"/etc/nginx/nginx.conf"},
		apache{}.Name(): {"/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"},
	}[s.kind.Name()]
	if s.cfg.ConfigFile != "" {
		return s.cfg.ConfigFile
	}
	there := slices.IndexFunc(usual, func(p string) bool { _, err := os.Stat(p); return err == nil })
	return usual[max(there, 0)]
}
