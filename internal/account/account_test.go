package account

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
)

const good = "correct horse battery staple"

type world struct {
	*Book
	now  time.Time
	path string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), path: filepath.Join(t.TempDir(), "catalogue.db")}
	c, err := catalogue.Open(t.Context(), w.path)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	w.Book = New(c, func() time.Time { return w.now })
	must(t, c.CreateUser(t.Context(), catalogue.User{Name: "ada", Password: Hash(good), Role: catalogue.APIOperator, Client: "acme"}))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) signIn(t *testing.T) string {
	t.Helper()
	token, err := w.SignIn(t.Context(), "ada", good, "192.0.2.1")
	must(t, err)
	return token
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	token := w.signIn(t)
	who, err := w.Who(t.Context(), token)
	if err != nil || who.Name != "ada" || who.Role != catalogue.APIOperator || who.Client != "acme" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, wrong := range []string{"", token + "x", strings.ToUpper(token)} {
		if _, err := w.Who(t.Context(), wrong); !errs.Is(err, errs.Permission) {
			t.Errorf("the token %q: %v", wrong, err)
		}
	}
	must(t, w.SignOut(t.Context(), token))
	if _, err := w.Who(t.Context(), token); !errs.Is(err, errs.Permission) {
		t.Errorf("after signing out: %v", err)
	}
}

// TestNothingTellsWhetherAUserExists: the two answers are the same, and both take a hash.
func TestNothingTellsWhetherAUserExists(t *testing.T) {
	w := newWorld(t)
	_, wrong := w.SignIn(t.Context(), "ada", "not the password", "192.0.2.1")
	_, unknown := w.SignIn(t.Context(), "bob", good, "192.0.2.1")
	if !errs.Is(wrong, errs.Permission) || !errs.Is(unknown, errs.Permission) || wrong.Error() != unknown.Error() {
		t.Errorf("%v; %v", wrong, unknown)
	}
	if !alike(w.decoy, Hash(good)) || Matches(w.decoy, "") || w.decoy == decoy() {
		t.Errorf("the decoy %q is no hash of the same kind", w.decoy)
	}
}

// alike reports whether two hashes cost the same to compare with: their headers are, and the lengths of salt and sum.
func alike(a, b string) bool {
	x, y := strings.Split(a, "$"), strings.Split(b, "$")
	return len(x) == 6 && slices.Equal(x[:4], y[:4]) && len(x[4]) == len(y[4]) && len(x[5]) == len(y[5])
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	begun := w.now
	idle, used := w.signIn(t), w.signIn(t)
	for w.now.Sub(begun) < Longest-Idle/2 {
		w.now = w.now.Add(Idle / 2)
		if _, err := w.Who(t.Context(), used); err != nil && w.now.Sub(begun) < Longest {
			t.Fatalf("a session in use, after %s: %v", w.now.Sub(begun), err)
		}
	}
	if _, err := w.Who(t.Context(), idle); !errs.Is(err, errs.Permission) {
		t.Errorf("an idle session: %v", err)
	}
	w.now = begun.Add(Longest)
	if _, err := w.Who(t.Context(), used); !errs.Is(err, errs.Permission) {
		t.Errorf("a session in use, after %s: %v", Longest, err)
	}
	must(t, w.Purge(t.Context()))
	if _, err := w.records.SessionByHash(t.Context(), hashOf(idle)); err == nil {
		t.Error("what has ended is still recorded")
	}
}

func TestAttemptsAreLimited(t *testing.T) {
	w := newWorld(t)
	try := func(user, password, address string) error {
		_, err := w.SignIn(t.Context(), user, password, address)
		return err
	}
	for range perPair {
		if err := try("ada", "wrong", "192.0.2.1"); !errs.Is(err, errs.Permission) {
			t.Fatal(err)
		}
	}
	if err := try("ada", good, "192.0.2.1"); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Errorf("the right password after too many wrong ones: %v", err)
	}
	must(t, try("ada", good, "192.0.2.2")) // nobody can lock her out from elsewhere
	for i := range perAddress - perPair {
		_ = try(strings.Repeat("x", i+1), "wrong", "192.0.2.1")
	}
	if err := try("bob", "wrong", "192.0.2.1"); !errs.Is(err, errs.Precondition) {
		t.Errorf("many users from one address: %v", err)
	}
	w.now = w.now.Add(window)
	must(t, try("ada", good, "192.0.2.1"))
}

// TestAttemptsAtTheSameTime: as many as allowed are looked at, and no more.
func TestAttemptsAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	var looked atomic.Int32
	var all sync.WaitGroup
	for range 4 * perPair {
		all.Go(func() {
			if _, err := w.SignIn(t.Context(), "ada", "wrong", "192.0.2.1"); errs.Is(err, errs.Permission) {
				looked.Add(1)
			}
		})
	}
	all.Wait()
	if looked.Load() != perPair {
		t.Errorf("%d were looked at", looked.Load())
	}
}

func TestTheLimiterForgets(t *testing.T) {
	l := limiter{counts: map[string]count{}}
	now := time.Unix(0, 0)
	for i := range mostKeys {
		l.take("ada", strings.Repeat("a", i%100)+string(rune(i)), now.Add(time.Duration(i)*time.Second))
	}
	if len(l.counts) > mostKeys+3 {
		t.Errorf("%d keys", len(l.counts))
	}
}

func TestPasswords(t *testing.T) {
	for password, fine := range map[string]bool{"short": false, "ÄÖÜäöüßéèê": true, good: true, strings.Repeat("x", 1025): false} {
		if err := CheckPassword(password); (err == nil) != fine || err != nil && errs.HintOf(err) == "" {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	hash := Hash(good)
	if hash == Hash(good) || !Matches(hash, good) || Matches(hash, good+" ") {
		t.Errorf("%s", hash)
	}
	for _, broken := range []string{"", good, strings.Replace(hash, "m=19456", "m=999999999", 1), strings.Replace(hash, "argon2id", "argon2i", 1),
		strings.Replace(hash, "t=2", "t=0", 1), strings.Replace(hash, "p=1", "p=0", 1), hash[:strings.LastIndex(hash, "$")+1], hash + "!"} {
		if Matches(broken, good) {
			t.Errorf("%q matches", broken)
		}
	}
}

// TestNoSecretIsKept: neither a password nor a session's token is in the file.
func TestNoSecretIsKept(t *testing.T) {
	w := newWorld(t)
	token := w.signIn(t)
	for _, file := range []string{w.path, w.path + "-wal"} {
		text, err := os.ReadFile(file)
		must(t, err)
		if bytes.Contains(text, []byte(good)) || bytes.Contains(text, []byte(token)) {
			t.Errorf("a secret is in %s", filepath.Base(file))
		}
	}
}

// TestAttemptsAreInTheAuditLog: with the user, if there is one, and never with what was typed in its place.
func TestAttemptsAreInTheAuditLog(t *testing.T) {
	w := newWorld(t)
	w.signIn(t)
	_, _ = w.SignIn(t.Context(), "ada", "wrong", "192.0.2.2")
	_, _ = w.SignIn(t.Context(), good, "ada", "192.0.2.3")
	list, _, err := w.records.Audit(t.Context(), 10, "")
	must(t, err)
	got := ""
	for _, e := range list {
		got += e.Who + " " + e.Method + " " + e.Subject + " " + e.Outcome + "; "
	}
	if want := "user: sign in 192.0.2.3 permission; user:ada sign in 192.0.2.2 permission; user:ada sign in 192.0.2.1 ok; "; got != want {
		t.Errorf("%s", got)
	}
}
