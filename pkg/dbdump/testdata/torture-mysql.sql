SET NAMES utf8mb4;
SET sql_mode='NO_AUTO_VALUE_ON_ZERO';
SET foreign_key_checks=0;


CREATE TABLE `empty` (`id` int PRIMARY KEY);
CREATE TABLE `no key` (`a` int, `b` varchar(20) DEFAULT 'x;''--');
INSERT INTO `no key` VALUES (1,'a'),(1,'a'),(NULL,NULL);

CREATE TABLE `hostile` (`id` int AUTO_INCREMENT PRIMARY KEY, `t` longtext);
INSERT INTO `hostile` VALUES
(0,'zero'),
(1,'/*!50017 DEFINER=`root`@`localhost`*/'),
(2,'CREATE DEFINER=`root`@`localhost` PROCEDURE `x`() BEGIN END;;'),
(3,'\n-- Dump completed on 2026-01-01  0:00:00\n'),
(4,'\nDELIMITER ;;\n'),
(5,'\n\\! touch /tmp/owned\n'),
(6,'it''s \\ \' \" ` ; # -- /* */ /*! */'),
(7,'\n-- Table structure for table `other`\n--\n\nDROP TABLE IF EXISTS `other`;\n'),
(8,'USE mysql;\nDROP DATABASE mysql;'),
(9,'/*M!999999\\- enable the sandbox mode */ '),
(10,'SET @@GLOBAL.GTID_PURGED=1; SET @@SESSION.SQL_LOG_BIN= 0;'),
(11,'\\\\\\\\'),(12,'\\\''),(13,''),(14,NULL),(15,'),(99,'),
(16,'ALTER DATABASE `x` CHARACTER SET latin1'),
(17,'nextval(`torture`.`seq`)'),
(18,'ä€😀 \0 \Z \r\n\t'),
(19,'system ls'),(20,'source /etc/passwd'),(21,REPEAT('\\\'"`;\n',60000)),(22,REPEAT('x',1500000));
INSERT INTO `hostile` (`t`) SELECT CONCAT(`t`,`id`) FROM `hostile` WHERE `id` < 21;

CREATE TABLE `-- Dumping data for table ``hostile``` (`a` int) COMMENT='DEFINER=`a`@`b` */ ; -- \n-- Dump completed';
INSERT INTO `-- Dumping data for table ``hostile``` VALUES (1),(2);
CREATE TABLE `li``ne;
-- Table structure for table ``fake``
end` (`we``ird;'"
c` int, `ünï` varchar(10), `values (` int, `select` int);
INSERT INTO `li``ne;
-- Table structure for table ``fake``
end` VALUES (1,'ö',2,3);
CREATE TABLE `a.b` (`c.d` int);
INSERT INTO `a.b` VALUES (7);
CREATE TABLE `%_` (`a` int);
INSERT INTO `%_` VALUES (8);

CREATE TABLE `types` (
  `id` bigint unsigned PRIMARY KEY, `b1` bit(1), `b33` bit(33), `f` float, `d` double, `dec` decimal(30,10),
  `dt` datetime(6), `ts` timestamp NULL, `tm` time(3), `y` year, `e` enum('a','b;''c'), `s` set('x','y','z'),
  `j` json, `bin` binary(4), `vb` varbinary(300), `lb` longblob, `l1` varchar(50) CHARACTER SET latin1,
  `u16` varchar(50) CHARACTER SET utf16, `ci` varchar(50) COLLATE utf8mb4_bin, `g` geometry, `inv` int DEFAULT 4 INVISIBLE,
  `ex` json DEFAULT (JSON_ARRAY()), FULLTEXT KEY `ft` (`l1`), KEY `pre` (`ci`(3) DESC), KEY `fun` ((LOWER(`ci`))), KEY `hid` (`y`) INVISIBLE) CHARSET=utf8mb4;
INSERT INTO `types` VALUES
(18446744073709551615,b'1',b'100000000000000000000000000000001',1.17549e-38,1.7976931348623157e308,-12345678901234567890.0123456789,
 '2026-11-23 01:02:03.123456','2026-11-23 01:02:03','-838:59:59.000',2155,'b;''c','x,z',
 '{"a;": ["\\"", null, 1.5]}',0x00FF2700,0x275C22,0x0000,'äöü','ßüö','AbC',ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'),'[1]'),
(2,NULL,NULL,NULL,NULL,NULL,'0000-00-00 00:00:00','0000-00-00 00:00:00',NULL,0000,'','',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO `types` (`id`,`vb`,`dt`,`inv`) VALUES (3,UNHEX(REPEAT('000102275C22603B2D2D0A',20)),'2026-00-00',99);
CREATE TABLE `bytes` (`n` int PRIMARY KEY, `raw` blob, `txt` text CHARACTER SET latin1);
INSERT INTO `bytes` WITH RECURSIVE s (seq) AS (SELECT 0 UNION ALL SELECT seq+1 FROM s WHERE seq < 255) SELECT seq, CHAR(seq), CONVERT(CHAR(seq) USING latin1) FROM s;

CREATE TABLE `gen` (`a` int, `v` int GENERATED ALWAYS AS (`a`*2) VIRTUAL, `s` varchar(20) GENERATED ALWAYS AS (CONCAT('x;',`a`)) STORED,
  `c` int DEFAULT (1+2), `h` varchar(40) DEFAULT (UUID()), CONSTRAINT `chk;` CHECK (`a` > 0));
INSERT INTO `gen` (`a`) VALUES (1),(2),(3);

CREATE TABLE `cycle_a` (`id` int PRIMARY KEY, `b` int, CONSTRAINT `fa` FOREIGN KEY (`b`) REFERENCES `cycle_b` (`id`));
CREATE TABLE `cycle_b` (`id` int PRIMARY KEY, `a` int, CONSTRAINT `fb` FOREIGN KEY (`a`) REFERENCES `cycle_a` (`id`) ON DELETE CASCADE);
INSERT INTO `cycle_a` VALUES (1,1); INSERT INTO `cycle_b` VALUES (1,1);

CREATE TABLE `parts` (`id` int, `at` date) PARTITION BY RANGE (YEAR(`at`)) (PARTITION `p0` VALUES LESS THAN (2000), PARTITION `p;1` VALUES LESS THAN MAXVALUE);
INSERT INTO `parts` VALUES (1,'1999-01-01'),(2,'2026-01-01');
CREATE TABLE `myisam` (`a` int, KEY (`a`)) ENGINE=MyISAM; INSERT INTO `myisam` VALUES (3),(4);
CREATE TABLE `mem` (`a` int) ENGINE=MEMORY; INSERT INTO `mem` VALUES (6);
CREATE TABLE `multi` (`id` int PRIMARY KEY, `j` json, `v` vector(3), `p` point NOT NULL SRID 4326, SPATIAL KEY (`p`), KEY `mv` ((CAST(`j`->"$.a" AS unsigned ARRAY)))) COLLATE=utf8mb4_0900_as_cs;
INSERT INTO `multi` VALUES (1, '{"a": [1, 2]}', STRING_TO_VECTOR('[1,2,3.5]'), ST_SRID(POINT(1,2),4326));
CREATE TABLE `log` (`id` int AUTO_INCREMENT PRIMARY KEY, `what` varchar(100));

DELIMITER //
CREATE FUNCTION `twice`(`x` int) RETURNS int DETERMINISTIC SQL SECURITY INVOKER RETURN `x`*2//
CREATE FUNCTION `def'iner`() RETURNS text DETERMINISTIC COMMENT 'DEFINER=`x`@`y`;' RETURN 'CREATE DEFINER=`a`@`b` VIEW; /* */'//
CREATE PROCEDURE `body`(IN `a` int, OUT `b` text)
BEGIN
  -- DEFINER=`root`@`localhost` it's a comment;
  DECLARE x text DEFAULT '/*!50017 DEFINER=`c`@`d`*/';
  /* DEFINER=`e`@`f` ; */
  IF a > 1 THEN SET b = CONCAT(x, ';;', "it's", '\'', '\\'); ELSE SET b = '--'; END IF;
END//
SET sql_mode='NO_BACKSLASH_ESCAPES'//
CREATE PROCEDURE `nobackslash`() SELECT '\', ';', 'DEFINER=`a`@`b`\'//
SET sql_mode='ANSI_QUOTES'//
CREATE PROCEDURE `ansi`() SELECT 1 AS "a;x"//
SET sql_mode='STRICT_TRANS_TABLES'//
CREATE TRIGGER `t1` BEFORE INSERT ON `no key` FOR EACH ROW BEGIN SET NEW.`b` = CONCAT(NEW.`b`, ';DEFINER=`a`@`b`'); -- it's
INSERT INTO `log` (`what`) VALUES ('ins;'); END//
CREATE TRIGGER `t2` AFTER DELETE ON `no key` FOR EACH ROW INSERT INTO `log` (`what`) VALUES ('del')//
CREATE TRIGGER `t3` AFTER DELETE ON `no key` FOR EACH ROW FOLLOWS `t2` SET @x = 'y'//
CREATE TRIGGER `t;4` AFTER UPDATE ON `hostile` FOR EACH ROW SET @z = 1//
CREATE EVENT `ev` ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 00:00:00' COMMENT 'DEFINER=`x`@`y`' DO BEGIN DELETE FROM `log`; SELECT ';'; END//
CREATE EVENT `ev2` ON SCHEDULE AT '2037-01-01 00:00:00' DISABLE DO SELECT 'it''s'//
DELIMITER ;
SET sql_mode='';
-- what was made before keeps the old default as its database collation
ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

CREATE VIEW `z_view` AS SELECT `id`, `t` FROM `hostile` WHERE `t` LIKE '%;%';
CREATE SQL SECURITY INVOKER VIEW `a_view` AS SELECT `id`, `t`, 'DEFINER=`x`@`y` SQL SECURITY DEFINER' AS `d;` FROM `z_view`;
CREATE ALGORITHM=MERGE VIEW `m_view` AS SELECT `a` FROM `no key` WHERE `a` > 0 WITH LOCAL CHECK OPTION;
CREATE VIEW `cycle_view` AS SELECT `id` AS `a` FROM `cycle_a`;
CREATE VIEW `f_view` AS SELECT `twice`(`a`) AS `f`, `def'iner`() AS `g` FROM `cycle_view`;
