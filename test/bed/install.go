package bed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// templateRevision changes the cache's key; raise it with every change to what
// the template holds.
const templateRevision = "2"

// The template's posts get their numbers in the order of their making; the
// installer makes 1 to 3, attachments and revisions count too.
const (
	firstPostID  = "4"
	secondPostID = "5"
	aboutPageID  = "6"
)

const wordpressCode = "/usr/share/wordpress"

var wpVersionLine = regexp.MustCompile(`(?m)^\$wp_version = '([0-9.]+)';`)

// wordpressTemplate is a directory with tree/ and database.sql of a site that
// WordPress's own installer and REST interface made.
func (b *Bed) wordpressTemplate(ctx context.Context) (string, error) {
	text, err := os.ReadFile(wordpressCode + "/wp-includes/version.php")
	if err != nil {
		return "", fmt.Errorf("WordPress is not installed (%w): scripts/install-deps installs it", err)
	}
	version := wpVersionLine.FindSubmatch(text)
	if version == nil {
		return "", errors.New(wordpressCode + "/wp-includes/version.php: no version found")
	}
	key := "wordpress-" + string(version[1]) + "-" + templateRevision
	return b.Cached(ctx, key, b.installWordPress)
}

func (b *Bed) installWordPress(ctx context.Context, dir string) (err error) {
	inner, err := Start(ctx, filepath.Join(dir, "bed"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inner.Close(), os.RemoveAll(inner.Dir())) }()
	db, err := inner.MariaDB(ctx, "db")
	if err != nil {
		return err
	}
	web, err := inner.Web(ctx, "web")
	if err != nil {
		return err
	}
	s := newWordPress(web, db, "example.com")
	if err := s.layCode(ctx); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	if err := layOddities(filepath.Join(s.Root, "wp-content", "oddities")); err != nil {
		return err
	}
	return s.keep(ctx, dir)
}

// layCode copies WordPress and the theme. Languages are left out: they are a
// third of the bytes and serve nothing here.
func (s *WordPress) layCode(ctx context.Context) error {
	if _, err := run(ctx, exec.CommandContext(ctx, "cp", "-aLT", wordpressCode, s.Root)); err != nil {
		return err
	}
	content := filepath.Join(s.Root, "wp-content")
	if err := os.RemoveAll(filepath.Join(content, "languages")); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(content, "uploads"), 0o755); err != nil {
		return err
	}
	if _, err := run(ctx, exec.CommandContext(ctx, "chown", "-R", "nobody:nogroup", s.Root)); err != nil {
		return err
	}
	if err := s.layObjectCache(); err != nil {
		return err
	}
	// A directory of another owner, as many a server has them.
	if _, err := run(ctx, exec.CommandContext(ctx, "chown", "-R", "root:root", filepath.Join(s.Root, "wp-admin"))); err != nil {
		return err
	}
	return s.WriteConfig()
}

// objectCache is a drop-in that is WordPress's own cache under another name:
// with one, transients live as long as a request and stay out of the database,
// so that reading a page changes no table.
const objectCache = "<?php\nrequire_once ABSPATH . WPINC . '/cache.php';\n"

func (s *WordPress) layObjectCache() error {
	path := filepath.Join(s.Root, "wp-content", "object-cache.php")
	if err := os.WriteFile(path, []byte(objectCache), 0o644); err != nil {
		return err
	}
	return chownNobody(path)
}

// fill runs the installer and writes posts and uploads over REST.
func (s *WordPress) fill(ctx context.Context) error {
	if err := s.DB.CreateDatabase(ctx, s.Database, s.User, s.Password); err != nil {
		return err
	}
	if err := s.PublishVhost(ctx); err != nil {
		return err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	w := &wpClient{site: s, jar: jar}
	if err := w.install(ctx); err != nil {
		return fmt.Errorf("install WordPress: %w", err)
	}
	// Directories named after the month of the making would change the paths.
	err = s.DB.Exec(ctx, "UPDATE "+Ident(s.Database)+".wp_options SET option_value = '' WHERE option_name = 'uploads_use_yearmonth_folders'")
	if err != nil {
		return err
	}
	if err := w.login(ctx); err != nil {
		return fmt.Errorf("log in to WordPress: %w", err)
	}
	if err := w.write(ctx); err != nil {
		return fmt.Errorf("fill WordPress: %w", err)
	}
	if err := s.CheckPages(ctx); err != nil {
		return err
	}
	// The first visits make WordPress write what it keeps, such as its rules
	// for addresses.
	_, err = s.PagePrint(ctx)
	return err
}

// keep stores tree and dump as the template's files.
func (s *WordPress) keep(ctx context.Context, dir string) error {
	if err := os.Remove(s.ConfigPath()); err != nil {
		return err
	}
	// Session tokens and timeouts of the making do not belong to a template.
	err := s.DB.Exec(ctx,
		"DELETE FROM "+Ident(s.Database)+".wp_options WHERE option_name LIKE '%\\_transient\\_%'",
		"DELETE FROM "+Ident(s.Database)+".wp_usermeta WHERE meta_key = 'session_tokens'")
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "database.sql"))
	if err != nil {
		return err
	}
	if err := errors.Join(s.DB.Dump(ctx, s.Database, f), f.Close()); err != nil {
		return err
	}
	return os.Rename(s.Root, filepath.Join(dir, "tree"))
}

// wpClient speaks to one site as its administrator's browser would.
type wpClient struct {
	site  *WordPress
	jar   http.CookieJar
	nonce string
}

func (w *wpClient) send(ctx context.Context, method, path, kind string, body io.Reader, header ...string) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.site.Web.Addr.String()+path, body)
	if err != nil {
		return nil, err
	}
	req.Host = w.site.Name
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if w.nonce != "" {
		req.Header.Set("X-WP-Nonce", w.nonce)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return w.site.Web.do(&http.Client{Jar: w.jar}, req)
}

func (w *wpClient) form(ctx context.Context, path string, values url.Values) (*Response, error) {
	return w.send(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(values.Encode()))
}

func (w *wpClient) install(ctx context.Context) error {
	res, err := w.form(ctx, "/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {SiteTitle}, "user_name": {AdminUser},
		"admin_password": {adminPassword}, "admin_password2": {adminPassword}, "pw_weak": {"1"},
		"admin_email": {"gardener@example.com"}, "blog_public": {"0"}, "language": {""},
	})
	if err != nil {
		return err
	}
	if res.Status != http.StatusOK || !strings.Contains(res.Body, "Success!") {
		return fmt.Errorf("status %d: %.500s", res.Status, res.Body)
	}
	return nil
}

func (w *wpClient) login(ctx context.Context) error {
	res, err := w.form(ctx, "/wp-login.php", url.Values{"log": {AdminUser}, "pwd": {adminPassword}})
	if err != nil {
		return err
	}
	if res.Status != http.StatusFound {
		return fmt.Errorf("status %d: %.500s", res.Status, res.Body)
	}
	res, err = w.send(ctx, http.MethodGet, "/wp-admin/admin-ajax.php?action=rest-nonce", "", nil)
	if err != nil {
		return err
	}
	if res.Status != http.StatusOK || len(res.Body) != 10 {
		return fmt.Errorf("no nonce: status %d: %.200s", res.Status, res.Body)
	}
	w.nonce = res.Body
	return nil
}

// write makes two posts and a page, and then the images of the first post, in
// the order of the numbers above.
func (w *wpClient) write(ctx context.Context) error {
	for _, p := range templatePosts() {
		data, err := json.Marshal(p.fields)
		if err != nil {
			return err
		}
		if err := w.create(ctx, p.route, p.id, "application/json", data); err != nil {
			return err
		}
	}
	images := []struct {
		name, kind, id string
		encode         func() ([]byte, error)
	}{{"rose.jpg", "image/jpeg", "7", roseJPEG}, {"plan.png", "image/png", "8", planPNG}}
	for _, img := range images {
		data, err := img.encode()
		if err != nil {
			return fmt.Errorf("%s: %w", img.name, err)
		}
		err = w.create(ctx, "/wp/v2/media&post="+firstPostID, img.id, img.kind, data,
			"Content-Disposition", `attachment; filename="`+img.name+`"`)
		if err != nil {
			return err
		}
	}
	return nil
}

// create posts to a REST route and checks the number of what was made.
func (w *wpClient) create(ctx context.Context, route, id, kind string, body []byte, header ...string) error {
	res, err := w.send(ctx, http.MethodPost, "/index.php?rest_route="+route, kind, bytes.NewReader(body), header...)
	if err != nil {
		return err
	}
	var made struct {
		ID json.Number `json:"id"`
	}
	if err := json.Unmarshal([]byte(res.Body), &made); err != nil || res.Status != http.StatusCreated {
		return fmt.Errorf("%s: status %d: %.500s", route, res.Status, res.Body)
	}
	if made.ID.String() != id {
		return fmt.Errorf("%s: got number %s, the template expects %s", route, made.ID, id)
	}
	return nil
}
