package dbdump

import "strings"

// QuoteIdent quotes an identifier with backticks, for any sql_mode.
func QuoteIdent(s string) string {
	return "`" + strings.ReplaceAll(s, "`", "``") + "`"
}

var stringEscaper = strings.NewReplacer(
	"\\", `\\`, "'", `\'`, `"`, `\"`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`)

// QuoteString quotes a text for connections without NO_BACKSLASH_ESCAPES, as
// all of this package are.
func QuoteString(s string) string { return "'" + stringEscaper.Replace(s) + "'" }

var wildcardEscaper = strings.NewReplacer(`\`, `\\`, "_", `\_`, "%", `\%`)

// grantPattern escapes what is a wildcard in the database name of a GRANT.
func grantPattern(database string) string { return wildcardEscaper.Replace(database) }
