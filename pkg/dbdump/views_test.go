package dbdump

import (
	"strings"
	"testing"
)

// TestReadViews takes the last definition of each view out of a dump as mysqldump writes it, with the session that it is made in.
func TestReadViews(t *testing.T) {
	const dump = "/*!40101 SET NAMES utf8mb4 */;\n" +
		"/*!50001 CREATE VIEW `v` AS SELECT\n 1 AS `id` */;\n" +
		"INSERT INTO `t` VALUES ('CREATE VIEW `w` AS SELECT 1');\n" +
		"/*!50001 SET @saved_cs_client          = @@character_set_client */;\n" +
		"/*!50001 SET character_set_client      = latin1 */;\n/*!50001 SET collation_connection      = latin1_bin */;\n" +
		"/*!50001 CREATE ALGORITHM=MERGE */\n/*!50013 DEFINER=`a@b`@`%` SQL SECURITY INVOKER */\n" +
		"/*!50001 VIEW `v` AS select 'VIEW \xe9 */' AS `x` from `t` where 1 */\n/*!50002 WITH CASCADED CHECK OPTION */;\n" +
		"/*!50001 SET character_set_client      = @saved_cs_client */;\n" +
		"CREATE OR REPLACE VIEW IF NOT EXISTS `shop`.`a``b` AS SELECT 1;\n"
	views, err := ReadViews(strings.NewReader(dump))
	if err != nil || len(views) != 2 || views["v"] == nil || views["a`b"] == nil {
		t.Fatalf("%v, %v", views, err)
	}
	want := ViewDefinition{Algorithm: "MERGE", Security: "INVOKER", Definer: "a@b@%", Charset: "latin1", Collation: "latin1_bin",
		Body: []byte("`v` AS select 'VIEW \xe9 */' AS `x` from `t` where 1  \n  WITH CASCADED CHECK OPTION")}
	if v := views["v"]; !v.equal(&want) {
		t.Errorf("%q %+v", v.Body, v)
	}
	if v := views["a`b"]; string(v.Body) != "`a``b` AS SELECT 1" || v.Definer != "" || v.Algorithm != "" {
		t.Errorf("%q %+v", v.Body, v)
	}
	if got := want.create("`x`@`y`"); !strings.HasPrefix(got, "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`x`@`y` SQL SECURITY INVOKER VIEW `v` AS") {
		t.Error(got)
	}
}

// TestViewsThatAreRefused: what comes from a master runs as the administrator.
func TestViewsThatAreRefused(t *testing.T) {
	for _, v := range []ViewDefinition{
		{Body: []byte("`other`.`v` AS SELECT 1")}, {Body: []byte("`w` AS SELECT 1")}, {Body: []byte("AS SELECT 1")},
		{Algorithm: "MERGE DEFINER=root@localhost", Body: []byte("`v` AS SELECT 1")}, {Security: "DEFINER VIEW x AS SELECT 1;", Body: []byte("`v` AS SELECT 1")},
		{Body: []byte("`v` AS SELECT 1 INTO OUTFILE '/x'")},
	} {
		if err := checkView(&v, v.create("`x`@`y`"), "v"); KindOf(err) != KindInvalid || HintOf(err) == "" {
			t.Errorf("%s: %v", &v, err)
		}
	}
	good := ViewDefinition{Security: "DEFINER", Body: []byte("`v` AS SELECT 1")}
	if err := checkView(&good, good.create("`x`@`y`"), "v"); err != nil {
		t.Error(err)
	}
}
