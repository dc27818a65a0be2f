package webserver

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"net/http"
	"path/filepath"
	"text/template"
	"time"
)

//go:embed phpvhost.tmpl
var phpVhostTemplate string

const (
	// phpVhostName is the name under which a web server that runs PHP itself
	// runs opcacheScript. RFC 6761 keeps it from ever being a site's.
	phpVhostName = "sitekeep-php.invalid"
	phpVhostFile = "sitekeep-php.conf"
	phpPassMark  = "sitekeep-php.pass-"
	phpResetPath = "/reset"
)

// writePHPVhost sees to it that PHP inside the web server can be asked to
// forget what it compiled: from the next reload on, by a virtual host that
// runs opcacheScript and nothing else. Undo takes back what this call wrote.
func (s *Server) writePHPVhost() (undo func(), err error) {
	d, err := s.openDir()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	text, err := s.renderPHPVhost()
	if err != nil {
		return nil, err
	}
	old, readErr := d.read(phpVhostFile)
	if readErr == nil && bytes.Equal(old, text) {
		return func() {}, nil
	}
	if err := d.replace(phpVhostFile, phpVhostFile+".sitekeep-tmp", text, vhostMode); err != nil {
		return nil, err
	}
	return func() { s.restorePHPVhost(old) }, nil
}

// restorePHPVhost puts the file back after a configuration that did not pass
// its test, which is the failure to report; nil removes it.
func (s *Server) restorePHPVhost(old []byte) {
	d, err := s.openDir()
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.restoreFile(phpVhostFile, old)
}

func (s *Server) renderPHPVhost() ([]byte, error) {
	t, err := template.New("php").Funcs(template.FuncMap{"quote": s.kind.Quote}).Funcs(s.kind.Funcs()).Parse(phpVhostTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Addresses": apacheAddresses(texts(s.listens)), "Name": phpVhostName, "Directory": s.cfg.VhostDir,
		"Path": phpResetPath, "Script": opcacheScript, "Pass": filepath.Join(s.cfg.VhostDir, phpPassMark),
	})
	return out.Bytes(), err
}

// resetModPHP has the running web server's PHP forget what it compiled, and
// asks once, or until as many answers in a row say so: after a reload, the new processes
// answer then.
func (s *Server) resetModPHP(ctx context.Context, times int) error {
	ctx, cancel := context.WithTimeout(ctx, opcacheTimeout)
	defer cancel()
	d, err := s.openDir()
	if err != nil {
		return err
	}
	defer d.Close()
	if err := writeOpcacheScript(d); err != nil {
		return err
	}
	pass := rand.Text()
	if err := d.writeNew(phpPassMark+pass, nil, flagMode); err != nil {
		return err
	}
	defer func() { _ = d.remove(phpPassMark + pass) }()
	for row := 0; row < times; {
		answer, err := s.askModPHP(ctx, pass)
		if row++; err == nil {
			continue
		}
		if row = 0; times == 1 {
			return err
		}
		select {
		case <-time.After(servingPause):
		case <-ctx.Done():
			return fmt.Errorf("%w (the last answer: %.200q)", err, answer)
		}
	}
	return nil
}

// askModPHP runs opcacheScript once.
func (s *Server) askModPHP(ctx context.Context, pass string) ([]byte, error) {
	target := s.listens[0].dial()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+phpResetPath, nil)
	if err != nil {
		return nil, err
	}
	req.Host = phpVhostName
	req.Header.Set(PassHeader, pass)
	result := ProbeResult{Address: target}
	if err := result.ask(req); err != nil {
		return nil, err
	}
	return result.Body, opcacheAnswer(result.Body)
}
