package webserver

import (
	"bytes"
	"context"
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
	switch {
	case err != nil:
		warning = fmt.Sprintf("php-fpm at %s could not be asked: %v", s.cfg.PHPFPM, err)
	case bytes.Contains(answer, []byte("sitekeep:reset")):
		return true, ""
	case bytes.Contains(answer, []byte("sitekeep:refused")):
		warning = "php-fpm does not let us reset its opcode cache (opcache.restrict_api)"
	default:
		warning = fmt.Sprintf("php-fpm could not run %s (is it readable for the pool's user, is open_basedir set?)",
			filepath.Join(s.cfg.VhostDir, opcacheScript))
	}
	return false, warning + "; PHP may go on running files as they were: set php_reload_command"
}

func (s *Server) runOpcacheScript(ctx context.Context) ([]byte, error) {
	d, err := s.openDir()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if now, err := d.read(opcacheScript); err != nil || string(now) != opcacheSource {
		if err := d.replace(opcacheScript, opcacheScript+".sitekeep-tmp", []byte(opcacheSource), vhostMode); err != nil {
			return nil, err
		}
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
