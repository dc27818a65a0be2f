package webserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// DefaultProbeTimeout bounds a probe when ProbeRequest.Timeout is zero.
	DefaultProbeTimeout = 10 * time.Second

	// PassHeader is the request header with which a probe passes maintenance.
	PassHeader        = "X-Sitekeep-Probe"
	maintenanceHeader = "X-Sitekeep-Maintenance"
	generationHeader  = "X-Sitekeep-Generation"

	maxProbeBody = 1 << 20
	keptBody     = 4 << 10
	maxHeader    = 64 << 10
)

// ProbeRequest says what to ask a site.
type ProbeRequest struct {
	// Name is the site's main domain, sent as the Host header.
	Name string
	// Host is sent in place of Name when it is set, for instance with a port.
	Host string
	// Listen is one of Config.Listen; empty means the first. An entry without
	// an address, or with the unspecified one, is asked on the loopback address.
	Listen string
	// Path is the path with its query; empty means "/".
	Path string
	// Timeout bounds the whole request. Zero: DefaultProbeTimeout.
	Timeout time.Duration
	// AsVisitor asks as any visitor does, who gets 503 while the site is in
	// maintenance. Otherwise the request passes our maintenance.
	AsVisitor bool
	// Cookie, if set, is sent as the Cookie header.
	Cookie string
	// tls is an address that is asked by https in place of Listen.
	tls string
}

// ProbeResult is what the site answered.
type ProbeResult struct {
	// Address is where the request went.
	Address string
	// Status is 0 when there was no answer.
	Status int
	// Location is where a redirect leads. It is not followed.
	Location string
	// RetryAfter is the header of that name.
	RetryAfter string
	// Maintenance says that the answer is our 503 page.
	Maintenance bool
	// BodyBytes counts what was read of the body, at most 1 MiB.
	BodyBytes int64
	// Body is the beginning of the body, at most 4 KiB.
	Body     []byte
	Duration time.Duration
	// Cut says that there was no answer, or that it ended before its end, as
	// when PHP is reloaded while it makes a page.
	Cut bool
	// Problem says what is wrong; empty when nothing is. See Judge.
	Problem string
	// Warning says what a person should look at though it may be meant so.
	Warning string
	// generation is what the answer says of the configuration it is from.
	generation string
}

// Probe asks the site with one HTTP request, following no redirect. What the
// site does wrong is Problem in the result; an error means that the request
// itself could not be made up.
func (s *Server) Probe(ctx context.Context, req ProbeRequest) (ProbeResult, error) {
	result, httpReq, err := s.prepareProbe(ctx, req)
	if err != nil {
		return result, fmt.Errorf("probe %s: %w", req.Name, err)
	}
	if req.Timeout <= 0 {
		req.Timeout = DefaultProbeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, req.Timeout)
	defer cancel()
	begun := time.Now()
	err = result.ask(httpReq.WithContext(ctx))
	result.Duration = time.Since(begun)
	result.Problem, result.Warning = Judge(result)
	if err != nil {
		result.Cut = true
		result.Problem = fmt.Sprintf("no whole answer from %s: %v", result.Address, err)
	}
	return result, nil
}

func (s *Server) prepareProbe(ctx context.Context, req ProbeRequest) (ProbeResult, *http.Request, error) {
	scheme, target, err := s.dialAddress(req)
	if err = errors.Join(err, validateName(req.Name)); err != nil {
		return ProbeResult{}, nil, err
	}
	if req.Path == "" {
		req.Path = "/"
	}
	if !strings.HasPrefix(req.Path, "/") {
		return ProbeResult{}, nil, fmt.Errorf("path %q does not begin with a slash", req.Path)
	}
	httpReq, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+target+req.Path, nil)
	if err != nil {
		return ProbeResult{}, nil, err
	}
	httpReq.Host = req.Name
	if req.Host != "" {
		httpReq.Host = req.Host
	}
	httpReq.Header.Set("User-Agent", "sitekeep-probe")
	if req.Cookie != "" {
		httpReq.Header.Set("Cookie", req.Cookie)
	}
	if !req.AsVisitor {
		f, err := s.readFlag(req.Name)
		if err != nil {
			return ProbeResult{}, nil, fmt.Errorf("read %s: %w", s.flagPath(req.Name), err)
		}
		httpReq.Header.Set(PassHeader, f.Pass)
	}
	return ProbeResult{Address: target}, httpReq, nil
}

// dialAddress says where a request goes: to an entry of Config.Listen or, when
// none is named and http only leads to https, to the first of ListenTLS.
func (s *Server) dialAddress(req ProbeRequest) (scheme, address string, err error) {
	switch {
	case req.tls != "":
		return "https", req.tls, nil
	case req.Listen == "" && s.cfg.siteConfig(req.Name).HTTPSRedirect:
		return "https", s.listensTLS[0].dial(), nil
	case req.Listen == "":
		return "http", s.listens[0].dial(), nil
	}
	l, err := parseListen(req.Listen)
	if err == nil && !slices.Contains(s.listens, l) {
		err = fmt.Errorf("listen: %q is not among %s", req.Listen, strings.Join(s.cfg.Listen, ", "))
	}
	return "http", l.dial(), err
}

// ask makes the request over a connection of its own, so that it is not one
// that an old worker of the web server keeps open.
func (r *ProbeResult) ask(req *http.Request) error {
	transport := &http.Transport{
		DialContext:            (&net.Dialer{}).DialContext,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxHeader,
		// The server is this machine's own, asked by its address; whether its
		// certificate is good is for visitors' clients to judge.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: hostOnly(req.Host)}, //nolint:gosec // See above.
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	r.Status = resp.StatusCode
	r.Location = resp.Header.Get("Location")
	r.RetryAfter = resp.Header.Get("Retry-After")
	r.Maintenance = r.Status == http.StatusServiceUnavailable && resp.Header.Get(maintenanceHeader) != ""
	r.generation = resp.Header.Get(generationHeader)
	return r.readBody(resp.Body)
}

// hostOnly cuts the port from a Host header.
func hostOnly(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return name
}

func (r *ProbeResult) readBody(body io.Reader) error {
	first, err := io.ReadAll(io.LimitReader(body, keptBody))
	r.Body, r.BodyBytes = first, int64(len(first))
	if err != nil {
		return fmt.Errorf("after %d bytes of the body: %w", r.BodyBytes, err)
	}
	rest, err := io.Copy(io.Discard, io.LimitReader(body, maxProbeBody-r.BodyBytes))
	r.BodyBytes += rest
	if err != nil {
		return fmt.Errorf("after %d bytes of the body: %w", r.BodyBytes, err)
	}
	return nil
}

// Judge says what is wrong with an answer, and what may be. Wrong are: no
// answer, a status of 500 or more, a page of 200 without content, and a
// redirect to an installer, which is what WordPress and Drupal do when they
// find an empty database.
func Judge(r ProbeResult) (problem, warning string) {
	switch {
	case r.Status == 0:
		return "no answer from " + r.Address, ""
	case r.Maintenance:
		return "answers 503: the site is in maintenance", ""
	case r.Status >= 500:
		return fmt.Sprintf("answers %d", r.Status), ""
	case r.Status == http.StatusOK && r.BodyBytes == 0:
		return "answers 200 with an empty page", ""
	case r.Status >= 300 && r.Status < 400 && leadsToInstaller(r.Location):
		return fmt.Sprintf("answers %d to an installer (%s): the site does not find its database's tables", r.Status, r.Location), ""
	case r.Status >= 400 && r.Status != http.StatusUnauthorized:
		return "", fmt.Sprintf("answers %d", r.Status)
	}
	return "", ""
}

// installers are paths to which an uninstalled site redirects: WordPress
// (wp-includes/functions.php: wp_not_installed), WordPress without a
// wp-config.php (wp-load.php), Drupal 8 and later, Drupal 7.
func installers() []string {
	return []string{"/wp-admin/install.php", "/wp-admin/setup-config.php", "/core/install.php", "/install.php"}
}

func leadsToInstaller(location string) bool {
	u, err := url.Parse(location)
	if err != nil {
		return false
	}
	path := "/" + strings.TrimLeft(u.Path, "/")
	return slices.ContainsFunc(installers(), func(i string) bool { return strings.HasSuffix(path, i) })
}
