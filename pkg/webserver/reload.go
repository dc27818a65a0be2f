package webserver

import (
	"context"
	"fmt"
)

const (
	whatTest      = "configuration test"
	whatReload    = "reload"
	whatPHPReload = "PHP reload"
)

// ReloadResult says what Reload did. The zero value means that nothing was
// reloaded.
type ReloadResult struct {
	// Reloaded says that the web server was told to take its configuration.
	// It may serve the old one for a moment more, see WaitServing.
	Reloaded bool
	// PHP says that PHP has forgotten the files it had compiled.
	PHP bool
	// Warning says why PHP may go on running files as they were; empty if not.
	Warning string
}

// Test runs the configuration test. A failure is a *CommandError.
func (s *Server) Test(ctx context.Context) error {
	release, err := acquire(ctx, s.changing)
	if err != nil {
		return fmt.Errorf("wait for another change of the web server: %w", err)
	}
	defer release()
	return s.test(ctx)
}

// Reload tests the configuration, reloads the web server, and makes PHP
// forget what it compiled, so that files that were exchanged under the same
// path are run as they are now. It stops at the first failure, a
// *CommandError. With no PHP reload command, php-fpm is asked to reset its
// opcode cache; that this failed is a warning in the result and no error.
func (s *Server) Reload(ctx context.Context) (ReloadResult, error) {
	release, err := acquire(ctx, s.changing)
	if err != nil {
		return ReloadResult{}, fmt.Errorf("wait for another change of the web server: %w", err)
	}
	defer release()
	return s.reload(ctx)
}

// ReloadPHP makes PHP forget what it compiled, as Reload does, and leaves the
// web server alone.
func (s *Server) ReloadPHP(ctx context.Context) (ReloadResult, error) {
	release, err := acquire(ctx, s.changing)
	if err != nil {
		return ReloadResult{}, fmt.Errorf("wait for another change of the web server: %w", err)
	}
	defer release()
	return s.reloadPHP(ctx)
}

func (s *Server) test(ctx context.Context) error {
	return s.run(ctx, whatTest, s.cfg.TestCommand)
}

func (s *Server) reload(ctx context.Context) (ReloadResult, error) {
	undo, err := s.prepare()
	if err != nil {
		return ReloadResult{}, err
	}
	if err := s.test(ctx); err != nil {
		undo()
		return ReloadResult{}, err
	}
	if s.asksModPHP() { // The processes of before may serve for a moment more.
		_ = s.resetModPHP(ctx, 1)
	}
	if err := s.run(ctx, whatReload, s.cfg.ReloadCommand); err != nil {
		return ReloadResult{}, err
	}
	result, err := s.reloadPHP(ctx)
	result.Reloaded = true
	return result, err
}

// prepare writes what virtual hosts and a reload need beside them.
func (s *Server) prepare() (undo func(), err error) {
	if s.cfg.Kind == (apache{}).Name() && s.cfg.hasPages() {
		if err := s.writeFallbackPage(); err != nil {
			return nil, err
		}
	}
	if !s.asksModPHP() {
		return func() {}, nil
	}
	return s.writePHPVhost()
}

func (s *Server) writeFallbackPage() error {
	d, err := s.openDir()
	if err != nil {
		return err
	}
	defer d.Close()
	return d.ensure(fallbackPage, []byte(builtinPage))
}

func (s *Server) asksModPHP() bool { return s.cfg.ModPHP && len(s.cfg.PHPReloadCommand) == 0 }

func (s *Server) reloadPHP(ctx context.Context) (result ReloadResult, err error) {
	switch {
	case len(s.cfg.PHPReloadCommand) > 0:
		err = s.run(ctx, whatPHPReload, s.cfg.PHPReloadCommand)
		result.PHP = err == nil
	case s.cfg.ModPHP:
		if err := s.resetModPHP(ctx, inARow); err != nil {
			return ReloadResult{Warning: fmt.Sprintf("PHP inside the web server (%s) could not be asked: %v%s", phpVhostName, err, goesOn)}, nil
		}
		result.PHP = true
	case s.cfg.PHPFPM != "":
		result.PHP, result.Warning = s.resetOpcache(ctx)
	}
	return result, err
}

func (s *Server) run(ctx context.Context, what string, argv []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.CommandTimeout,
		fmt.Errorf("no end after %s: %w", s.cfg.CommandTimeout, context.DeadlineExceeded))
	defer cancel()
	output, err := s.runner.Run(ctx, argv)
	if err != nil {
		return &CommandError{What: what, Argv: argv, Output: string(output), Err: err}
	}
	return nil
}
