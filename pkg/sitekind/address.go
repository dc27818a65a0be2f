package sitekind

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The forms that PHP programs give the address of a database in one string,
// as in wp-includes/class-wpdb.php, parse_db_host: HOST, HOST:PORT,
// HOST:/SOCKET, ADDRESS6, [ADDRESS6], [ADDRESS6]:PORT.
var (
	plainAddress = regexp.MustCompile(`^([^:/\[\]]*)(?::([0-9]{1,5}))?$`)
	sixAddress   = regexp.MustCompile(`^\[([0-9a-fA-F:.]+)\](?::([0-9]{1,5}))?$`)
)

// ParseAddress takes an address in one string apart.
func ParseAddress(text string) (host string, port int, socket string, err error) {
	if before, after, ok := strings.Cut(text, ":/"); ok {
		text, socket = before, "/"+after
	}
	if addr, perr := netip.ParseAddr(text); perr == nil && addr.Is6() {
		return text, 0, socket, nil
	}
	m := sixAddress.FindStringSubmatch(text)
	if m == nil {
		m = plainAddress.FindStringSubmatch(text)
	}
	if m == nil {
		return "", 0, "", fmt.Errorf("the address is none of HOST, HOST:PORT, HOST:/SOCKET, [ADDRESS]:PORT")
	}
	if m[2] != "" {
		port, _ = strconv.Atoi(m[2]) // Five digits at most.
	}
	if port > 65535 {
		return "", 0, "", fmt.Errorf("the port is larger than 65535")
	}
	return m[1], port, socket, nil
}

// FormatAddress writes an address in one string. What would not be read back
// as it is given is an error.
func FormatAddress(host string, port int, socket string) (string, error) {
	text := host
	if strings.Contains(host, ":") && (port != 0 || socket != "") {
		text = "[" + host + "]"
	}
	if port != 0 {
		text += ":" + strconv.Itoa(port)
	}
	if socket != "" {
		text += ":" + socket
	}
	h, p, s, err := ParseAddress(text)
	if err != nil || h != host || p != port || s != socket {
		return "", fmt.Errorf("host %q, port %d and socket %q cannot be written as one address", host, port, socket)
	}
	return text, nil
}

// HasAddress says whether the settings name a host or a socket.
func (s Settings) HasAddress() bool { return s.Host != "" || s.Socket != "" }

// portText is a port in decimal, empty for none.
func portText(port int) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(port)
}
