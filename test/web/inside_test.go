//go:build integration

package web_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/net/html"

	"github.com/sitekeep/sitekeep/test/bed"
)

// takesOut walks through a backup, downloads it and a file of it, and restores a directory and a table alone.
func (b *reader) takesOut() {
	b.t.Helper()
	ctx := b.t.Context()
	b.get("/sites/" + siteName + "/restore")
	good := b.oldest()
	inside := "/backups/" + good
	b.get(inside)
	b.has("wp_posts", "Rows")
	one, whole := b.fetch(b.linkTo("readme.html")), b.fetch(inside+"/download")
	if want := bed.Must(b.outOf(ctx, whole, "./readme.html"))(b.t); !bytes.Equal(one, want) || len(one) == 0 {
		b.t.Errorf("of readme.html come %d bytes, and %d are in the tarball", len(one), len(want))
	}
	b.follow("wp-content/")
	b.follow("uploads/")
	b.has("rose.jpg")

	b.get("/sites/" + siteName)
	database, _ := strings.CutSuffix(wordsOf(find(b.page, func(n *html.Node) bool { return n.Data == "dd" && strings.HasSuffix(wordsOf(n), " on db1") })), " on db1")
	b.must(b.site.DeleteUploads())
	b.must(b.db.Exec(ctx, "DELETE FROM "+bed.Ident(database)+".wp_postmeta"))
	b.get(inside)
	row := find(b.page, func(n *html.Node) bool {
		return n.Data == "tr" && find(n, func(a *html.Node) bool { return a.Data == "a" && wordsOf(a) == "wp-content/" }) != nil
	})
	path := attr(find(row, func(n *html.Node) bool { return n.Data == "input" }), "value")
	b.submit("Restore what is chosen…", "path", path, "table", "wp_postmeta")
	b.has("Only these", "wp-content", "table wp_postmeta", "0 → ")
	b.submit("Restore", "confirm", siteName)
	b.ends("Succeeded")
	b.must(b.site.CheckPages(ctx))
	b.get("/sites/" + siteName + "/restore/plan?table=wp_postmeta&backup=" + good)
	b.lacks("0 → ")
}

// lacksUploads: what a restore brought back is gone with its undo.
func (b *reader) lacksUploads() {
	b.t.Helper()
	if _, err := os.Stat(filepath.Join(b.site.Root, "wp-content", "uploads")); err == nil {
		b.t.Error("the restore was not taken back")
	}
}

// linkTo is where a link leads.
func (b *reader) linkTo(words string) string {
	b.t.Helper()
	link := find(b.page, func(n *html.Node) bool { return n.Data == "a" && wordsOf(n) == words })
	if link == nil {
		b.t.Fatalf("%s has no link %q:\n%s", b.at.Path, words, b.words())
	}
	return attr(link, "href")
}

// fetch downloads what is at an address.
func (b *reader) fetch(path string) []byte {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "https://"+b.master.HTTP.String()+path, nil)
	b.must(err)
	got, err := b.client.Do(q)
	b.must(err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	b.must(err)
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Disposition") == "" {
		b.t.Fatalf("%s: %s %v", path, got.Status, got.Header)
	}
	return body
}

// outOf has tar take a file out of a tarball.
func (*reader) outOf(ctx context.Context, tarball []byte, name string) ([]byte, error) {
	tar := exec.CommandContext(ctx, "tar", "--zstd", "-xOf", "-", name)
	tar.Stdin = bytes.NewReader(tarball)
	return tar.Output()
}
