package dbdump

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Capabilities that a handshake of these tests offers: CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH.
const handshakeFlags = 1 | 1<<9 | 1<<15 | 1<<19

// handshake is protocol version 10's first packet
// (dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html).
func handshake(flags uint32) []byte {
	b := append([]byte{10}, "8.0.36\x00\x01\x00\x00\x00scramble\x00"...)
	b = binary.LittleEndian.AppendUint16(b, uint16(flags))
	b = append(b, 45, 2, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(flags>>16))
	b = append(b, 21)
	b = append(b, make([]byte, 10)...)
	return append(b, "of 12 bytes.\x00mysql_native_password\x00"...)
}

// doorman is a server that nobody gets past: answer is what it says to a login. It keeps all that it was sent.
type doorman struct {
	flags  uint32
	cert   *tls.Config // for those that begin TLS
	answer []byte
	heard  chan []byte // what one connection sent
}

func (d *doorman) serve(t *testing.T) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.heard = make(chan []byte, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		d.heard <- d.meet(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	a := l.Addr().(*net.TCPAddr)
	return a.IP.String(), a.Port
}

func packetOf(sequence byte, payload []byte) []byte {
	return append([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, sequence}, payload...)
}

// meet greets, lets TLS begin, answers the login, and listens until the other side goes.
func (d *doorman) meet(c net.Conn) []byte {
	var heard bytes.Buffer
	_, _ = c.Write(packetOf(0, handshake(d.flags)))
	sequence := byte(2)
	if d.flags&flagSSL != 0 {
		if _, err := io.CopyN(&heard, c, 4+32); err != nil { // the request for TLS
			return heard.Bytes()
		}
		c, sequence = tls.Server(c, d.cert), 3
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return heard.Bytes()
	}
	if _, err := io.CopyN(&heard, c, int64(head[0])|int64(head[1])<<8); err != nil {
		return heard.Bytes()
	}
	_, _ = c.Write(packetOf(sequence, d.answer))
	_, _ = io.Copy(&heard, c)
	return heard.Bytes()
}

// denied is ERR 1045.
var denied = append([]byte{markErr, 0x15, 0x04}, "#28000Access denied"...)

// switchTo asks for another plugin (AuthSwitchRequest).
func switchTo(plugin string) []byte {
	return append([]byte{markEOF}, plugin+"\x00of 20 bytes, or so...\x00"...)
}

// Logins that must not be, and what is never said on the way to them.
func TestLoginsThatAreRefused(t *testing.T) {
	ours := httptest.NewUnstartedServer(nil)
	ours.StartTLS() // for its certificate alone, which is for 127.0.0.1
	defer ours.Close()
	trusted, foreign := filepath.Join(t.TempDir(), "ca.pem"), filepath.Join(t.TempDir(), "none.pem")
	pemOf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.Certificate().Raw})
	if err := os.WriteFile(trusted, pemOf, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	const plain, secure = handshakeFlags, handshakeFlags | flagSSL
	for name, row := range map[string]struct {
		flags  uint32
		answer []byte
		mode   TLSMode
		ca     string
		want   Kind
		says   string
		login  bool // it comes as far as a login
	}{
		"no TLS, though it is required":      {plain, denied, TLSRequired, "", KindUnreachable, "TLS", false},
		"no TLS, though it is to be checked": {plain, denied, TLSVerify, trusted, KindUnreachable, "TLS", false},
		"no TLS, and none is needed":         {plain, denied, TLSPreferred, "", KindAccessDenied, "1045", true},
		"a certificate of nobody known":      {secure, denied, TLSVerify, "", KindUnreachable, "certificate", false},
		"a certificate that is trusted":      {secure, denied, TLSVerify, trusted, KindAccessDenied, "1045", true},
		"one that need not be":               {secure, denied, TLSRequired, "", KindAccessDenied, "1045", true},
		"no CA in the file":                  {secure, denied, TLSVerify, foreign, KindInvalid, "none.pem", false},
		"the password itself":                {plain, switchTo("mysql_clear_password"), TLSDisabled, "", KindAccessDenied, "clear text", true},
		"the password itself, under TLS":     {secure, switchTo("mysql_clear_password"), TLSRequired, "", KindAccessDenied, "clear text", true},
		"the password of before 4.1":         {plain, switchTo("mysql_old_password"), TLSDisabled, "", KindAccessDenied, "old password", true},
		"a plugin that nobody knows":         {plain, switchTo("authentication_kerberos_client"), TLSDisabled, "", KindAccessDenied, "not supported", true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &doorman{flags: row.flags, cert: ours.TLS, answer: row.answer}
			host, port := d.serve(t)
			s := Server{Host: host, Port: port, User: "site", Password: NewSecret("C4n4ry-password"), TLS: row.mode, CAFile: row.ca}
			err := Ping(context.Background(), s, "")
			if KindOf(err) != row.want || HintOf(err) == "" || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: %v (%s)", KindOf(err), err, HintOf(err))
			}
			if row.want == KindInvalid {
				return // nobody called
			}
			heard := <-d.heard
			if bytes.Contains(heard, []byte("C4n4ry")) || bytes.Contains(heard, []byte("site\x00")) != row.login {
				t.Errorf("it was sent %q", heard)
			}
		})
	}
}

// The option file's words for TLS, of both clients.
func TestTLSOfTheOptionFile(t *testing.T) {
	for lines, want := range map[string]TLSMode{
		"": TLSPreferred, "ssl-mode=PREFERRED": TLSPreferred, "ssl-mode=disabled": TLSDisabled, "ssl_mode=REQUIRED": TLSRequired,
		"ssl-mode=VERIFY_CA": TLSVerify, "ssl-mode=VERIFY_IDENTITY": TLSVerify, "ssl": TLSRequired, "ssl=0": TLSDisabled, "skip-ssl": TLSDisabled,
		"ssl-verify-server-cert": TLSVerify, "ssl\nssl-verify-server-cert=on": TLSVerify, "ssl=1\nssl-verify-server-cert=0": TLSRequired,
	} {
		opts, err := parseOptions(strings.NewReader("[client]\nhost=db\n" + lines + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := (Server{}).merge(opts); err != nil || s.TLS != want {
			t.Errorf("%q: %q %v, want %q", lines, s.TLS, err, want)
		}
		if s, _ := (Server{TLS: TLSVerify}).merge(opts); s.TLS != TLSVerify {
			t.Errorf("%q: the setting does not come first", lines)
		}
	}
}
