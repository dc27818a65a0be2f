//go:build integration

package webserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// passwords hold every byte that each kind of web server takes.
func passwords(kind string) string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		if kind == "apache" && (c == '\n' || c == '\r') {
			continue
		}
		b.WriteByte(byte(c))
	}
	return b.String() + `${sitekeep_dollar}${PATH}$document_root\\"'\`
}

func TestRealEnvironment(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		site := b.wordpressSite(t, "site", "one")
		b.write(t, "site/index.php", "<?php echo base64_encode($_SERVER['DB_PASSWORD'] ?? 'none');")
		site.Env = []EnvVar{{Name: "DB_PASSWORD", Value: passwords(b.cfg.Kind)}}
		b.serve(t, site, "t1")
		r := b.get(t, ProbeRequest{Name: site.Name})
		if got, err := base64.StdEncoding.DecodeString(string(r.Body)); err != nil || string(got) != site.Env[0].Value {
			t.Errorf("PHP sees %q (%v), want %q", got, err, site.Env[0].Value)
		}
		info, err := os.Stat(filepath.Join(b.vhosts, site.Name+".conf"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("everybody may read it: %v, %v", info.Mode(), err)
		}
		site.Env[0].Value = "another"
		b.serve(t, site, "t2")
		if r := b.get(t, ProbeRequest{Name: site.Name}); string(r.Body) != base64.StdEncoding.EncodeToString([]byte("another")) {
			t.Errorf("after a change PHP sees %q", r.Body)
		}
	})
}

func TestRealTLSAndRedirects(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		secure := b.withTLS(t)
		b.serve(t, b.wordpressSite(t, "site", "one"), "t1")
		_, port, _ := strings.Cut(secure, ":")
		for host, want := range map[string]string{
			"example.com": "https://example.com:" + port + "/a?b=c", "www.example.com": "https://example.com:" + port + "/a?b=c",
		} {
			r := b.get(t, ProbeRequest{Name: "example.com", Host: host, Path: "/a?b=c"})
			if r.Status != 301 || r.Location != want {
				t.Errorf("http://%s leads with %d to %q, want %q", host, r.Status, r.Location, want)
			}
		}
		if r := b.get(t, ProbeRequest{Name: "example.com", Path: "/.well-known/acme/x"}); string(r.Body) != "challenge" {
			t.Errorf("a challenge gets %d", r.Status)
		}
		if r, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com"}); err != nil || r.Status != 200 || r.Address != secure {
			t.Errorf("the probe does not see the page: %+v, %v", r, err)
		}
		for host, want := range map[string]string{"example.com": "", "www.example.com": "https://example.com/a", "www.example.com:" + port: "https://example.com:" + port + "/a"} {
			status, location := getTLS(t, secure, host, "/a")
			if want == "" && status != 200 || want != "" && (status != 301 || location != want) {
				t.Errorf("https://%s answers %d, %q, want %q", host, status, location, want)
			}
		}
	})
}

// withTLS gives example.com a certificate and redirects, and returns where
// https is listened to.
func (b *bed) withTLS(t *testing.T) string {
	t.Helper()
	secure := freeAddress(t, "127.0.0.21")
	site := SiteConfig{Name: "example.com", TLSCertificate: filepath.Join(b.dir, "cert.pem"), TLSKey: filepath.Join(b.dir, "key.pem"),
		HTTPSRedirect: true, CanonicalRedirect: true}
	b.writeCertificate(t)
	b.cfg.Sites, b.cfg.ListenTLS = []SiteConfig{site}, []string{secure}
	if err := b.cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	b.listensTLS, _ = parseListensTLS(b.cfg.ListenTLS)
	if b.cfg.Kind == "apache" {
		b.write(t, "vhosts/listen.conf", "Listen "+secure+"\n")
	}
	return secure
}

func (b *bed) writeCertificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	b.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// getTLS asks over https as a browser would that trusts the certificate.
func getTLS(t *testing.T, address, host, path string) (status int, location string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	name, _, _ := strings.Cut(host, ":")
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}
