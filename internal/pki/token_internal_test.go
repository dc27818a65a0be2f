package pki

import (
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// FuzzTokenBody gets past the checksum, to the reader of what is behind it.
func FuzzTokenBody(f *testing.F) {
	token, err := NewJoinToken([]string{"hub:7440", "[::1]:2"}, Fingerprint{1})
	if err != nil {
		f.Fatal(err)
	}
	body, err := decodeToken(joinPrefix, "a join token", token.Text())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add(body[:53])
	f.Add(append(body, 0))
	f.Fuzz(func(t *testing.T, body []byte) {
		text := encodeToken(joinPrefix, body)
		token, err := ParseJoinToken(text)
		if err == nil && token.Text() != text {
			t.Errorf("%q became %q", text, token.Text())
		}
		if err != nil && errs.KindOf(err) != errs.Usage {
			t.Errorf("%v", err)
		}
	})
}

func TestDamagedBodiesAreRefused(t *testing.T) {
	token, err := NewJoinToken([]string{"hub:7440"}, Fingerprint{1})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := decodeToken(joinPrefix, "a join token", token.Text())
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if _, err := ParseJoinToken(encodeToken(joinPrefix, whole[:n])); err == nil {
			t.Errorf("the first %d bytes passed", n)
		}
	}
	if _, err := ParseJoinToken(encodeToken(joinPrefix, append(whole[:len(whole):len(whole)], 0))); err == nil {
		t.Error("a byte behind the end passed")
	}
}

// The version is looked at behind the checksum, so a newer token is not called mistyped.
func TestTokensOfOtherVersions(t *testing.T) {
	body := append([]byte{2}, make([]byte, 60)...)
	text := apiPrefix + tokenEncoding().EncodeToString(append(body, tokenCheck(apiPrefix, body)...))
	if _, err := ParseAPIToken(text); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%v", err)
	}
}
