package dbdump

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// fault is a kind with its hint.
type fault struct {
	kind Kind
	hint string
}

const (
	hintLogin       = "check user, password and host of the database account"
	hintReach       = "check that the database server runs and that its socket or address is right"
	hintPrivilege   = "grant the missing privilege to the account, or use an administrative one"
	hintDisk        = "make room on the database server's disk, then try again"
	hintMemory      = "the database server is out of memory: give it more, or lower its buffers, then try again"
	hintOwnMemory   = "the agent's machine is out of memory: see what takes it, or raise the limit it has"
	hintNoTLS       = "the database server offers no TLS: set it up there, or do not ask for it (mysql.tls, or the option file)"
	hintPlugin      = "give the account a plugin that does not send the password itself: ed25519, caching_sha2_password or mysql_native_password"
	hintCertificate = "the database server's certificate is not of the CA that is trusted, or not for the host: check mysql.tls_ca and mysql.host, or the option file"
	hintHeld        = "look for the connection that uses it: SHOW FULL PROCESSLIST on the database server; KILL ends it"
	hintBroken      = "repair or drop it (CHECK TABLE, REPAIR TABLE, DROP VIEW), or use a best-effort dump that leaves it out"
)

// faults maps error numbers (mariadb.com/kb/en/mariadb-error-codes,
// dev.mysql.com/doc/mysql-errors) to kinds.
var faults = map[uint16]fault{
	1021: {KindDiskFull, hintDisk},
	1114: {KindDiskFull, "the table is full: " + hintDisk},

	5: {KindMemory, hintMemory}, 1037: {KindMemory, hintMemory}, 1041: {KindMemory, hintMemory},
	1135: {KindMemory, hintMemory}, 1257: {KindMemory, hintMemory}, // no thread can be made; no memory for decompressing

	1045: {KindAccessDenied, hintLogin},
	1698: {KindAccessDenied, hintLogin},
	1130: {KindAccessDenied, "create the account for the address it logs in from"},
	1129: {KindAccessDenied, "run FLUSH HOSTS on the database server"},
	1862: {KindAccessDenied, "the account's password has expired: set a new one"},
	4151: {KindAccessDenied, "the account is locked: unlock it"},
	3118: {KindAccessDenied, "the account is locked: unlock it"},

	1049: {KindUnknownDatabase, "check the database's name"},

	1044: {KindPrivilege, hintPrivilege}, 1142: {KindPrivilege, hintPrivilege},
	1143: {KindPrivilege, hintPrivilege}, 1227: {KindPrivilege, hintPrivilege},
	1370: {KindPrivilege, hintPrivilege}, 1410: {KindPrivilege, hintPrivilege},
	1419: {KindBinlogTrust, "the binary log is on: SET GLOBAL log_bin_trust_function_creators=1 on the database server"},

	1007: {KindExists, "choose another name"},
	1412: {KindChanged, "a table was altered during the dump: back up again when nothing alters tables"},
	1153: {KindTooLarge, "raise max_allowed_packet on the database server"},

	1017: {KindBroken, hintBroken}, 1033: {KindBroken, hintBroken}, 1034: {KindBroken, hintBroken},
	1146: {KindBroken, hintBroken}, 1194: {KindBroken, hintBroken}, 1195: {KindBroken, hintBroken},
	1356: {KindBroken, hintBroken}, 1449: {KindBroken, hintBroken}, 1877: {KindBroken, hintBroken},
	1932: {KindBroken, hintBroken}, 145: {KindBroken, hintBroken}, 126: {KindBroken, hintBroken},

	1040: {KindUnreachable, "the database server has no connection free: raise max_connections or try later"},
	1053: {KindUnreachable, hintReach}, 1152: {KindUnreachable, hintReach}, 1158: {KindUnreachable, hintReach},
	1159: {KindUnreachable, hintReach}, 1160: {KindUnreachable, hintReach}, 1161: {KindUnreachable, hintReach},
	1927: {KindUnreachable, "the connection was killed on the database server: try again"},
	2002: {KindUnreachable, hintReach}, 2003: {KindUnreachable, hintReach}, 2005: {KindUnreachable, hintReach},
	2006: {KindUnreachable, hintReach}, 2013: {KindUnreachable, hintReach}, 2026: {KindUnreachable, "check the TLS settings of both sides"},
}

// noSpace matches how servers tell of ENOSPC in the text of other errors.
var noSpace = regexp.MustCompile(`(?i)\b(errcode|errno|error):? 28\b|no space left on device`)

// noMemory matches how servers tell of ENOMEM in the text of other errors.
var noMemory = regexp.MustCompile(`(?i)\b(errcode|errno|error):? 12\b|cannot allocate memory|out of memory`)

// errSyntax is ER_PARSE_ERROR, which quotes statements.
const errSyntax = 1064

// classify says what kind of failure err is.
func classify(err error) fault {
	var me *mysql.MySQLError
	var ne *net.OpError
	var held *heldError
	switch {
	case errors.As(err, &held):
		return fault{KindUnreachable, hintHeld}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault{KindCancelled, ""}
	case errors.Is(err, syscall.ENOMEM):
		return fault{KindMemory, hintOwnMemory}
	case errors.As(err, &me):
		return classifyCode(me.Number, me.Message)
	case errors.As(err, &ne), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.EPIPE):
		return fault{KindUnreachable, hintReach}
	case errors.Is(err, mysql.ErrPktTooLarge):
		return faults[1153]
	}
	return classifyLogin(err)
}

// classifyLogin says what keeps the driver from logging in before the server has said anything.
func classifyLogin(err error) fault {
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, mysql.ErrNoTLS):
		return fault{KindUnreachable, hintNoTLS}
	case errors.As(err, &cert):
		return fault{KindUnreachable, hintCertificate}
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin):
		return fault{KindAccessDenied, hintPlugin}
	}
	return fault{}
}

func classifyCode(code uint16, text string) fault {
	if noSpace.MatchString(text) {
		return fault{KindDiskFull, hintDisk}
	}
	f, known := faults[code]
	if !known && code != errSyntax && noMemory.MatchString(text) {
		return fault{KindMemory, hintMemory}
	}
	return f
}

// fail makes an Error of what went wrong; an Error stays what it is.
func fail(op, subject string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	f := classify(err)
	return &Error{Op: op, Subject: subject, Kind: f.kind, Hint: f.hint, Err: err}
}

// failAs makes an Error of a given kind.
func failAs(kind Kind, op, subject, hint, format string, args ...any) error {
	return &Error{Op: op, Subject: subject, Kind: kind, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// clientCode finds the error number in a line of a client program: "Got error:
// 1045: ...", "Error 2013: ...", "... (1356)".
var clientCode = regexp.MustCompile(`(?:[Ee]rror:? |\()(\d{3,5})(?::|\)| \()`)

// clientTable finds what the program was dumping: "when dumping table `t` at row: 3".
var clientTable = regexp.MustCompile("(?s)when dumping table `(.*)` at row")

// clientObject finds what a statement was about: "'show create table `v`'", "SHOW FIELDS FROM `v`".
var clientObject = regexp.MustCompile("(?i)(?:show create \\w+|show fields from|from|execute 'lock tables) `((?:[^`]|``)+)`")

// subjectOf names the table or other object that a line of a client program is about.
func subjectOf(line string) string {
	if m := clientTable.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	if m := clientObject.FindStringSubmatch(line); m != nil {
		return strings.ReplaceAll(m[1], "``", "`")
	}
	return ""
}

// classifyLines says what kind of failure a client program reported.
func classifyLines(stderr string) fault {
	for line := range strings.Lines(stderr) {
		m := clientCode.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		code, err := strconv.ParseUint(m[1], 10, 16)
		if err != nil {
			continue
		}
		if f := classifyCode(uint16(code), line); f.kind != KindOther {
			return f
		}
	}
	if noSpace.MatchString(stderr) {
		return fault{KindDiskFull, hintDisk}
	}
	if noMemory.MatchString(stderr) {
		return fault{KindMemory, hintOwnMemory}
	}
	return fault{KindClient, "see the program's own words above; check that it fits the server's version"}
}

// scrub takes a password out of a text that a server or program wrote. Very
// short ones are left: they are in many words.
func scrub(text string, secrets ...Secret) string {
	for _, s := range secrets {
		if p := s.Reveal(); len(p) >= 4 {
			text = strings.ReplaceAll(text, p, redacted)
			text = strings.ReplaceAll(text, strings.Trim(QuoteString(p), "'"), redacted)
		}
	}
	return text
}

// scrubErr takes a password out of an error whose text holds it.
func scrubErr(err error, secrets ...Secret) error {
	if err == nil {
		return nil
	}
	clean := scrub(err.Error(), secrets...)
	if clean == err.Error() {
		return err
	}
	var me *mysql.MySQLError
	if errors.As(err, &me) {
		return &mysql.MySQLError{Number: me.Number, SQLState: me.SQLState, Message: scrub(me.Message, secrets...)}
	}
	return errors.New(clean)
}
