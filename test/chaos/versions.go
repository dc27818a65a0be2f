package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// shrink takes from WordPress what its pages do without, so that a round takes
// seconds and not tens of them.
func (r *rig) shrink() error {
	for _, dir := range []string{
		"wp-admin/css", "wp-admin/js", "wp-admin/images", "wp-admin/network", "wp-admin/user", "wp-includes/js", "wp-includes/css", "wp-includes/images", "wp-includes/fonts", "wp-includes/certificates",
		"wp-includes/ID3", "wp-includes/SimplePie", "wp-includes/sodium_compat", "wp-includes/PHPMailer", "wp-includes/Text",
		"wp-includes/IXR", "wp-includes/customize",
		"wp-content/themes/twentytwentythree/assets/fonts",
	} {
		if err := os.RemoveAll(filepath.Join(r.site.Root, dir)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(filepath.Join(r.site.Root, "wp-includes", "blocks"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".css") {
			err = os.Remove(path)
		}
		return err
	})
}

// plugin says at the end of each page of which version files and database are,
// and answers 500 while the file that breaks its own version is there.
const plugin = `<?php
if (file_exists('%[2]s')) { http_response_code(500); exit('out of order'); }
add_action('wp_footer', function () { echo '<!-- chaos: files %[1]c, database ' . get_option('chaos_version') . " -->\n"; });
`

// breaker is the file that has the pages of one version answer 500.
func (r *rig) breaker(v int) string {
	return filepath.Join(r.webs[0].Dir, fmt.Sprintf("break-%c", 'A'+v))
}

// makeVersions makes the site the one, backs it up, then the other.
func (r *rig) makeVersions(ctx context.Context) error {
	for v := range r.versions {
		if err := errors.Join(r.writeTree(v), r.writeTables(ctx, v)); err != nil {
			return fmt.Errorf("version %c: %w", 'A'+v, err)
		}
		if err := r.copyToOthers(ctx); err != nil {
			return err
		}
		for _, web := range r.webs {
			if err := web.ReloadPHP(ctx); err != nil {
				return err
			}
		}
		if err := r.keepVersion(ctx, v); err != nil {
			return fmt.Errorf("version %c: %w", 'A'+v, err)
		}
	}
	r.now = state{1, 1}
	if err := r.site.CheckPages(ctx); err != nil {
		return err
	}
	return r.makePoison(ctx)
}

func (r *rig) keepVersion(ctx context.Context, v int) (err error) {
	k := &r.versions[v]
	if k.backup, err = r.run(ctx, "backup", siteName, "-m", fmt.Sprintf("version %c", 'A'+v)); err != nil {
		return err
	}
	if k.tree, err = r.site.Tree(); err != nil {
		return err
	}
	k.tables, err = r.db.Tables(ctx, r.site.Database)
	return err
}

// writeTree has a version differ from the other in files that came, went, and
// changed in content, mode and length, a directory and a link.
func (r *rig) writeTree(v int) error {
	in := func(path string) string { return filepath.Join(r.site.Root, "wp-content", path) }
	own := in(fmt.Sprintf("uploads/only-%c", 'A'+v))
	err := errors.Join(
		os.RemoveAll(in(fmt.Sprintf("uploads/only-%c", 'A'+1-v))), os.MkdirAll(own, 0o755), os.MkdirAll(in("mu-plugins"), 0o755),
		os.WriteFile(in("mu-plugins/chaos.php"), fmt.Appendf(nil, plugin, 'A'+v, r.breaker(v)), 0o644),
		os.WriteFile(in("uploads/version.txt"), fmt.Appendf(nil, "%c\n", 'A'+v), 0o644),
		os.WriteFile(in("uploads/big.bin"), noise(3<<20, uint64(v)), 0o644),
		os.Chmod(in("uploads/rose.jpg"), 0o644-os.FileMode(v)*0o040),
		os.Symlink("../version.txt", filepath.Join(own, "link")))
	for n := range 20 {
		err = errors.Join(err, os.WriteFile(filepath.Join(own, fmt.Sprintf("%02d.txt", n)), noise(100*n, uint64(n)), 0o644))
	}
	return err
}

// noise is data that does not compress.
func noise(n int, seed uint64) []byte {
	random, out := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))), make([]byte, n)
	_, _ = random.Read(out)
	return out
}

// writeTables has a version differ from the other in a table that came, one
// that went, and rows of others.
func (r *rig) writeTables(ctx context.Context, v int) error {
	in := bed.Ident(r.site.Database) + "."
	return r.db.Exec(ctx,
		fmt.Sprintf("DELETE FROM %swp_options WHERE option_name = 'chaos_version'", in),
		fmt.Sprintf("INSERT INTO %swp_options (option_name, option_value) VALUES ('chaos_version', '%c')", in, 'A'+v),
		fmt.Sprintf("DROP TABLE IF EXISTS %schaos_%c, %schaos_rows", in, 'a'+1-v, in),
		fmt.Sprintf("CREATE TABLE %schaos_%c (n INT PRIMARY KEY, t TEXT)", in, 'a'+v),
		fmt.Sprintf("INSERT INTO %[1]schaos_%[2]c SELECT seq, REPEAT(seq, 20) FROM %[1]sseq_1_to_500", in, 'a'+v),
		fmt.Sprintf("CREATE TABLE %schaos_rows (n INT PRIMARY KEY, t TEXT)", in),
		fmt.Sprintf("INSERT INTO %[1]schaos_rows SELECT seq, SHA2(seq + %[2]d, 512) FROM %[1]sseq_1_to_6000", in, v))
}

// makePoison takes a backup whose last statement fails when it is imported: a
// view of a database that is gone by then.
func (r *rig) makePoison(ctx context.Context) (err error) {
	view := bed.Ident(r.site.Database) + ".zz_last"
	if err := r.db.Exec(ctx, "CREATE DATABASE chaos_gone", "CREATE TABLE chaos_gone.t (n INT)", "CREATE VIEW "+view+" AS SELECT n FROM chaos_gone.t"); err != nil {
		return err
	}
	if r.poison, err = r.run(ctx, "backup", siteName, "-m", "cannot be imported"); err != nil {
		return err
	}
	return r.db.Exec(ctx, "DROP VIEW "+view, "DROP DATABASE chaos_gone")
}
