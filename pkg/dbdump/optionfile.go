package dbdump

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// optionGroups are the groups of an option file that hold a client's settings;
// a later one wins.
var optionGroups = map[string]bool{"client": true, "client-server": true, "client-mariadb": true, "mysql": true, "mariadb-client": true}

// readOptionFile reads the settings of the client groups of an option file
// (mariadb.com/kb/en/configuring-mariadb-with-option-files). Includes are refused.
func readOptionFile(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return parseOptions(f)
}

func parseOptions(r io.Reader) (map[string]string, error) {
	opts := map[string]string{}
	in := false
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '!':
			return nil, fmt.Errorf("line %d: includes are not followed: name the file that holds the account", n)
		case line[0] == '[':
			in = optionGroups[strings.Trim(line, "[] \t")]
		case in:
			key, value, _ := strings.Cut(line, "=")
			key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), "_", "-")
			opts[strings.TrimPrefix(key, "loose-")] = optionValue(value)
		}
	}
	return opts, sc.Err()
}

// optionValue undoes comments, quotes and escapes as mysys/my_default.c does.
func optionValue(s string) string {
	s = strings.TrimSpace(cutComment(s))
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		s = s[1 : n-1]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if j := strings.IndexByte(`ntrbs"'\`, s[i]); j >= 0 {
			b.WriteByte("\n\t\r\b \"'\\"[j])
		} else {
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// cutComment takes off a # and what follows, unless it is in quotes.
func cutComment(s string) string {
	var quote byte
	escape := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c == '\'' || c == '"') && !escape {
			switch quote {
			case 0:
				quote = c
			case c:
				quote = 0
			}
		}
		if quote == 0 && c == '#' {
			return s[:i]
		}
		escape = quote != 0 && c == '\\' && !escape
	}
	return s
}

var optionEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`)

// optionLine writes key and value so that any value but a NUL comes through.
func optionLine(key, value string) string {
	return key + `="` + optionEscaper.Replace(value) + "\"\n"
}

// merge fills what s leaves open from the settings of an option file.
func (s Server) merge(opts map[string]string) (Server, error) {
	if s.Socket == "" && s.Host == "" {
		s.Host = opts["host"]
		if s.Host == "" || s.Host == "localhost" || opts["protocol"] == "socket" {
			s.Host, s.Socket = "", opts["socket"]
		}
	}
	if s.Port == 0 && opts["port"] != "" {
		p, err := strconv.Atoi(opts["port"])
		if err != nil {
			return s, fmt.Errorf("port %q is no number", opts["port"])
		}
		s.Port = p
	}
	if s.User == "" {
		s.User = opts["user"]
	}
	if pw, ok := opts["password"]; ok && s.Password.IsZero() {
		s.Password = NewSecret(pw)
	}
	if s.CAFile == "" {
		s.CAFile = opts["ssl-ca"]
	}
	if s.TLS == TLSPreferred {
		s.TLS = tlsOption(opts)
	}
	return s, nil
}

// tlsOption reads the words of MySQL (ssl-mode) and MariaDB for a TLS mode. VERIFY_CA checks the name too: a certificate
// that is only of some CA says nothing of the server.
func tlsOption(opts map[string]string) TLSMode {
	switch strings.ToUpper(opts["ssl-mode"]) {
	case "DISABLED":
		return TLSDisabled
	case "REQUIRED":
		return TLSRequired
	case "VERIFY_CA", "VERIFY_IDENTITY":
		return TLSVerify
	}
	_, never := opts["skip-ssl"]
	switch {
	case optionOn(opts, "ssl-verify-server-cert"):
		return TLSVerify
	case optionOn(opts, "ssl"):
		return TLSRequired
	case never || opts["ssl"] != "":
		return TLSDisabled
	}
	return TLSPreferred
}

// optionOn reports whether a switch is set: an option without a value is.
func optionOn(opts map[string]string, key string) bool {
	value, given := opts[key]
	switch strings.ToLower(value) {
	case "", "1", "on", "true":
		return given
	}
	return false
}
