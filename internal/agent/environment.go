package agent

import (
	"context"
	"slices"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/webserver"
)

// environment tells what the virtual host of a name gives to PHP.
type environment func(name string) map[string]sitekind.Secret

// vhostEnv reads the web server's configuration for the environment of a virtual host.
func (a *Agent) vhostEnv(name string) map[string]sitekind.Secret {
	if a.web == nil {
		return nil
	}
	vhosts, _ := a.web.Vhosts()
	return envOf(vhosts, name)
}

// envOf joins the environments of the virtual hosts of a name: http and https mostly say the same.
func envOf(vhosts []webserver.FoundVhost, name string) map[string]sitekind.Secret {
	env := map[string]sitekind.Secret{}
	for _, v := range vhosts {
		if !slices.Contains(v.Names, name) {
			continue
		}
		for _, e := range v.Env {
			env[e.Name] = sitekind.NewSecret(e.Value)
		}
	}
	return env
}

// readWith reads settings, and what of them a virtual host says.
func readWith(ctx context.Context, kind sitekind.Kind, p sitekind.Place, site *guard.Site, env environment) (sitekind.Settings, error) {
	settings, err := kind.ReadSettings(ctx, p)
	if err != nil || !settings.Cloaked() {
		return settings, err
	}
	return settings.Env.Fill(settings, env(site.Name))
}
