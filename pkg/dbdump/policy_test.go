package dbdump

import "testing"

func TestPolicy(t *testing.T) {
	allowed := []string{
		"", "/*!40101 SET NAMES utf8mb4 */", "SET @a=1", "SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0",
		"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */", "SET character_set_client = utf8mb4",
		"SET @x = 'GLOBAL'", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET @@SESSION.foreign_key_checks=0",
		"INSERT INTO `t` VALUES ('USE mysql; \\! INTO OUTFILE')", "INSERT INTO `mine`.`t` VALUES (1)", "REPLACE INTO t VALUES (1)",
		"CREATE TABLE `t` (`GLOBAL` int, `use` int)", "CREATE TABLE `mine`.`t` (a int)", "DROP TABLE IF EXISTS `t`",
		"CREATE SEQUENCE s START 1", "DO SETVAL(`s`, 1005, 0)", "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
		"ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci", "COMMIT", "START TRANSACTION", "BEGIN", "LOCK TABLES `t` WRITE",
		"/*!50003 CREATE*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET GLOBAL a=1 */",
		"CREATE PROCEDURE p() SELECT 1 INTO OUTFILE '/x'", "CREATE VIEW v AS SELECT 'INTO OUTFILE'", "CREATE UNIQUE INDEX i ON t (a)",
		"SELECT 1", "DROP PACKAGE BODY IF EXISTS `p`", "CREATE TABLE t AS SELECT 1 AS outfile",
	}
	refused := []string{
		`\! touch /tmp/x`, "system ls", "source /etc/passwd", "tee /tmp/x", "pager cat", "connect other", "charset x", "edit",
		"USE mysql", "/*!40000 USE mysql */", "CREATE DATABASE x", "CREATE SCHEMA x", "CREATE /*!32312 IF NOT EXISTS*/ DATABASE `x`",
		"DROP DATABASE mine", "DROP SCHEMA mine", "ALTER DATABASE other CHARACTER SET latin1", "ALTER SCHEMA `other` CHARSET x",
		"GRANT ALL ON *.* TO x", "REVOKE ALL ON *.* FROM x", "CREATE USER x", "DROP USER x", "ALTER USER x IDENTIFIED BY 'y'",
		"CREATE ROLE r", "SET PASSWORD = 'x'", "SET ROLE r", "SET DEFAULT ROLE r", "RENAME USER a TO b", "SET STATEMENT a=1 FOR SELECT 1",
		"SET GLOBAL general_log=1", "SET @@GLOBAL.a=1", "SET @@global.a=1", "SET @a=1, GLOBAL b=2", "SET PERSIST a=1", "SET @@PERSIST.a=1",
		"/*!40101 SET GLOBAL a=1 */", "SET /*!40101 GLOBAL */ a=1", "SET @a=1, @@ GLOBAL.b=2",
		"LOAD DATA INFILE '/etc/passwd' INTO TABLE t", "LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "LOAD XML INFILE 'x' INTO TABLE t",
		"SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT 1 INTO DUMPFILE '/tmp/x'", "SELECT 1 INTO /* */ OUTFILE '/tmp/x'", "SELECT 1 INTO /*!40000 OUTFILE */ '/x'",
		"INSTALL PLUGIN x SONAME 'y'", "UNINSTALL PLUGIN x", "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'", "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
		"SHUTDOWN", "KILL 1", "FLUSH PRIVILEGES", "RESET MASTER", "CHANGE MASTER TO x", "PURGE BINARY LOGS TO x", "CALL p()", "PREPARE s FROM 'x'",
		"EXECUTE IMMEDIATE 'x'", "HANDLER t OPEN", "DELIMITER", "BACKUP STAGE START", "CREATE TABLESPACE x", "RENAME TABLE a TO mysql.b",
		"INSERT INTO mysql.user VALUES (1)", "INSERT INTO `other`.`t` VALUES (1)", "REPLACE LOW_PRIORITY INTO other . t VALUES (1)", "DROP TABLE `other`.`t`",
		"CREATE TABLE other.t (a int)", "CREATE VIEW other.v AS SELECT 1", "TRUNCATE TABLE mysql.db", "CREATE TRIGGER other.t BEFORE INSERT ON x FOR EACH ROW SET @a=1",
		"CREATE TABLE t AS SELECT 1 INTO OUTFILE '/x'", "XA START 'x'", "@a", "'x'", "(SELECT 1)", "WITH a AS (SELECT 1) SELECT 1",
	}
	for _, in := range allowed {
		if err := checkStatement(in); err != nil {
			t.Errorf("refused %q: %v", in, err)
		}
	}
	for _, in := range refused {
		if checkStatement(in) == nil {
			t.Errorf("allowed %q", in)
		}
	}
}

func checkStatement(stmt string) error {
	l := &scanner{skips: Version{Flavour: MariaDB, Major: 10, Minor: 11}.skips}
	return policy{lex: l, database: "mine"}.check([]byte(stmt), parseHead(l, []byte(stmt)))
}
