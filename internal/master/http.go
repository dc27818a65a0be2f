package master

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sitekeep/sitekeep/internal/hub"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/webui"
	"github.com/sitekeep/sitekeep/internal/wire"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
	maxMessage    = 16 << 20 // of the API, as commands take it
)

// listenHTTP listens where the pages are to be served; nil if nowhere.
func (m *Master) listenHTTP() (net.Listener, error) {
	if m.config.HTTP == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", m.config.HTTP)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", m.config.HTTP, err)
	}
	return l, nil
}

// serveHTTP serves the pages over TLS, and on the same address without TLS the health page for probes, and nothing else.
func (m *Master) serveHTTP(ctx context.Context, l net.Listener) error {
	if l == nil {
		return nil
	}
	conn, err := m.dialInside()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer conn.Close() // nothing is buffered in it
	pages, err := webui.New(webui.Options{Conn: conn, Session: withSession, Door: m.accounts, Log: m.o.Log.Named("web"), Now: m.o.Now})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	secret, plain := split(l, m.webTLS())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serveUntil(ctx, plain, plainHandler()) })
	g.Go(func() error { return serveUntil(ctx, secret, withHealth(pages.Handler())) })
	return g.Wait()
}

// serveUntil serves until ctx ends. It does not wait for who reads a log that never ends.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, BaseContext: func(net.Listener) context.Context { return ctx }}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return g.Wait()
}

func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// withHealth answers load balancers and monitors: GET /healthz is 200 while the master serves.
func withHealth(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", health)
	mux.Handle("/", next)
	return mux
}

// plainHandler leads nowhere but to the health page: a redirect would teach people to send their cookies here first.
func plainHandler() http.Handler {
	return withHealth(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this address speaks https", http.StatusForbidden)
	}))
}

// dialInside connects the pages to the API.
func (m *Master) dialInside() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///inside",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // no byte leaves the process
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return m.inside.Dial(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(wire.UnaryClientErrors()), grpc.WithStreamInterceptor(wire.StreamClientErrors()))
}

func withSession(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, hub.SessionKey, token)
}

func (m *Master) webTLS() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Time: m.o.Now}
	if m.config.HTTPS.Certificate != "" {
		pair := &pairFile{certificate: m.config.HTTPS.Certificate, key: m.config.HTTPS.Key}
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current() }
		return c
	}
	hosts := []string{m.config.Name, "localhost", "127.0.0.1", "::1"}
	if host, _, err := net.SplitHostPort(m.config.HTTP); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	leaf := pki.NewWebLeaf(m.ca, hosts, m.o.Now)
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return leaf.Current() }
	return c
}

// pairFile is a certificate and key in files that something else renews.
type pairFile struct {
	certificate, key string

	mu   sync.Mutex
	read time.Time // change of the certificate's file when it was read
	pair *tls.Certificate
}

// current reads the files again when the certificate's has changed. While the new ones cannot be read, as between the
// writing of one and the other, the old pair stays.
func (p *pairFile) current() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := os.Stat(p.certificate)
	if err == nil && p.pair != nil && info.ModTime().Equal(p.read) {
		return p.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(p.certificate, p.key)
	}
	if err == nil {
		p.pair, p.read = &pair, info.ModTime()
	}
	if p.pair != nil {
		return p.pair, nil
	}
	return nil, fmt.Errorf("certificate of the pages: %w", err)
}
