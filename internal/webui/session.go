package webui

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// cookieName has the prefix with which browsers take a cookie only over https, from this very host (RFC 6265bis).
const cookieName = "__Host-sitekeep"

// request is one that a signed-in user has sent.
type request struct {
	*http.Request
	w      http.ResponseWriter
	ctx    context.Context // calls of the API in it are the user's
	token  string
	caller *sitekeepv1.GetCallerResponse
}

// may reports whether the user may call a method of the API.
func (r *request) may(method string) bool {
	_, found := slices.BinarySearch(r.caller.GetMethods(), method)
	return found
}

func (r *request) redirect(to ...string) error {
	return r.redirectTo(path(to...))
}

// redirectTo leads to an address of ours.
func (r *request) redirectTo(address string) error {
	http.Redirect(r.w, r.Request, address, http.StatusSeeOther)
	return nil
}

// path joins elements that may hold anything.
func path(elements ...string) string {
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	return "/" + strings.Join(elements, "/")
}

// signedIn lets in who is signed in and may call the route's method.
func (u *UI) signedIn(to route) http.HandlerFunc {
	return func(w http.ResponseWriter, raw *http.Request) {
		r := &request{Request: raw, w: w}
		err := u.admit(r, to.method)
		switch {
		case r.caller == nil && errs.Is(err, errs.Permission):
			u.sendToSignIn(w, raw)
			return
		case err == nil:
			err = to.handle(r)
		}
		if err != nil {
			u.fail(r, err)
		}
	}
}

// admit finds out who it is; r.caller stays nil for nobody.
func (u *UI) admit(r *request, method string) error {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return errs.New(errs.Permission, "sign in", "nobody is signed in")
	}
	ctx := u.o.Session(r.Context(), cookie.Value)
	caller, err := u.access.GetCaller(ctx, &sitekeepv1.GetCallerRequest{Methods: true})
	if err != nil {
		return err
	}
	r.ctx, r.token, r.caller = ctx, cookie.Value, caller
	if method != "" && !r.may(method) {
		return errs.New(errs.Permission, "ask an admin for a higher role", "a user with the role %s may not do this", caller.GetRole())
	}
	if r.Method == http.MethodPost && !genuine(r.PostFormValue("csrf"), r.token) {
		return errs.New(errs.Permission, "go back, load the page again, and send the form once more", "the form is not one of this session")
	}
	return nil
}

// csrfOf is what every form of a session carries. Nobody can make it without the cookie, and it does not tell the cookie.
func csrfOf(token string) string {
	sum := sha256.Sum256([]byte("form of\x00" + token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// genuine reports whether a form's mark is the session's own.
func genuine(mark, token string) bool {
	return subtle.ConstantTimeCompare([]byte(mark), []byte(csrfOf(token))) == 1
}

func (u *UI) sendToSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "sign in first", http.StatusForbidden)
		return
	}
	to := "/signin"
	if r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signInData is what the page to sign in shows.
type signInData struct {
	Name, Next, Problem, Hint string
}

func (u *UI) signInPage(w http.ResponseWriter, r *http.Request) {
	u.show(w, nil, http.StatusOK, "signin", "Sign in", signInData{Next: ownPath(r.FormValue("next"))})
}

func (u *UI) signIn(w http.ResponseWriter, r *http.Request) {
	name, next := r.PostFormValue("name"), ownPath(r.PostFormValue("next"))
	token, err := u.o.Door.SignIn(r.Context(), name, r.PostFormValue("password"), addressOf(r))
	if err != nil {
		u.o.Log.Info("sign-in refused", "from", addressOf(r), "error", err)
		u.show(w, nil, statusOf(err), "signin", "Sign in", signInData{Name: name, Next: next, Problem: sentence(err.Error()), Hint: errs.HintOf(err)})
		return
	}
	u.o.Log.Info("signed in", "user", name, "from", addressOf(r))
	http.SetCookie(w, cookie(token, 0))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func cookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// ownPath is where to go after signing in: nowhere but here.
func ownPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func (u *UI) signOut(r *request) error {
	if err := u.o.Door.SignOut(r.ctx, r.token); err != nil {
		return err
	}
	http.SetCookie(r.w, cookie("", -1))
	return r.redirect("signin")
}
