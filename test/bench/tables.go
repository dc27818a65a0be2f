package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// makeData loads the tables into a server of its own and keeps what the server
// leaves when it stops, as data/. It returns the size of a dump.
func makeData(ctx context.Context, dir string, words source) (size int64, err error) {
	b, err := bed.Start(ctx, filepath.Join(dir, "bed"), nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close(), os.RemoveAll(b.Dir())) }()
	db, err := b.MariaDB(ctx, "db")
	if err != nil {
		return 0, err
	}
	if err := db.Exec(ctx, "CREATE DATABASE "+benchDatabase+" CHARACTER SET utf8mb4"); err != nil {
		return 0, err
	}
	if err := loadTables(ctx, db, words); err != nil {
		return 0, err
	}
	var count counter
	if err := db.Dump(ctx, benchDatabase, &count); err != nil {
		return 0, err
	}
	if err := db.Stop(); err != nil {
		return 0, err
	}
	return int64(count), os.Rename(filepath.Join(db.Dir, "data"), filepath.Join(dir, "data"))
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func loadTables(ctx context.Context, db *bed.MariaDB, words source) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		buf := bufio.NewWriterSize(w, 1<<20)
		t := &tableMaker{w: buf, rand: rand.New(rand.NewPCG(corpusSeed, 2)), words: words}
		err := errors.Join(t.make(), buf.Flush())
		done <- errors.Join(err, w.CloseWithError(err))
	}()
	err := db.Import(ctx, benchDatabase, r)
	return errors.Join(err, r.Close(), <-done)
}

// table is one of the corpus: its rows come from a function.
type table struct {
	name, columns string
	rows          int
	row           func(t *tableMaker, id int) string // values in parentheses
}

// corpusPosts is the number of rows of wp_posts, which the site's page shows.
const corpusPosts = 19_000

// corpusTables add up to a dump of about 222 MB, in the mix of a busy site.
func corpusTables() []table {
	return []table{
		{"wp_posts", `ID bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, post_author bigint unsigned NOT NULL, post_date datetime NOT NULL,
			post_content longtext NOT NULL, post_title text NOT NULL, post_status varchar(20) NOT NULL, post_name varchar(200) NOT NULL,
			post_type varchar(20) NOT NULL, KEY post_name (post_name(191)), KEY type_status_date (post_type, post_status, post_date, ID)`,
			corpusPosts, (*tableMaker).post},
		{"wp_postmeta", `meta_id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, post_id bigint unsigned NOT NULL,
			meta_key varchar(255), meta_value longtext, KEY post_id (post_id), KEY meta_key (meta_key(191))`,
			360_000, (*tableMaker).meta},
		{"wp_options", `option_id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, option_name varchar(191) NOT NULL UNIQUE,
			option_value longtext NOT NULL, autoload varchar(20) NOT NULL`, 2_500, (*tableMaker).option},
		{"wp_comments", `comment_ID bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, comment_post_ID bigint unsigned NOT NULL,
			comment_author tinytext NOT NULL, comment_author_IP varchar(100) NOT NULL, comment_date datetime NOT NULL,
			comment_content text NOT NULL, KEY comment_post_ID (comment_post_ID)`, 50_000, (*tableMaker).comment},
		{"wp_term_relationships", `object_id bigint unsigned NOT NULL, term_taxonomy_id bigint unsigned NOT NULL,
			term_order int NOT NULL, PRIMARY KEY (object_id, term_taxonomy_id), KEY term_taxonomy_id (term_taxonomy_id)`,
			150_000, (*tableMaker).term},
		{"watchdog", `wid bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, uid int unsigned NOT NULL, type varchar(64) NOT NULL,
			message longtext NOT NULL, severity tinyint unsigned NOT NULL, location text NOT NULL, hostname varchar(128) NOT NULL,
			timestamp int NOT NULL, KEY type (type)`, 235_000, (*tableMaker).log},
		{"cache_render", `cid varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, data longblob,
			expire bigint NOT NULL, KEY expire (expire)`, 3_000, (*tableMaker).blob},
	}
}

// tableMaker writes the tables as a client's dump would.
type tableMaker struct {
	w     *bufio.Writer
	rand  *rand.Rand
	words source
}

func (t *tableMaker) make() error {
	if _, err := t.w.WriteString("SET NAMES utf8mb4; SET unique_checks = 0;\n"); err != nil {
		return err
	}
	for _, table := range corpusTables() {
		if err := t.table(table); err != nil {
			return fmt.Errorf("table %s: %w", table.name, err)
		}
	}
	return nil
}

func (t *tableMaker) table(table table) error {
	if _, err := fmt.Fprintf(t.w, "CREATE TABLE %s (%s) ENGINE=InnoDB;\nBEGIN;\n", table.name, table.columns); err != nil {
		return err
	}
	size := 0
	for id := 1; id <= table.rows; id++ {
		row := table.row(t, id)
		before := ","
		if size == 0 {
			before = "INSERT INTO " + table.name + " VALUES "
		}
		if size += len(row); size > 900_000 || id == table.rows {
			row, size = row+";\n", 0
		}
		if _, err := t.w.WriteString(before + row); err != nil {
			return err
		}
	}
	_, err := t.w.WriteString("COMMIT;\n")
	return err
}

var escape = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

func sqlText(s string) string { return "'" + escape.Replace(s) + "'" }

func (t *tableMaker) prose(size int) string {
	var b strings.Builder
	// strings.Builder never fails.
	_ = t.words.text(&b, t.rand, size)
	return strings.ToValidUTF8(b.String()[:min(b.Len(), size)], "")
}

func (t *tableMaker) date() string {
	return fmt.Sprintf("'20%02d-%02d-%02d %02d:%02d:%02d'", 15+t.rand.IntN(11), 1+t.rand.IntN(12), 1+t.rand.IntN(28),
		t.rand.IntN(24), t.rand.IntN(60), t.rand.IntN(60))
}

func (t *tableMaker) post(id int) string {
	return fmt.Sprintf("(%d,%d,%s,%s,%s,'publish','post-%d','%s')", id, 1+t.rand.IntN(40), t.date(),
		sqlText(t.prose(500+t.rand.IntN(6_000))), sqlText(t.prose(40)), id, []string{"post", "page", "revision"}[t.rand.IntN(3)])
}

func (t *tableMaker) meta(id int) string {
	key := []string{"_edit_lock", "_thumbnail_id", "_wp_attached_file", "_wp_attachment_metadata", "price"}[t.rand.IntN(5)]
	value := fmt.Sprintf("%d:%d", 1_700_000_000+t.rand.IntN(90_000_000), t.rand.IntN(40))
	if key == "_wp_attachment_metadata" {
		file := fmt.Sprintf("2024/%02d/image-%x.jpg", 1+t.rand.IntN(12), t.rand.Uint32())
		value = fmt.Sprintf(`a:3:{s:5:"width";i:%d;s:6:"height";i:%d;s:4:"file";s:%d:"%s";}`, t.rand.IntN(4000), t.rand.IntN(4000), len(file), file)
	}
	return fmt.Sprintf("(%d,%d,'%s',%s)", id, 1+t.rand.IntN(corpusPosts), key, sqlText(value))
}

func (t *tableMaker) option(id int) string {
	size := 20 + t.rand.IntN(300)
	if id%50 == 0 {
		size = 100_000 + t.rand.IntN(500_000)
	}
	return fmt.Sprintf("(%d,'option_%d',%s,'yes')", id, id, sqlText(t.prose(size)))
}

func (t *tableMaker) comment(id int) string {
	return fmt.Sprintf("(%d,%d,'visitor %x','10.%d.%d.%d',%s,%s)", id, 1+t.rand.IntN(corpusPosts), t.rand.Uint32(),
		t.rand.IntN(256), t.rand.IntN(256), t.rand.IntN(256), t.date(), sqlText(t.prose(50+t.rand.IntN(900))))
}

func (t *tableMaker) term(id int) string {
	return fmt.Sprintf("(%d,%d,0)", id, 1+t.rand.IntN(900))
}

func (t *tableMaker) log(id int) string {
	return fmt.Sprintf("(%d,%d,'%s',%s,%d,'https://example.com/node/%d?page=%d','10.%d.%d.%d',%d)", id, t.rand.IntN(5000),
		[]string{"php", "cron", "access denied", "page not found"}[t.rand.IntN(4)], sqlText(t.prose(30+t.rand.IntN(120))),
		t.rand.IntN(8), t.rand.IntN(90_000), t.rand.IntN(40), t.rand.IntN(256), t.rand.IntN(256), t.rand.IntN(256),
		1_700_000_000+id*37)
}

// blob is half serialised text and half bytes of no kind.
func (t *tableMaker) blob(id int) string {
	noise := make([]byte, 500+t.rand.IntN(6_000))
	for i := range noise {
		noise[i] = byte(t.rand.Uint32())
	}
	return fmt.Sprintf("('render:%d',0x%s%s,%d)", id, hex.EncodeToString([]byte(t.prose(2_000+t.rand.IntN(8_000)))),
		hex.EncodeToString(noise), 1_700_000_000+id)
}
