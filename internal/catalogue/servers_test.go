package catalogue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestServerRoundTrip(t *testing.T) {
	c := open(t)
	s := model.Server{
		Name: "web1", Roles: []model.Role{model.RoleWeb, model.RoleDB}, Address: "192.0.2.1:7441", DialOut: true,
		Serial: "0a", NotAfter: epoch.Add(time.Hour), JoinedAt: epoch,
	}
	ok(t, c.CreateServer(t.Context(), s))
	same(t, must(c.Server(t.Context(), "web1"))(t), s)
	wants(t, c.CreateServer(t.Context(), s), errs.Exists)
	_, err := c.Server(t.Context(), "web2")
	wants(t, err, errs.NotFound)

	changed, err := c.UpdateServer(t.Context(), "web1", func(s *model.Server) error {
		s.Name, s.Address, s.Roles = "other", "", nil
		return nil
	})
	ok(t, err)
	s.Address, s.Roles = "", nil
	same(t, changed, s)
	same(t, must(c.Servers(t.Context()))(t), []model.Server{s})
	_, err = c.UpdateServer(t.Context(), "web2", func(*model.Server) error { return nil })
	wants(t, err, errs.NotFound)
}

func TestRevocationHoldsForOldCertificates(t *testing.T) {
	c := open(t)
	s := model.Server{Name: "web1", Serial: "01", NotAfter: epoch, JoinedAt: epoch}
	ok(t, c.PutServer(t.Context(), s))
	ok(t, c.RecordCertificate(t.Context(), "web1", "02", epoch.Add(time.Hour)))
	ok(t, c.RevokeServer(t.Context(), "web1"))
	ok(t, c.RevokeServer(t.Context(), "web1"))
	wants(t, c.RevokeServer(t.Context(), "web2"), errs.NotFound)
	if !must(c.Server(t.Context(), "web1"))(t).Revoked {
		t.Fatal("the server is not revoked")
	}
	wants(t, c.RecordCertificate(t.Context(), "web1", "03", epoch), errs.Permission)

	s.Serial = "04"
	ok(t, c.PutServer(t.Context(), s)) // it joins again
	for serial, want := range map[string]bool{"01": true, "02": true, "03": false, "04": false, "99": false} {
		if got := must(c.CertificateRevoked(t.Context(), serial))(t); got != want {
			t.Errorf("certificate %s revoked: %v", serial, got)
		}
	}
	ok(t, c.PutServer(t.Context(), model.Server{Name: "web1", Serial: "01"}))
	if !must(c.CertificateRevoked(t.Context(), "01"))(t) {
		t.Error("a revoked certificate came back")
	}
}

func joinToken(hash string) catalogue.JoinToken {
	return catalogue.JoinToken{Name: "web1", Roles: []model.Role{model.RoleWeb}, Hash: []byte(hash), CreatedAt: epoch, ExpiresAt: epoch.Add(time.Hour)}
}

func TestJoinTokenIsGoodOnce(t *testing.T) {
	c := open(t)
	ok(t, c.AddJoinToken(t.Context(), joinToken("h1")))
	wants(t, c.AddJoinToken(t.Context(), joinToken("h1")), errs.Exists)
	failed := race(16, func(int) error {
		_, err := c.RedeemToken(context.Background(), []byte("h1"), epoch)
		return err
	})
	if n := succeeded(failed); n != 1 {
		t.Fatalf("redeemed %d times", n)
	}
	for _, err := range failed {
		if err != nil {
			wants(t, err, errs.Permission)
		}
	}
}

func TestJoinTokenRefusals(t *testing.T) {
	c := open(t)
	ok(t, c.AddJoinToken(t.Context(), joinToken("h1")))
	_, err := c.RedeemToken(t.Context(), []byte("h2"), epoch)
	wants(t, err, errs.Permission)
	_, err = c.RedeemToken(t.Context(), []byte("h1"), epoch.Add(time.Hour))
	wants(t, err, errs.Permission)
	boom := errors.New("boom")
	_, err = c.RedeemToken(t.Context(), []byte("h1"), epoch, func(context.Context, *catalogue.Tx) error { return boom })
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	put := func(ctx context.Context, tx *catalogue.Tx) error {
		return tx.PutServer(ctx, model.Server{Name: "web1"})
	}
	got := must(c.RedeemToken(t.Context(), []byte("h1"), epoch, put))(t)
	want := joinToken("h1")
	want.UsedAt = epoch
	same(t, got, want)
	same(t, must(c.JoinTokens(t.Context()))(t), []catalogue.JoinToken{want})
	must(c.Server(t.Context(), "web1"))(t)
	ok(t, c.PurgeJoinTokens(t.Context(), epoch.Add(time.Second)))
	if left := must(c.JoinTokens(t.Context()))(t); len(left) != 0 {
		t.Fatalf("%v", left)
	}
}

func TestRevocationWithdrawsJoinTokens(t *testing.T) {
	c := open(t)
	addServers(t, c, "web1")
	ok(t, c.AddJoinToken(t.Context(), joinToken("h1")))
	ok(t, c.RevokeServer(t.Context(), "web1"))
	_, err := c.RedeemToken(t.Context(), []byte("h1"), epoch)
	wants(t, err, errs.Permission)
}

func TestAPITokens(t *testing.T) {
	c := open(t)
	tok := catalogue.APIToken{Name: "ci", Hash: []byte{1, 0, 2}, Role: catalogue.APIOperator, Client: "acme", CreatedAt: epoch}
	ok(t, c.CreateAPIToken(t.Context(), tok))
	wants(t, c.CreateAPIToken(t.Context(), tok), errs.Exists)
	same(t, must(c.APITokenByHash(t.Context(), tok.Hash))(t), tok)
	_, err := c.APITokenByHash(t.Context(), []byte{1, 0, 3})
	wants(t, err, errs.Permission)
	ok(t, c.RevokeAPIToken(t.Context(), "ci", epoch.Add(time.Hour)))
	ok(t, c.RevokeAPIToken(t.Context(), "ci", epoch.Add(2*time.Hour)))
	wants(t, c.RevokeAPIToken(t.Context(), "cd", epoch), errs.NotFound)
	_, err = c.APITokenByHash(t.Context(), tok.Hash)
	wants(t, err, errs.Permission)
	tok.RevokedAt = epoch.Add(time.Hour)
	same(t, must(c.APITokens(t.Context()))(t), []catalogue.APIToken{tok})
}
