package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// answerMS is the median time of a page's answer.
const answerMS = "answer ms"

// mostAnswer is the goal for it.
const mostAnswer = 150

// asksOfRun is how often a run asks for its page.
const asksOfRun = 20

// rowPages has no peers: what others show, they show of one machine.
func rowPages(ctx context.Context, w *world) (*row, error) {
	r := newRow(answerMS)
	if w.options.peers {
		return r, nil
	}
	reader, err := w.openPages(ctx)
	if err != nil {
		return nil, err
	}
	for _, page := range []struct{ name, path, want string }{
		{"overview", "/", "of 5"},
		{"overview, page 50", "/?page=49", "of 5"},
		{"in trouble", "/?show=failed", "of 50"},
		{"search for a site", "/?q=site0421", "of 10"},
		{"search for a client", "/?q=client7", "of 100"},
		{"a site", "/sites/site04211.example", "Backups"},
	} {
		r.add(page.name, reader.side(page.path, page.want), nil)
		r.want(within(answerMS, page.name, mostAnswer))
	}
	return r, nil
}

// pageReader is somebody who is signed in.
type pageReader struct {
	client  *http.Client
	address string
}

// openPages starts a master of the row's own with a crowded catalogue.
func (w *world) openPages(ctx context.Context) (*pageReader, error) {
	m, err := w.bed.Master(ctx, "pages-master")
	if err != nil {
		return nil, err
	}
	w.atRowEnd(m.Stop)
	err = errors.Join(m.Stop(), bed.FillCatalogue(ctx, filepath.Join(m.DataDir, "catalogue.db")))
	if err != nil {
		return nil, err
	}
	if err := m.Start(ctx); err != nil {
		return nil, err
	}
	password := bed.Secret()
	add := m.Command(ctx, "user", "add", "reader", "--role", "viewer")
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("user add: %w: %s", err, out)
	}
	return signIn(ctx, "https://"+m.HTTP.String(), "reader", password)
}

func signIn(ctx context.Context, address, name, password string) (*pageReader, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	// The certificate is of an authority of the row's own.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true} //nolint:gosec // loopback
	p := &pageReader{client: &http.Client{Jar: jar, Transport: transport}, address: address}
	form := url.Values{"name": {name}, "password": {password}}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/signin", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Origin", address)
	return p, p.ask(q, "Sign out")
}

func (p *pageReader) ask(q *http.Request, want string) error {
	got, err := p.client.Do(q)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(got.Body)
	err = errors.Join(err, got.Body.Close())
	if err == nil && (got.StatusCode != http.StatusOK || !strings.Contains(string(body), want)) {
		err = fmt.Errorf("%s: %s: no %q in %.300s", q.URL.Path, got.Status, want, body)
	}
	return err
}

// side asks for a page again and again.
func (p *pageReader) side(path, want string) *side {
	return &side{work: func(ctx context.Context, m *meter) error {
		var took []float64
		for range asksOfRun {
			q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address+path, nil)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := p.ask(q, want); err != nil {
				return err
			}
			took = append(took, float64(time.Since(began).Microseconds())/1e3)
		}
		m.note(answerMS, median(took))
		return nil
	}}
}
