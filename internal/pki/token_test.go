package pki_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

func joinToken(t testing.TB, addresses ...string) pki.JoinToken {
	t.Helper()
	token, err := pki.NewJoinToken(addresses, pki.Fingerprint{1, 2, 3})
	must(t, err)
	return token
}

func TestJoinTokenRoundTrip(t *testing.T) {
	for _, addresses := range [][]string{
		{"backup.example.com:7440"},
		{"[2001:db8::1]:7440", "10.0.0.1:7440", "hub:7440"},
	} {
		token := joinToken(t, addresses...)
		text := token.Text()
		if !regexp.MustCompile(`^skj_[a-z2-7]+$`).MatchString(text) {
			t.Errorf("%q is not one plain word", text)
		}
		for _, written := range []string{text, " " + text + "\n", strings.ToUpper(text)} {
			got, err := pki.ParseJoinToken(written)
			must(t, err)
			if !slices.Equal(got.Addresses, addresses) || got.Fingerprint != token.Fingerprint || !got.Hash().Equal(token.Hash()) {
				t.Errorf("%s became %s", token, got)
			}
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	a, b := joinToken(t, "hub:7440"), joinToken(t, "hub:7440")
	if a.Text() == b.Text() || a.Hash().Equal(b.Hash()) {
		t.Error("two tokens are the same")
	}
	c, d := pki.NewAPIToken(pki.Fingerprint{}), pki.NewAPIToken(pki.Fingerprint{})
	if c.Text() == d.Text() || c.Hash().Equal(d.Hash()) {
		t.Error("two tokens are the same")
	}
}

// Every single wrong letter, and every two that changed places, are noticed.
func TestMistypedTokensAreNamed(t *testing.T) {
	text := joinToken(t, "hub:7440").Text()
	api := pki.NewAPIToken(pki.Fingerprint{1}).Text()
	wrong := []string{"", "skj_", text[:len(text)-1], text[:len(text)-8], text + "a", text + "aaaaaaaa", "skj_ " + text[4:], api, "skj" + text[4:],
		text[:20] + "=" + text[21:], text[:20] + "\n" + text[20:]}
	for i := 4; i < len(text); i++ {
		for _, c := range []byte("a7m1") {
			if text[i] != c {
				wrong = append(wrong, text[:i]+string(c)+text[i+1:])
			}
		}
		if i > 4 && text[i] != text[i-1] {
			wrong = append(wrong, text[:i-1]+text[i:i+1]+text[i-1:i]+text[i+1:])
		}
	}
	for _, w := range wrong {
		_, err := pki.ParseJoinToken(w)
		if errs.KindOf(err) != errs.Usage || errs.HintOf(err) == "" {
			t.Fatalf("%q: %v", w, err)
		}
		if len(w) > 12 && strings.Contains(err.Error(), w[4:12]) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	if _, err := pki.ParseJoinToken("skj_" + api[4:]); !strings.Contains(fmt.Sprint(err), "mistyped") {
		t.Errorf("%v", err)
	}
	version := text[:4] + "y" + text[5:] // the first letter is of the version
	if _, err := pki.ParseJoinToken(version); !strings.Contains(fmt.Sprint(err), "mistyped") {
		t.Errorf("%v", err)
	}
	if _, err := pki.ParseJoinToken(api); !strings.Contains(err.Error(), "does not begin with skj_") {
		t.Errorf("%v", err)
	}
}

func TestAPITokenRoundTrip(t *testing.T) {
	token := pki.NewAPIToken(pki.Fingerprint{9, 8})
	got, err := pki.ParseAPIToken(" " + token.Text())
	must(t, err)
	if got.Fingerprint != token.Fingerprint || !got.Hash().Equal(token.Hash()) || !strings.HasPrefix(token.Text(), "skt_") {
		t.Errorf("%s became %s", token.Text(), got.Text())
	}
	if _, err := pki.ParseAPIToken(joinToken(t, "hub:7440").Text()); errs.KindOf(err) != errs.Usage {
		t.Errorf("a join token passed: %v", err)
	}
	if _, err := pki.ParseAPIToken("skt_" + joinToken(t, "hub:7440").Text()[4:]); errs.KindOf(err) != errs.Usage {
		t.Errorf("a join token with another prefix passed: %v", err)
	}
}

func TestTokensAreNotShown(t *testing.T) {
	join, api := joinToken(t, "hub:7440"), pki.NewAPIToken(pki.Fingerprint{})
	for text, shown := range map[string]any{join.Text(): join, api.Text(): api} {
		asJSON, err := json.Marshal(shown)
		must(t, err)
		all := fmt.Sprintf("%v %+v %#v %s %s", shown, shown, shown, shown, asJSON)
		parsed, hidden := text[4:], false
		for i := 60; i+16 < len(parsed)-8; i += 8 { // behind version and fingerprint
			hidden = hidden || strings.Contains(all, parsed[i:i+8])
		}
		if hidden || !strings.Contains(all, "not shown") {
			t.Errorf("shown as %s", all)
		}
	}
}

func TestAddressesOfJoinTokens(t *testing.T) {
	for _, addresses := range [][]string{
		nil, {""}, {"hub"}, {":7440"}, {"hub:"}, {"2001:db8::1:7440x]"}, {strings.Repeat("a", 300) + ":1"},
		slices.Repeat([]string{"hub:7440"}, 9),
	} {
		if token, err := pki.NewJoinToken(addresses, pki.Fingerprint{}); err == nil {
			t.Errorf("%q: %s", addresses, token)
		}
	}
}

func TestSecretHashText(t *testing.T) {
	h := joinToken(t, "hub:7440").Hash()
	got, err := pki.ParseSecretHash(h.String())
	must(t, err)
	if !got.Equal(h) || h.Equal(pki.SecretHash{}) {
		t.Error("it is another one")
	}
	for _, wrong := range []string{"", "00", h.String() + "00", "x" + h.String()[1:]} {
		if _, err := pki.ParseSecretHash(wrong); err == nil {
			t.Errorf("%q passed", wrong)
		}
	}
}

func TestGrantsEnd(t *testing.T) {
	g := pki.JoinGrant{Server: "web1", ExpiresAt: start().Add(pki.JoinTokenValidity)}
	must(t, g.Usable(start()))
	must(t, g.Usable(g.ExpiresAt.Add(-1)))
	if err := g.Usable(g.ExpiresAt); !errors.Is(err, pki.ErrTokenExpired) || errs.KindOf(err) != errs.Permission {
		t.Errorf("%v", err)
	}
	g.UsedAt = start().Add(time.Minute)
	if err := g.Usable(start()); !errors.Is(err, pki.ErrTokenUsed) || errs.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// Whatever passes is written back as it was read.
func FuzzParseToken(f *testing.F) {
	f.Add(joinToken(f, "hub:7440", "[::1]:2").Text())
	f.Add(pki.NewAPIToken(pki.Fingerprint{1}).Text())
	f.Add("skj_")
	f.Fuzz(func(t *testing.T, text string) {
		canonical := strings.ToLower(strings.TrimSpace(text))
		if token, err := pki.ParseJoinToken(text); err == nil && token.Text() != canonical {
			t.Errorf("%q became %q", text, token.Text())
		}
		if token, err := pki.ParseAPIToken(text); err == nil && token.Text() != canonical {
			t.Errorf("%q became %q", text, token.Text())
		}
	})
}
