package bed

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Fingerprint is all that a site is to its owner: tree, tables, pages.
type Fingerprint struct {
	Tree, Tables, Pages Print
}

// Diff says what differs between two fingerprints; it is empty when nothing
// does.
func (f *Fingerprint) Diff(other *Fingerprint) string {
	var out strings.Builder
	for _, part := range []struct {
		name string
		a, b Print
	}{{"tree", f.Tree, other.Tree}, {"tables", f.Tables, other.Tables}, {"pages", f.Pages, other.Pages}} {
		if d := part.a.Diff(part.b); d != "" {
			fmt.Fprintf(&out, "%s:\n%s", part.name, d)
		}
	}
	return out.String()
}

// Fingerprint takes the site's fingerprint as it is now: the database is the
// one that wp-config.php names, and the credentials in wp-config.php, its size
// and its time do not count. Pages are asked of the site's web server.
func (s *WordPress) Fingerprint(ctx context.Context) (*Fingerprint, error) {
	config, err := s.ReadConfig()
	if err != nil {
		return nil, err
	}
	var f Fingerprint
	if f.Tree, err = s.Tree(); err != nil {
		return nil, err
	}
	if f.Tables, err = s.DB.Tables(ctx, config["DB_NAME"]); err != nil {
		return nil, err
	}
	if f.Pages, err = s.PagePrint(ctx); err != nil {
		return nil, err
	}
	return &f, nil
}

// Tree is the fingerprint of the site's directory, the credentials in
// wp-config.php, its size and its time left out.
func (s *WordPress) Tree() (Print, error) {
	return Tree(s.Root, Normalise(filepath.Base(s.ConfigPath()), hideCredentials))
}

var credential = regexp.MustCompile(`(?m)^(\s*define\(\s*'DB_(?:NAME|USER|PASSWORD|HOST)',\s*)'(?:[^'\\]|\\.)*'`)

func hideCredentials(text []byte) []byte { return credential.ReplaceAll(text, []byte("${1}''")) }

// PagePrint is the fingerprint of the site's pages: status and text without
// what changes with every request.
func (s *WordPress) PagePrint(ctx context.Context) (Print, error) {
	var p Print
	for _, path := range s.Pages() {
		res, err := s.Web.Get(ctx, s.Name, path)
		if err != nil {
			return nil, fmt.Errorf("page %s of %s: %w", path, s.Name, err)
		}
		text := PageText(res.Body)
		p = append(p, fmt.Sprintf("%s: %d, %d bytes, %x", path, res.Status, len(text), sha256.Sum256([]byte(text))))
	}
	return p, nil
}

// volatile matches what WordPress makes anew with each request or login key:
// nonces, ids of search forms, the time a feed was built.
var volatile = regexp.MustCompile(`"nonce":"[0-9a-f]+"|_wpnonce=[0-9a-f]+|value="[0-9a-f]{10}"|wp-block-search__input-\d+|wp-container-\d+|<lastBuildDate>[^<]*</lastBuildDate>`)

// PageText is a page's text without what changes with every request.
func PageText(body string) string { return volatile.ReplaceAllString(body, "~") }
