package master

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

// pair writes a certificate and key for a host, of an authority of their own.
func pair(t *testing.T, certificate, key, host string, changed time.Time) {
	t.Helper()
	ca, err := pki.InitCA(filepath.Join(t.TempDir(), "ca"), host, time.Now())
	must(t, err)
	leaf, err := pki.NewWebLeaf(ca, []string{host}, time.Now).Current()
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	must(t, err)
	must(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	must(t, os.Chtimes(certificate, changed, changed))
}

// TestCertificateInFiles: a renewed one is taken up, and while the files do not fit together the old one stays.
func TestCertificateInFiles(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	p := &pairFile{certificate: filepath.Join(dir, "c"), key: filepath.Join(dir, "k")}
	if _, err := p.current(); err == nil {
		t.Fatal("there are no files")
	}
	host := func() string {
		t.Helper()
		got, err := p.current()
		must(t, err)
		return got.Leaf.DNSNames[0]
	}
	pair(t, p.certificate, p.key, "one.example", now)
	if h := host(); h != "one.example" {
		t.Error(h)
	}
	pair(t, p.certificate, filepath.Join(dir, "another"), "two.example", now.Add(time.Second))
	if h := host(); h != "one.example" {
		t.Errorf("with a key that does not fit: %s", h)
	}
	pair(t, p.certificate, p.key, "three.example", now.Add(2*time.Second))
	if h := host(); h != "three.example" {
		t.Errorf("after a renewal: %s", h)
	}
}

func TestCertificateAndKeyBelongTogether(t *testing.T) {
	c := NewConfig("m.example", ":0", "")
	c.HTTPS.Certificate = "/etc/ssl/m.pem"
	if err := c.check(); !errs.Is(err, errs.Usage) || errs.HintOf(err) == "" {
		t.Errorf("a certificate without a key: %v", err)
	}
}

// TestWhoSaysNothingHoldsNothingUp: neither others, nor the end.
func TestWhoSaysNothingHoldsNothingUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	secret, plain := split(l, &tls.Config{})
	silent, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer silent.Close()
	talker, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer talker.Close()
	_, err = talker.Write([]byte("GET / HTTP/1.0\r\n"))
	must(t, err)
	got, err := plain.Accept()
	must(t, err)
	text := make([]byte, 14)
	if _, err := io.ReadFull(got, text); err != nil || string(text) != "GET / HTTP/1.0" {
		t.Errorf("%q, %v", text, err)
	}
	must(t, got.Close())
	must(t, secret.Close()) // waits for nobody
	if _, err := plain.Accept(); err == nil {
		t.Error("the other part is open")
	}
	must(t, plain.Close())
}
