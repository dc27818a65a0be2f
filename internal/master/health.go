package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// listenHealth listens where the health page is to be served; nil if nowhere.
func (m *Master) listenHealth() (net.Listener, error) {
	if m.config.HTTP == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", m.config.HTTP)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", m.config.HTTP, err)
	}
	return l, nil
}

// serveHealth answers load balancers and monitors: GET /healthz is 200 while the master serves.
func serveHealth(ctx context.Context, l net.Listener) error {
	if l == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
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
