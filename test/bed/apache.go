package bed

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Apache starts Apache with mod_php for a part, such as "web2". It is started
// by root, whom its children leave, as on servers: only so can it read virtual
// hosts that nobody else may.
func (b *Bed) Apache(ctx context.Context, name string) (*Web, error) {
	w, err := b.layWeb(name)
	if err != nil {
		return nil, err
	}
	w.apache = true
	if _, err := w.phpModule(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := render(w.configFile(), "apache.conf.tmpl", w, 0o644); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	w.Server, err = b.Run(ctx, Service{
		Name: name + "-apache", Argv: append(w.apacheArgs(), "-DFOREGROUND"), Dir: w.Dir,
		Stop: syscall.SIGTERM, Ready: Dialer("tcp", w.Addr.String()), Logs: []string{filepath.Join(w.Dir, "error.log")},
	})
	return w, err
}

// ApacheModule is a line LoadModule, for the template.
type ApacheModule struct{ Name, File string }

// ApacheModules are what Debian loads and managed virtual hosts need.
func (w *Web) ApacheModules() ([]ApacheModule, error) {
	php, err := w.phpModule()
	list := []ApacheModule{}
	for _, m := range []string{"mpm_prefork", "alias", "authz_core", "dir", "env", "headers", "mime", "rewrite"} {
		list = append(list, ApacheModule{m + "_module", "/usr/lib/apache2/modules/mod_" + m + ".so"})
	}
	return append(list, ApacheModule{"php_module", php}), err
}

func (w *Web) phpModule() (string, error) {
	found, err := filepath.Glob("/usr/lib/apache2/modules/libphp*.so")
	if err != nil || len(found) == 0 {
		return "", errors.New("mod_php is not installed: scripts/install-deps installs it")
	}
	return found[len(found)-1], nil
}

func (w *Web) apacheArgs() []string { return []string{"/usr/sbin/apache2", "-f", w.configFile()} }

// reloadApache waits until a graceful restart has replaced every child.
func (w *Web) reloadApache(ctx context.Context) error {
	old, err := children(w.Server.Pid())
	if err != nil {
		return fmt.Errorf("reload %s: %w", w.name, err)
	}
	for _, argv := range [][]string{w.TestCommand(), w.ReloadCommand()} {
		if _, err := run(ctx, exec.CommandContext(ctx, argv[0], argv[1:]...)); err != nil {
			return fmt.Errorf("reload %s: %w", w.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		now, err := children(w.Server.Pid())
		if err == nil && len(now) > 0 && !common(old, now) {
			return Dialer("tcp", w.Addr.String())(ctx, w.Server)
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("reload %s: old children %v are still there: %w", w.name, old, err)
		}
	}
}

func common(a, b []int) bool {
	text := " " + strings.Trim(fmt.Sprint(b), "[]") + " "
	for _, pid := range a {
		if strings.Contains(text, fmt.Sprintf(" %d ", pid)) {
			return true
		}
	}
	return false
}

// Apache is [Bed.Apache] for a test.
func (t *T) Apache(name string) *Web {
	t.tb.Helper()
	return Must(t.Bed.Apache(t.tb.Context(), name))(t.tb)
}
