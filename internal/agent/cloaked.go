package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Cloaked credentials stand in the virtual host and nowhere else. Between WriteSettings and WriteVhost of a task the new
// ones wait in its staging directory, which only the agent's user can enter and which ends with the task.

// envFile is a JSON object of the variables that wait, mode 0600, in a task's staging directory.
const envFile = ".kept-environment"

// stageCloaked keeps the new credentials of settings that leave them to the virtual host. One that is not ours cannot be
// given them: then it stops before anything is written.
func (s *settingsService) stageCloaked(ctx context.Context, site *guard.Site, kind sitekind.Kind, p *place, req *agentv1.WriteSettingsRequest, new sitekind.Settings) error {
	now, err := kind.ReadSettings(ctx, p.Place)
	if err != nil || !now.Cloaked() {
		return settingsError(err)
	}
	if req.GetSite().GetExternal() || s.web == nil {
		return errs.New(errs.Precondition,
			fmt.Sprintf("let Sitekeep write the virtual host (sitekeep site set %s --vhost managed, sitekeep site verify %s), or restore the files alone", site.Name, site.Name),
			"%s, and its virtual host is not ours to write", cloakedText(now))
	}
	if !new.HasAddress() {
		if now, err = now.Env.Fill(now, s.vhostEnv(site.Name)); err != nil {
			return errs.New(errs.Precondition, "correct the virtual host", "%w", err)
		}
		new.Host, new.Port, new.Socket = now.Host, now.Port, now.Socket
	}
	return s.stager.Within(ctx, site, req.GetTask(), true, func(dir *os.Root) error {
		return writeEnv(dir, now.Env.Pairs(new))
	})
}

func writeEnv(dir *os.Root, pairs []sitekind.EnvPair) error {
	env := map[string]string{}
	for _, pair := range pairs {
		env[pair.Name] = pair.Value.Reveal()
	}
	data, err := json.Marshal(env)
	if err != nil {
		return fmt.Errorf("keep the new environment: %w", err)
	}
	if err := dir.Remove(envFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the new environment: %w", err)
	}
	f, err := dir.OpenFile(envFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keep the new environment: %w", fileError(err))
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close(), syncRoot(dir))
}

// stagedEnv is the environment that a task has kept; nil if it has none.
func (a *Agent) stagedEnv(ctx context.Context, site *guard.Site, task string) (env map[string]sitekind.Secret, err error) {
	if task == "" {
		return nil, nil
	}
	err = a.stager.Within(ctx, site, task, false, func(dir *os.Root) error {
		data, err := dir.ReadFile(envFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		texts := map[string]string{}
		if err == nil {
			err = json.Unmarshal(data, &texts)
		}
		if err != nil {
			return errors.New("the new environment that the task has kept cannot be read")
		}
		env = map[string]sitekind.Secret{}
		for name, text := range texts {
			env[name] = sitekind.NewSecret(text)
		}
		return nil
	})
	return env, err
}

// withStaged puts what a task has kept over what the virtual host says.
func (a *Agent) withStaged(ctx context.Context, site *guard.Site, task string, s sitekind.Settings) (sitekind.Settings, error) {
	if !s.Cloaked() {
		return s, nil
	}
	env, err := a.stagedEnv(ctx, site, task)
	if err != nil {
		return s, err
	}
	return s.Env.Fill(s, env)
}

// siteEnv is what a managed virtual host gives to PHP: the credentials that the live settings leave to it, those of the
// task if it has new ones.
func (a *Agent) siteEnv(ctx context.Context, site *guard.Site, task string) ([]webserver.EnvVar, error) {
	p, err := livePlace(site)
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.Close()
	_, settings, err := a.readSettings(ctx, site, p)
	if err != nil {
		return nil, a.mayForgetEnv(ctx, site, err)
	}
	if !settings.Cloaked() {
		return nil, nil
	}
	if settings, err = a.withStaged(ctx, site, task, settings); err != nil {
		return nil, err
	}
	if settings.Name == "" {
		return nil, errs.New(errs.Precondition, "keep the virtual host that gives them until Sitekeep's is written, or let the settings file say them itself",
			"%s, and nothing says what they are", cloakedText(settings))
	}
	var env []webserver.EnvVar
	for _, pair := range settings.Env.Pairs(settings) {
		env = append(env, webserver.EnvVar{Name: pair.Name, Value: pair.Value.Reveal()})
	}
	return env, nil
}

// mayForgetEnv refuses to write a virtual host anew that may be the only one to know the credentials, because settings
// that cannot be read do not say which they are. Otherwise a virtual host is written for a broken site too.
func (a *Agent) mayForgetEnv(ctx context.Context, site *guard.Site, cause error) error {
	state, err := a.web.VhostState(ctx, site.Name)
	if err != nil || !state.Managed || state.Mode.Perm()&0o077 != 0 {
		return nil //nolint:nilerr // WriteVhost will say what is wrong.
	}
	return errs.New(errs.Precondition, "mend the settings, or restore the site, first",
		"the virtual host of %s gives PHP an environment, and the settings that use it cannot be read: %w", site.Name, cause)
}
