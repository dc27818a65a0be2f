package webserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// opcacheScript lies in the directory of virtual hosts, which no virtual host
// serves, and is run by php-fpm at our request.
const (
	opcacheScript = "sitekeep-opcache-reset.php"
	opcacheSource = `<?php
// Sitekeep has php-fpm run this after it exchanged a site's files.
if (!function_exists('opcache_reset') || !ini_get('opcache.enable') || @opcache_reset()) {
    exit('sitekeep:reset');
}
$status = @opcache_get_status(false);
$pending = is_array($status) && ($status['restart_pending'] || $status['restart_in_progress']);
exit($pending ? 'sitekeep:reset' : 'sitekeep:refused');
`
)

const opcacheTimeout = 5 * time.Second

// resetOpcache has php-fpm forget the files it compiled. Otherwise it would go
// on running them as they were, old credentials included, for
// opcache.revalidate_freq seconds or for ever.
func (s *Server) resetOpcache(ctx context.Context) (done bool, warning string) {
	ctx, cancel := context.WithTimeout(ctx, opcacheTimeout)
	defer cancel()
	answer, err := s.runOpcacheScript(ctx)
	if err != nil {
		warning = fmt.Sprintf("php-fpm at %s could not be asked: %v", s.cfg.PHPFPM, err)
	} else if err := opcacheAnswer(answer); err != nil {
		warning = "php-fpm " + s.explain(err)
	}
	if warning != "" {
		return false, warning + goesOn
	}
	return true, ""
}

// goesOn ends every warning about PHP.
const goesOn = "; PHP may go on running files as they were: set php_reload_command"

var (
	errOpcacheRefused = errors.New("does not let us reset its opcode cache (opcache.restrict_api)")
	errOpcacheScript  = errors.New("could not run the script")
)

// opcacheAnswer judges what opcacheScript wrote.
func opcacheAnswer(answer []byte) error {
	switch {
	case bytes.Contains(answer, []byte("sitekeep:reset")):
		return nil
	case bytes.Contains(answer, []byte("sitekeep:refused")):
		return errOpcacheRefused
	}
	return errOpcacheScript
}

func (s *Server) explain(err error) string {
	if errors.Is(err, errOpcacheScript) {
		return fmt.Sprintf("could not run %s (is it readable for the pool's user, is open_basedir set?)",
			filepath.Join(s.cfg.VhostDir, opcacheScript))
	}
	return err.Error()
}

func (s *Server) runOpcacheScript(ctx context.Context) ([]byte, error) {
	d, err := s.openDir()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := writeOpcacheScript(d); err != nil {
		return nil, err
	}
	path := filepath.Join(s.cfg.VhostDir, opcacheScript)
	return fcgiGet(ctx, s.cfg.PHPFPM, [][2]string{
		{"SCRIPT_FILENAME", path},
		{"SCRIPT_NAME", "/" + opcacheScript},
		{"DOCUMENT_ROOT", s.cfg.VhostDir},
		{"REQUEST_URI", "/" + opcacheScript},
		{"REQUEST_METHOD", "GET"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "sitekeep"},
		{"REMOTE_ADDR", "127.0.0.1"},
		{"QUERY_STRING", ""},
	})
}

func writeOpcacheScript(d *vhostDir) error { return d.ensure(opcacheScript, []byte(opcacheSource)) }
