package dbdump

import (
	"testing"
)

func TestFilter(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"trigger", "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 trigger tr before insert on t for each row set @a='DEFINER=`x`@`y`' */",
			"/*!50003 CREATE*/ /*!50003 trigger tr before insert on t for each row set @a='DEFINER=`x`@`y`' */"},
		{"view", "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 AS `DEFINER=` */",
			"/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 AS `DEFINER=` */"},
		{"procedure", "CREATE DEFINER=`root`@`localhost` PROCEDURE `p`() begin create definer=`a`@`b` view v as select 1; end",
			"CREATE PROCEDURE `p`() begin create definer=`a`@`b` view v as select 1; end"},
		{"function, lower case", "create definer=root@localhost function f() returns int return 1", "create function f() returns int return 1"},
		{"aggregate", "CREATE OR REPLACE DEFINER=`a b`@`%` AGGREGATE FUNCTION f() returns int return 1", "CREATE OR REPLACE AGGREGATE FUNCTION f() returns int return 1"},
		{"ansi quotes", `CREATE DEFINER="root"@"localhost" PACKAGE BODY "pk" as begin x; end`, `CREATE PACKAGE BODY "pk" as begin x; end`},
		{"strings", `CREATE DEFINER='it''s'@'%' EVENT e DO select 1`, `CREATE EVENT e DO select 1`},
		{"quoted at", "CREATE DEFINER=`a``@``b`@`h*/` VIEW v as select 1", "CREATE VIEW v as select 1"},
		{"role", "CREATE DEFINER=`role` PROCEDURE p() select 1", "CREATE PROCEDURE p() select 1"},
		{"current user", "CREATE DEFINER=CURRENT_USER() PROCEDURE p() select 1", "CREATE PROCEDURE p() select 1"},
		{"current user, bare", "CREATE DEFINER = CURRENT_USER PROCEDURE p() select 1", "CREATE PROCEDURE p() select 1"},
		{"event", "/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`l`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO begin select 1; end */",
			"/*!50106 CREATE*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO begin select 1; end */"},
		{"alter view", "ALTER ALGORITHM=MERGE DEFINER=`a`@`b` SQL SECURITY INVOKER VIEW v AS select 1", "ALTER ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v AS select 1"},
		{"table with such a default", "CREATE TABLE t (a text DEFAULT 'DEFINER=`a`@`b` ') COMMENT='CREATE DEFINER=`a`@`b` VIEW'",
			"CREATE TABLE t (a text DEFAULT 'DEFINER=`a`@`b` ') COMMENT='CREATE DEFINER=`a`@`b` VIEW'"},
		{"table of that name", "CREATE TABLE DEFINER (a int)", "CREATE TABLE DEFINER (a int)"},
		{"column of that name", "CREATE VIEW v AS select DEFINER=a@b from t", "CREATE VIEW v AS select DEFINER=a@b from t"},
		{"sequence", "CREATE TABLE t (a int DEFAULT nextval(`old`.`s`), b int DEFAULT (NEXT VALUE FOR `old`.`s`))",
			"CREATE TABLE t (a int DEFAULT nextval(`s`), b int DEFAULT (NEXT VALUE FOR `s`))"},
		{"sequence in a view", "/*!50001 VIEW x */", "/*!50001 VIEW x */"},
		{"sequence of another", "CREATE TABLE t (a int DEFAULT nextval(`other`.`s`))", "CREATE TABLE t (a int DEFAULT nextval(`other`.`s`))"},
		{"sequence in text", "CREATE TABLE t (a text DEFAULT 'nextval(`old`.`s`)')", "CREATE TABLE t (a text DEFAULT 'nextval(`old`.`s`)')"},
		{"lastval in a view", "CREATE VIEW v AS select lastval(`old`.`s`) AS `l`, `old`.`a` from `t` `old`", "CREATE VIEW v AS select lastval(`s`) AS `l`, `old`.`a` from `t` `old`"},
		{"three-part names", "CREATE VIEW v AS select `old`.`t`.`a` AS `a`,`x`.`t`.`a`,`old`.`a` from (`t` join `old`)",
			"CREATE VIEW v AS select `t`.`a` AS `a`,`x`.`t`.`a`,`old`.`a` from (`t` join `old`)"},
		{"alter database", "ALTER DATABASE `old` CHARACTER SET latin1 COLLATE latin1_swedish_ci ", "ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci "},
		{"alter database, no name", "ALTER DATABASE CHARACTER SET latin1", "ALTER DATABASE CHARACTER SET latin1"},
		{"trigger", "CREATE DEFINER=`a`@`b` TRIGGER old.`tr` BEFORE INSERT ON `old`.t FOR EACH ROW SET NEW.a = (SELECT 1 FROM old.u ON old.x)",
			"CREATE TRIGGER `tr` BEFORE INSERT ON t FOR EACH ROW SET NEW.a = (SELECT 1 FROM old.u ON old.x)"},
		{"trigger of another", "CREATE TRIGGER `x`.tr AFTER DELETE ON x.t FOR EACH ROW DO 1", "CREATE TRIGGER `x`.tr AFTER DELETE ON x.t FOR EACH ROW DO 1"},
		{"trigger in versioned comments", "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER `old`.`tr` BEFORE INSERT ON `t` FOR EACH ROW SET NEW.a = 1 */",
			"/*!50003 CREATE*/ /*!50003 TRIGGER `tr` BEFORE INSERT ON `t` FOR EACH ROW SET NEW.a = 1 */"},
		{"procedure", "CREATE PROCEDURE old.p() SELECT 1 FROM old.t", "CREATE PROCEDURE p() SELECT 1 FROM old.t"},
		{"alter table", "ALTER TABLE `t` DISABLE KEYS", "ALTER TABLE `t` DISABLE KEYS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := filter{lex: &scanner{}, database: "old"}
			if got := f.run(tt.in); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := f.run(tt.want); got != tt.want {
				t.Errorf("a second time it became %s", got)
			}
			framed := f.apply([]byte("-- c\n"+tt.in+";\n"), 5, 5+len(tt.in), parseHead(f.lex, []byte(tt.in)))
			if got := string(framed); got != "-- c\n"+tt.want+";\n" {
				t.Errorf("framed: %q", got)
			}
		})
	}
}

func (f *filter) run(stmt string) string {
	b := []byte(stmt)
	return string(f.apply(b, 0, len(b), parseHead(f.lex, b)))
}

func TestFilterKeepsDefiners(t *testing.T) {
	f := filter{lex: &scanner{}, keepDefiners: true}
	in := "CREATE DEFINER=`a`@`b` VIEW v AS select nextval(`x`.`s`)"
	if got := f.run(in); got != "CREATE DEFINER=`a`@`b` VIEW v AS select nextval(`s`)" {
		t.Error(got)
	}
}

func TestFilterTellsOfForeignSequences(t *testing.T) {
	var told []string
	f := filter{lex: &scanner{}, database: "old", foreignSequence: func(n string) { told = append(told, n) }}
	f.run("CREATE TABLE `t;` (a int DEFAULT nextval(`other`.`s`))")
	if len(told) != 1 || told[0] != "t;" {
		t.Errorf("told of %q", told)
	}
}

func TestFilterDrops(t *testing.T) {
	f := filter{lex: &scanner{}}
	for in, want := range map[string]bool{
		"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'x:1-2'":               true,
		"SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN":           true,
		"SET @@SESSION.SQL_LOG_BIN= 0":                                  true,
		"SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN":           true,
		"/*!100001 SET GLOBAL gtid_slave_pos='0-1-2' */":                true,
		"SET @a = 'GTID_PURGED SQL_LOG_BIN'":                            false,
		"INSERT INTO t VALUES (GTID_PURGED)":                            false,
		"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='x' */":        false,
		"CREATE TABLE t (SQL_LOG_BIN int)":                              false,
		"/*!50003 SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,GTID_PURGED'*/": false,
	} {
		if got := f.dropped([]byte(in), parseHead(f.lex, []byte(in))); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestEndMark(t *testing.T) {
	for in, want := range map[string]bool{
		"-- Dump completed\n":                          true,
		"\n-- Dump completed on 2026-11-23  6:57:05\n": true,
		"\n\n-- x\n-- Dump completed":                  true,
		"\n-- not -- Dump completed\n":                 false,
		"\n":                                           false,
	} {
		if hasEndMark([]byte(in)) != want {
			t.Errorf("%q", in)
		}
	}
}
