package bed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WordPress is a site that serves: its tree, its database and, as long as
// [WordPress.RemoveVhost] was not called, a vhost that the bed wrote.
type WordPress struct {
	Name     string // its main domain
	Web      *Web
	DB       *MariaDB
	Root     string // site directory and docroot
	Database string
	User     string
	Password string
}

// What the template's content says; tests look for these on pages.
const (
	SiteTitle   = "The Bed's Garden"
	AdminUser   = "gardener"
	FirstPost   = "Spring in the garden"
	SecondPost  = "What DEFINER means to a gardener"
	ThemeFooter = "Proudly powered by" // comes from the theme's footer alone
)

// adminPassword is that of the template's administrator, on no real site.
const adminPassword = "only-for-the-bed-9c41"

// WordPress puts a site with posts, uploads and a theme on a web server and a
// database server and waits until its home page shows them.
func (b *Bed) WordPress(ctx context.Context, web *Web, db *MariaDB, name string) (*WordPress, error) {
	template, err := b.wordpressTemplate(ctx)
	if err != nil {
		return nil, err
	}
	s := newWordPress(web, db, name)
	if err := CopyTree(ctx, filepath.Join(template, "tree"), s.Root); err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	if err := s.WriteConfig(); err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	if err := s.loadDatabase(ctx, filepath.Join(template, "database.sql")); err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	if err := s.PublishVhost(ctx); err != nil {
		return nil, err
	}
	if err := s.CheckPages(ctx); err != nil {
		return nil, err
	}
	b.Logf("site %s is up on %s with database %s on %s", name, web.name, s.Database, db.Name())
	return s, nil
}

func newWordPress(web *Web, db *MariaDB, name string) *WordPress {
	id := strings.NewReplacer(".", "_", "-", "_").Replace(name)
	return &WordPress{
		Name: name, Web: web, DB: db, Root: filepath.Join(web.Root, name),
		Database: id, User: id, Password: Secret(),
	}
}

func (s *WordPress) loadDatabase(ctx context.Context, dump string) error {
	if err := s.DB.CreateDatabase(ctx, s.Database, s.User, s.Password); err != nil {
		return err
	}
	f, err := os.Open(dump)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return s.DB.Import(ctx, s.Database, f)
}

// ConfigPath is the site's wp-config.php.
func (s *WordPress) ConfigPath() string { return filepath.Join(s.Root, "wp-config.php") }

// WriteConfig writes wp-config.php for the site's database, user and password,
// as nobody's file of mode 0640, its keys new ones.
func (s *WordPress) WriteConfig() error {
	if err := render(s.ConfigPath(), "wp-config.php.tmpl", s, 0o640); err != nil {
		return err
	}
	return chownNobody(s.ConfigPath())
}

// Salts are the names of WordPress's keys and salts, for the template.
func (s *WordPress) Salts() []string {
	return []string{
		"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY",
		"AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT",
	}
}

// Salt is a new random value for a key, for the template.
func (s *WordPress) Salt(string) string { return Secret() + Secret() }

// Vhost is the bed's own virtual host of the site.
func (s *WordPress) Vhost() Vhost { return Vhost{Web: s.Web, Name: s.Name, Docroot: s.Root} }

// PublishVhost writes the bed's vhost for the site and reloads the web server.
// With nginx a managed vhost of the same name goes before it.
func (s *WordPress) PublishVhost(ctx context.Context) error { return s.Vhost().Publish(ctx) }

// RemoveVhost takes the bed's vhost away, so that only a managed one serves
// the site.
func (s *WordPress) RemoveVhost(ctx context.Context) error { return s.Vhost().Remove(ctx) }

// Pages are the paths whose text [WordPress.Fingerprint] takes.
func (s *WordPress) Pages() []string {
	return []string{
		"/", "/?s=garden", "/?feed=rss2", "/?p=" + firstPostID, "/?p=" + secondPostID, "/?page_id=" + aboutPageID,
		"/wp-content/uploads/rose.jpg", "/wp-content/uploads/plan.png",
	}
}

// CheckPages looks at the content of the home page, a post and an upload: a
// status of 200 alone says nothing.
func (s *WordPress) CheckPages(ctx context.Context) error {
	wants := map[string][]string{
		"/":                            {SiteTitleHTML, FirstPost, SecondPost, ThemeFooter},
		"/?p=" + firstPostID:           {FirstPost, "rose.jpg", "The snowdrops came first."},
		"/?p=" + secondPostID:          {"/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */"},
		"/wp-content/uploads/rose.jpg": {"\xff\xd8\xff"},
	}
	for path, texts := range wants {
		res, err := s.Web.Get(ctx, s.Name, path)
		if err != nil {
			return fmt.Errorf("page %s of %s: %w", path, s.Name, err)
		}
		if res.Status != 200 {
			return fmt.Errorf("page %s of %s: status %d: %.300s", path, s.Name, res.Status, res.Body)
		}
		for _, text := range texts {
			if !strings.Contains(res.Body, text) {
				return fmt.Errorf("page %s of %s (%d bytes) lacks %q", path, s.Name, len(res.Body), text)
			}
		}
	}
	return nil
}
