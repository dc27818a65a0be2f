package dbdump

import (
	"strings"
	"testing"
)

func TestMissingPrivileges(t *testing.T) {
	for _, c := range []struct {
		name, want string
		lines      []string
	}{
		{"all", "", []string{"GRANT USAGE ON *.* TO `u`@`h`", "GRANT ALL PRIVILEGES ON `my\\_db`.* TO `u`@`h`"}},
		{"everywhere", "", []string{"GRANT ALL PRIVILEGES ON *.* TO `u`@`h`"}},
		{"those that are needed", "", []string{"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON `my_db`.* TO `u`@`h`"}},
		{"some", "CREATE DROP INDEX ALTER", []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON `my\\_db`.* TO `u`@`h`"}},
		{"in two lines", "ALTER", []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON `my\\_db`.* TO `u`@`h`", "GRANT CREATE, DROP, INDEX ON *.* TO `u`@`h`"}},
		{"another database", "SELECT INSERT UPDATE DELETE CREATE DROP INDEX ALTER", []string{"GRANT ALL PRIVILEGES ON `other`.* TO `u`@`h`"}},
		{"one table", "SELECT INSERT UPDATE DELETE CREATE DROP INDEX ALTER", []string{"GRANT ALL PRIVILEGES ON `my_db`.`t` TO `u`@`h`"}},
		{"a role", "", []string{"GRANT `r` TO `u`@`h`", "GRANT USAGE ON *.* TO `u`@`h`"}},
	} {
		if got := strings.Join(missingPrivileges(parseGrants(c.lines), "my_db"), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
