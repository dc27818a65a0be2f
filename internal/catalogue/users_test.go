package catalogue_test

import (
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
)

func TestUsers(t *testing.T) {
	c := open(t)
	ada := catalogue.User{Name: "ada", Password: "$hash$1", Role: catalogue.APIOperator, Client: "acme", CreatedAt: epoch, ChangedAt: epoch}
	ok(t, c.CreateUser(t.Context(), ada))
	wants(t, c.CreateUser(t.Context(), ada), errs.Exists)
	same(t, must(c.User(t.Context(), "ada"))(t), ada)
	same(t, must(c.Users(t.Context()))(t), []catalogue.User{ada})
	_, err := c.User(t.Context(), "bob")
	wants(t, err, errs.NotFound)
	wants(t, c.SetUserPassword(t.Context(), "bob", "$", epoch), errs.NotFound)
	wants(t, c.DeleteUser(t.Context(), "bob"), errs.NotFound)
}

func TestSessions(t *testing.T) {
	c := open(t)
	ada := catalogue.User{Name: "ada", Password: "$hash$1", Role: catalogue.APIViewer, CreatedAt: epoch, ChangedAt: epoch}
	ok(t, c.CreateUser(t.Context(), ada))
	session := func(hash string) catalogue.Session {
		return catalogue.Session{Hash: []byte(hash), User: ada, CreatedAt: epoch, SeenAt: epoch}
	}
	gone := func(hash string) {
		t.Helper()
		_, err := c.SessionByHash(t.Context(), []byte(hash))
		wants(t, err, errs.Permission)
	}
	for _, hash := range []string{"one", "two", "three"} {
		ok(t, c.AddSession(t.Context(), session(hash)))
	}
	same(t, must(c.SessionByHash(t.Context(), []byte("one")))(t), session("one"))
	later := epoch.Add(time.Hour)
	ok(t, c.TouchSession(t.Context(), []byte("two"), later))
	ok(t, c.PurgeSessions(t.Context(), later, epoch))
	gone("one")
	if seen := must(c.SessionByHash(t.Context(), []byte("two")))(t).SeenAt; !seen.Equal(later) {
		t.Errorf("seen at %s", seen)
	}
	ok(t, c.DeleteSession(t.Context(), []byte("two")))
	gone("two")

	ok(t, c.AddSession(t.Context(), session("four")))
	ok(t, c.SetUserPassword(t.Context(), "ada", "$hash$2", later))
	gone("four")
	wants(t, c.AddSession(t.Context(), session("five")), errs.NotFound) // signed in with the old password meanwhile
	ada.Password = "$hash$2"
	ok(t, c.AddSession(t.Context(), session("six")))
	ok(t, c.DeleteUser(t.Context(), "ada"))
	gone("six")
}
