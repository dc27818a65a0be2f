package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

func nobody(string, string) bool { return false }

func TestPairsThatMayTalk(t *testing.T) {
	m := newMaster(t)
	web1, now := m.agent("web1"), clockAt(start())
	masterServer := pki.MasterServer(m.leaf, nobody, now)
	tests := []struct {
		name           string
		client, server *tls.Config
		protocol       string
		seesClient     string // who the server sees; empty is nobody
		seesServer     string
	}{
		{"master calls agent", pki.MasterDial(m.leaf, "web1", nobody, now), pki.AgentServer(web1, now), "h2", "sitekeep://master", "sitekeep://agent/web1"},
		{"agent calls master", pki.AgentDial(web1, now), masterServer, "h2", "sitekeep://agent/web1", "sitekeep://master"},
		{"agent calls master in reverse", pki.AgentReverse(web1, now), masterServer, pki.ALPNReverse, "sitekeep://agent/web1", "sitekeep://master"},
		{"operator or joining agent", pki.Pinned(m.ca.Fingerprint(), now), masterServer, "h2", "", "sitekeep://master"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := meet(t, test.client, test.server)
			must(t, got.err())
			if p := got.server.NegotiatedProtocol; p != test.protocol || got.server.Version != tls.VersionTLS13 {
				t.Errorf("protocol %q, version %x", p, got.server.Version)
			}
			sees(t, "client", got.client, test.seesServer)
			sees(t, "server", got.server, test.seesClient)
		})
	}
}

func sees(t *testing.T, side string, cs tls.ConnectionState, want string) {
	t.Helper()
	peer, err := pki.PeerOf(cs)
	switch {
	case want == "" && !errors.Is(err, pki.ErrNoCertificate):
		t.Errorf("%s sees %v, %v instead of nobody", side, peer, err)
	case want != "" && (err != nil || peer.String() != want || peer.Serial == ""):
		t.Errorf("%s sees %v, %v instead of %s", side, peer, err, want)
	}
}

// Every pair that must not talk, with the side that must notice.
func TestPairsThatMustNotTalk(t *testing.T) {
	m, stranger := newMaster(t), newMaster(t)
	web1, web2, now := m.agent("web1"), m.agent("web2"), clockAt(start())
	late := clockAt(start().Add(pki.AgentValidity + time.Minute))
	early := clockAt(start().Add(-pki.ClockSkew - time.Minute))
	lateLeaf, err := pki.NewMasterLeaf(m.ca, late)
	must(t, err)
	own := newAuthority(t)
	trusting := func(f forged) forged { f.ca = m.ca.Certificate(); return f } // trusts us, has another's certificate
	revokedName := func(name, _ string) bool { return name == "web1" }
	dial := func(c pki.Certifier) *tls.Config { return pki.MasterDial(c, "web1", nobody, now) }
	serve := func(c pki.Certifier) *tls.Config { return pki.AgentServer(c, now) }
	masterServer := pki.MasterServer(m.leaf, nobody, now)

	tests := []struct {
		name           string
		client, server *tls.Config
		clientMinds    error // errAny: some error
		serverMinds    error
	}{
		{"master calls another agent", dial(m.leaf), serve(web2), pki.ErrIdentity, nil},
		{"master calls an agent of another master", dial(m.leaf), serve(stranger.agent("web1")), errAny, nil},
		{"master calls itself", dial(m.leaf), pki.MasterServer(m.leaf, nobody, now), pki.ErrIdentity, nil},
		{"master calls a revoked agent", pki.MasterDial(m.leaf, "web1", revokedName, now), serve(web1), pki.ErrRevoked, nil},
		{"master calls an expired agent", pki.MasterDial(lateLeaf, "web1", nobody, late), pki.AgentServer(web1, late), errAny, nil},
		{"master calls an agent of the future", pki.MasterDial(m.leaf, "web1", nobody, early), serve(web1), errAny, nil},
		{"another master calls agent", pki.MasterDial(forgedLike(t, stranger, m), "web1", nobody, now), serve(web1), nil, errAny},
		{"agent calls agent", pki.AgentDial(web2, now), serve(web1), pki.ErrIdentity, nil},
		{"agent calls agent as if it were the master", pki.MasterDial(web2, "web1", nobody, now), serve(web1), nil, pki.ErrIdentity},
		{"nobody calls agent", pki.MasterDial(nameless{m.leaf}, "web1", nobody, now), serve(web1), nil, errAny},
		{"agent calls another master", pki.AgentDial(web1, now), pki.MasterServer(stranger.leaf, nobody, now), errAny, nil},
		{"agent calls agent in the master's place", pki.AgentDial(web1, now), pki.MasterServer(web2, nobody, now), pki.ErrIdentity, nil},
		{"revoked agent calls master", pki.AgentDial(web1, now), pki.MasterServer(m.leaf, revokedName, now), nil, pki.ErrRevoked},
		{"revoked agent calls master in reverse", pki.AgentReverse(web1, now), pki.MasterServer(m.leaf, revokedName, now), nil, pki.ErrRevoked},
		{"expired agent calls master", pki.AgentDial(web1, now), pki.MasterServer(lateLeaf, nobody, late), errAny, errAny},
		{"agent of another master calls", pki.AgentDial(trusting(own.sign(t, nil, "sitekeep://agent/web1")), now), masterServer, nil, errAny},
		{"master's certificate calls master", pki.AgentDial(m.leaf, now), masterServer, nil, pki.ErrIdentity},
		{"nobody calls master in reverse", reversed(pki.Pinned(m.ca.Fingerprint(), now)), masterServer, nil, pki.ErrNoCertificate},
		{"agent calls in reverse and is not understood", pki.AgentReverse(web1, now), with(masterServer, func(c *tls.Config) { c.NextProtos = []string{"h2"} }), errAny, errAny},
		{"agent calls in reverse and is not told whether it is understood", pki.AgentReverse(web1, now), with(masterServer, func(c *tls.Config) { c.NextProtos = nil }), errReverse, nil},
		{"wrong fingerprint", pki.Pinned(stranger.ca.Fingerprint(), now), masterServer, pki.ErrFingerprint, nil},
		{"man in the middle with our CA's certificate", pki.Pinned(m.ca.Fingerprint(), now), pki.MasterServer(withChain(own.sign(t, nil, "sitekeep://master"), m.ca.Certificate()), nobody, now), errAny, nil},
		{"man in the middle with a CA of the same name", pki.Pinned(m.ca.Fingerprint(), now), pki.MasterServer(own.sign(t, nil, "sitekeep://master"), nobody, now), pki.ErrFingerprint, nil},
		{"an agent in the master's place at a join", pki.Pinned(m.ca.Fingerprint(), now), pki.MasterServer(web2, nobody, now), pki.ErrIdentity, nil},
		{"client with TLS 1.2", with(pki.AgentDial(web1, now), tls12), masterServer, errAny, errAny},
		{"server with TLS 1.2", pki.AgentDial(web1, now), with(masterServer, tls12), errAny, errAny},
		{"agent's server with a client of TLS 1.2", with(dial(m.leaf), tls12), serve(web1), errAny, errAny},
		{"join with TLS 1.2", with(pki.Pinned(m.ca.Fingerprint(), now), tls12), masterServer, errAny, errAny},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := meet(t, test.client, test.server)
			if got.clientErr == nil || got.serverErr == nil {
				t.Fatalf("they talk: %v, %v", got.clientErr, got.serverErr)
			}
			minds(t, "client", got.clientErr, test.clientMinds)
			minds(t, "server", got.serverErr, test.serverMinds)
		})
	}
}

// Stand-ins for errors that have no name of their own.
var (
	errAny     = errors.New("any error")
	errReverse = errors.New("the master does not offer connections in reverse")
)

// minds checks that a side ended the handshake by itself for that reason, or,
// without one, that it was the other side that did.
func minds(t *testing.T, side string, err, want error) {
	t.Helper()
	byPeer := strings.Contains(err.Error(), "remote error") || strings.Contains(err.Error(), "EOF") ||
		strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe")
	switch {
	case want == nil && !byPeer:
		t.Errorf("%s minds: %v", side, err)
	case want == nil || want == errAny:
	case want == errReverse && strings.Contains(err.Error(), want.Error()):
	case !errors.Is(err, want):
		t.Errorf("%s minds %v instead of %v", side, err, want)
	case errs.KindOf(err) != errs.Permission:
		t.Errorf("%s: %v is of kind %s", side, err, errs.KindOf(err))
	}
}

func with(c *tls.Config, change func(*tls.Config)) *tls.Config {
	c = c.Clone()
	change(c)
	return c
}

func tls12(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }

func reversed(c *tls.Config) *tls.Config {
	return with(c, func(c *tls.Config) { c.NextProtos = []string{pki.ALPNReverse} })
}

func withChain(f forged, ca *x509.Certificate) forged {
	f.cert.Certificate[1] = ca.Raw
	return f
}

// forgedLike has the certificate of one master and the trust of another.
func forgedLike(t *testing.T, has, trusts master) forged {
	t.Helper()
	cert, err := has.leaf.Current()
	must(t, err)
	return forged{cert, trusts.ca.Certificate()}
}

// nameless shows no certificate.
type nameless struct{ pki.Certifier }

func (nameless) Current() (*tls.Certificate, error) { return &tls.Certificate{}, nil }

// Certificates that our CA would not issue, were it to: the checks do not rely on it.
func TestCertificatesWithOtherNames(t *testing.T) {
	own, now := newAuthority(t), clockAt(start())
	self := own.sign(t, nil, "sitekeep://master")
	for name, server := range map[string]forged{
		"no URI":             own.sign(t, nil),
		"two URIs":           own.sign(t, nil, "sitekeep://agent/web1", "sitekeep://master"),
		"another scheme":     own.sign(t, nil, "https://agent/web1"),
		"a longer name":      own.sign(t, nil, "sitekeep://agent/web11"),
		"a name in capitals": own.sign(t, nil, "sitekeep://agent/WEB1"),
		"a path behind":      own.sign(t, nil, "sitekeep://agent/web1/"),
		"a query behind":     own.sign(t, nil, "sitekeep://agent/web1?x"),
		"a port":             own.sign(t, nil, "sitekeep://agent:1/web1"),
		"a user":             own.sign(t, nil, "sitekeep://x@agent/web1"),
		"escaped":            own.sign(t, nil, "sitekeep://agent/web%31"),
		"for clients only": own.sign(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, "sitekeep://agent/web1"),
	} {
		got := meet(t, pki.MasterDial(self, "web1", nobody, now), pki.AgentServer(server, now))
		if got.clientErr == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good := meet(t, pki.MasterDial(self, "web1", nobody, now), pki.AgentServer(own.sign(t, nil, "sitekeep://agent/web1"), now))
	must(t, good.err())
}

// An agent's certificate cannot sign another one.
func TestAgentIsNoAuthority(t *testing.T) {
	m := newMaster(t)
	now := clockAt(start())
	id := m.identity("web2")
	cert, err := x509.ParseCertificate(id.Certificate)
	must(t, err)
	fake := authority{cert, id.Key}.sign(t, nil, "sitekeep://agent/web1")
	fake.cert.Certificate = [][]byte{fake.cert.Certificate[0], id.Certificate, id.CA}
	fake.ca = m.ca.Certificate()
	got := meet(t, pki.MasterDial(m.leaf, "web1", nobody, now), pki.AgentServer(fake, now))
	if got.clientErr == nil {
		t.Error("accepted")
	}
}

func TestRevocationByBothAndAtOnce(t *testing.T) {
	m, now := newMaster(t), clockAt(start())
	web1 := m.agent("web1")
	var asked []string
	revoked := false
	check := func(name, serial string) bool {
		asked = append(asked, name+" "+serial)
		return revoked
	}
	server, client := pki.MasterServer(m.leaf, check, now), pki.AgentDial(web1, now)
	must(t, meet(t, client, server).err())
	must(t, meet(t, client, server).err())
	revoked = true
	if got := meet(t, client, server); !errors.Is(got.serverErr, pki.ErrRevoked) {
		t.Errorf("after the revocation: %v", got.serverErr)
	}
	cert, err := web1.Current()
	must(t, err)
	want := "web1 " + cert.Leaf.SerialNumber.Text(16)
	if len(asked) != 3 || asked[0] != want || asked[2] != want {
		t.Errorf("asked for %q instead of three times %q", asked, want)
	}
}

func TestPinnedAuthorityIsTheCA(t *testing.T) {
	m := newMaster(t)
	got := meet(t, pki.Pinned(m.ca.Fingerprint(), clockAt(start())), pki.MasterServer(m.leaf, nobody, clockAt(start())))
	must(t, got.err())
	ca, err := pki.PinnedAuthority(got.client, m.ca.Fingerprint())
	must(t, err)
	if !ca.Equal(m.ca.Certificate()) {
		t.Error("another certificate")
	}
}

func TestMasterLeafRenewsItself(t *testing.T) {
	m := newMaster(t)
	now := start()
	leaf, err := pki.NewMasterLeaf(m.ca, func() time.Time { return now })
	must(t, err)
	serial := func() string {
		cert, err := leaf.Current()
		must(t, err)
		if now.After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
			t.Errorf("at %s the certificate is for %s to %s", now, cert.Leaf.NotBefore, cert.Leaf.NotAfter)
		}
		return cert.Leaf.SerialNumber.String()
	}
	first := serial()
	now = now.Add(pki.MasterValidity*2/3 - time.Second)
	if serial() != first {
		t.Error("renewed too early")
	}
	now = now.Add(time.Second)
	second := serial()
	if second == first {
		t.Error("not renewed")
	}
	now = now.Add(1000 * time.Hour)
	third := serial()
	now = start()
	if fourth := serial(); third == second || fourth == third {
		t.Error("not renewed after the clock jumped")
	}
	now = now.Add(time.Hour)
	must(t, meet(t, pki.Pinned(m.ca.Fingerprint(), clockAt(now)), pki.MasterServer(leaf, nobody, clockAt(now))).err())
}
