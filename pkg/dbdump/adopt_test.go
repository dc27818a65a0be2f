package dbdump

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func adopt(t *testing.T, sql string) (*collect, AdoptSummary, error) {
	t.Helper()
	var c collect
	sum, err := Adopt(t.Context(), strings.NewReader(sql), &c)
	return &c, sum, err
}

// A dump of mysqldump --databases comes out as one of the database alone, without what belongs to its server.
func TestAdoptMysqldump(t *testing.T) {
	text := recorded(t)
	whole, sum, err := adopt(t, text)
	if err != nil {
		t.Fatal(err)
	}
	again, second, err := adopt(t, whole.String())
	if err != nil || again.String() != whole.String() {
		t.Errorf("adopting it again changes it: %v", err)
	}
	if !slices.Equal(sum.Sections, second.Sections) || sum.Rows == 0 || len(sum.TableRows()) == 0 {
		t.Errorf("sections %v, then %v", sum.Sections, second.Sections)
	}
	for _, word := range []string{"DEFINER=`root`", "GTID_PURGED", "SQL_LOG_BIN", "\nUSE ", "CREATE DATABASE"} {
		if strings.Contains(whole.String(), word) {
			t.Errorf("it has %s", word)
		}
	}
	if !strings.HasPrefix(sum.Dumper, "MySQL dump") || sum.Server == "" {
		t.Errorf("dumper %q, server %q", sum.Dumper, sum.Server)
	}
}

const adoptTable = "CREATE TABLE `t` (`a` text COLLATE utf8mb4_bin) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_german2_ci;\n"

func TestAdopt(t *testing.T) {
	const rows, mark = "INSERT INTO `t` VALUES ('USE x; -- Dump completed'),('b');\n", "-- Dump completed\n"
	const unmarked = "the program that made the dump writes no end mark"
	for _, c := range []struct {
		name, sql, want string
		charset         string
		database        string
		warning         string
	}{
		{"as it is", "-- MySQL dump 10.13\n-- Host: h    Database: shop\n" + adoptTable + rows + mark, "", "latin1 latin1_german2_ci", "shop", ""},
		{"another program's", "-- phpMyAdmin SQL Dump\n" + adoptTable + rows, "-- phpMyAdmin SQL Dump\n" + adoptTable + rows + "\n" + mark, "latin1 latin1_german2_ci", "", unmarked},
		{"no semicolon at the end", adoptTable + "INSERT INTO t VALUES (1)", adoptTable + "INSERT INTO t VALUES (1)\n;\n\n" + mark, "latin1 latin1_german2_ci", "", unmarked},
		{"a byte order mark", "\xef\xbb\xbf-- MariaDB dump 10.19\n" + adoptTable + mark, "-- MariaDB dump 10.19\n" + adoptTable + mark, "latin1 latin1_german2_ci", "", ""},
		{"sandbox line", "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n" + adoptTable + mark, "-- MariaDB dump 10.19\n" + adoptTable + mark, "latin1 latin1_german2_ci", "", ""},
		{"--databases", "-- MySQL dump 10.13\nSET NAMES utf8mb4;\nCREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb3 COLLATE utf8mb3_bin */;\nUSE `shop`;\n" + adoptTable + rows + mark,
			"-- MySQL dump 10.13\nSET NAMES utf8mb4;\n" + adoptTable + rows + mark, "utf8mb3 utf8mb3_bin", "shop", "CREATE DATABASE and USE were left out"},
		{"definer and owner", "CREATE DEFINER=`root`@`%` TRIGGER `shop`.`tr` BEFORE INSERT ON `shop`.`t` FOR EACH ROW SET @a=1;\n" + mark, "CREATE TRIGGER `tr` BEFORE INSERT ON `t` FOR EACH ROW SET @a=1;\n" + mark, " ", "", ""},
		{"replication", "SET @@SESSION.SQL_LOG_BIN= 0;\nSET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'x:1-2';\n" + adoptTable + mark, adoptTable + mark, "latin1 latin1_german2_ci", "", ""},
	} {
		got, sum, err := adopt(t, c.sql)
		if c.want == "" {
			c.want = c.sql
		}
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %v\ngot  %q\nwant %q", c.name, err, got.String(), c.want)
		}
		var warnings string
		for _, w := range sum.Warnings {
			warnings += w.Message
		}
		if sum.Charset+" "+sum.Collation != c.charset || sum.Database != c.database || (c.warning == "") != (warnings == "") || !strings.Contains(warnings, c.warning) {
			t.Errorf("%s: charset %q, collation %q, database %q, warnings %q", c.name, sum.Charset, sum.Collation, sum.Database, warnings)
		}
	}
}

func TestAdoptCollations(t *testing.T) {
	_, sum, err := adopt(t, adoptTable+"CREATE TABLE `u` (a int) DEFAULT CHARSET=utf8mb4;\nCREATE TABLE `v` (a int) DEFAULT CHARSET=utf8mb4;\n")
	if err != nil || !slices.Equal(sum.Collations, []string{"latin1_german2_ci", "utf8mb4_bin"}) || sum.Charset != "utf8mb4" || sum.Collation != "" {
		t.Errorf("collations %q, charset %q, collation %q, %v", sum.Collations, sum.Charset, sum.Collation, err)
	}
}

// A long INSERT comes in pieces, and its rows are counted as those of a short one.
func TestAdoptLongInsert(t *testing.T) {
	var sql strings.Builder
	sql.WriteString(adoptTable + "INSERT INTO `t` VALUES ('x')")
	for range 40000 {
		sql.WriteString(",('" + strings.Repeat("long;", 20) + "')")
	}
	got, sum, err := adopt(t, sql.String()+";\n")
	if err != nil || sum.Rows != 40001 || !strings.HasPrefix(got.String(), sql.String()+";\n") || sum.TableRows()["t"] != 40001 {
		t.Errorf("%d rows, %d bytes, %v", sum.Rows, got.Len(), err)
	}
}

func TestAdoptRefusals(t *testing.T) {
	const begin = "-- MySQL dump 10.13\n"
	for _, c := range []struct {
		name, sql string
		kind      Kind
	}{
		{"no mark", begin + adoptTable, KindIncomplete},
		{"within a string", adoptTable + "INSERT INTO t VALUES ('a", KindIncomplete},
		{"within a comment", adoptTable + "/* a", KindIncomplete},
		{"nothing", "", KindIncomplete},
		{"comments only", "-- nothing\n", KindIncomplete},
		{"two databases", "CREATE DATABASE a;\nUSE a;\nUSE b;\n", KindRefused},
		{"two databases made", "CREATE DATABASE a;\nCREATE DATABASE b;\n", KindRefused},
		{"drop database", "/*!40000 DROP DATABASE IF EXISTS `a`*/;\n", KindRefused},
		{"another database", "INSERT INTO mysql.user VALUES (1);\n", KindRefused},
		{"grant", "GRANT ALL ON *.* TO a;\n", KindRefused},
		{"user", "CREATE USER a;\n", KindRefused},
		{"source", adoptTable + "source /etc/passwd\n;\n", KindRefused},
		{"shell", adoptTable + "\\! id\n;\n", KindRefused},
		{"global", "SET GLOBAL general_log=1;\n", KindRefused},
		{"load", "LOAD DATA INFILE '/etc/passwd' INTO TABLE t;\n", KindRefused},
		{"library", "CREATE FUNCTION f RETURNS STRING SONAME 'evil.so';\n", KindRefused},
		{"PostgreSQL", "-- PostgreSQL database dump\nCOPY t FROM stdin;\n1\n\\.\n;\n", KindRefused},
	} {
		if _, _, err := adopt(t, c.sql); KindOf(err) != c.kind {
			t.Errorf("%s: %v (%v)", c.name, err, KindOf(err))
		}
	}
	away := errors.New("away")
	if _, err := Adopt(t.Context(), iotest.ErrReader(away), &collect{}); KindOf(err) != KindSink || !errors.Is(err, away) {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, err := Adopt(t.Context(), strings.NewReader(adoptTable), &collect{fail: away}); KindOf(err) != KindSink || !errors.Is(err, away) {
		t.Errorf("a sink that fails: %v", err)
	}
}
