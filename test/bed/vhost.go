package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Vhost is a virtual host that an operator wrote: none of Sitekeep's.
type Vhost struct {
	Web     *Web
	Name    string
	Aliases []string
	Docroot string
	// Env is what it gives to PHP.
	Env map[string]string
	// Includes are files at its beginning.
	Includes []string
}

// Path is where it lies.
func (v Vhost) Path() string { return filepath.Join(v.Web.OwnVhosts, v.Name+".conf") }

// Write writes it; the web server serves it after a reload.
func (v Vhost) Write() error {
	template := "vhost.conf.tmpl"
	if v.Web.apache {
		template = "vhost-apache.conf.tmpl"
	}
	if err := render(v.Path(), template, v, 0o644); err != nil {
		return fmt.Errorf("vhost of %s: %w", v.Name, err)
	}
	return nil
}

// Publish writes it and reloads.
func (v Vhost) Publish(ctx context.Context) error {
	if err := v.Write(); err != nil {
		return err
	}
	return v.Web.Reload(ctx)
}

// Remove takes it away and reloads.
func (v Vhost) Remove(ctx context.Context) error {
	if err := os.Remove(v.Path()); err != nil {
		return fmt.Errorf("vhost of %s: %w", v.Name, err)
	}
	return v.Web.Reload(ctx)
}

// AgentConfig is the section webserver of agent.yaml for it.
func (w *Web) AgentConfig() *AgentWebserver {
	c := &AgentWebserver{
		Kind: "nginx", VhostDir: w.VhostDir, Listen: []string{w.Addr.String()}, ConfigFile: w.configFile(),
		TestCommand: w.TestCommand(), ReloadCommand: w.ReloadCommand(), WebGroup: "nogroup",
	}
	if w.apache {
		c.Kind, c.ModPHP = "apache", true
		return c
	}
	c.PHPFPM, c.PHPReloadCommand = "unix:"+w.FPMSocket, w.PHPReloadCommand()
	return c
}

func (w *Web) configFile() string {
	if w.apache {
		return filepath.Join(w.Dir, "apache.conf")
	}
	return filepath.Join(w.Dir, "nginx.conf")
}

// layWeb makes the directories of a web server.
func (b *Bed) layWeb(name string) (*Web, error) {
	dir, err := b.part(name)
	if err != nil {
		return nil, err
	}
	addr, err := FreePort(b.IP())
	if err != nil {
		return nil, err
	}
	w := &Web{
		Addr: addr, Dir: dir, Root: filepath.Join(dir, "www"),
		VhostDir: filepath.Join(dir, "vhosts"), OwnVhosts: filepath.Join(dir, "sites"),
		FPMSocket: filepath.Join(dir, "fpm.sock"), bed: b, name: name,
	}
	for _, d := range []string{w.Root, w.VhostDir, w.OwnVhosts, filepath.Join(dir, "tmp")} {
		err = errors.Join(err, os.Mkdir(d, 0o755))
	}
	err = errors.Join(err, chownNobody(w.Dir, w.Root, filepath.Join(w.Dir, "tmp")))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return w, nil
}
