package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// The cost of a hash: OWASP's Password Storage Cheat Sheet, the second of its equal settings for Argon2id.
const (
	memoryKiB = 19 << 10
	passes    = 2
	lanes     = 1
	saltSize  = 16
	hashSize  = 32
)

// Bounds of a password, in characters (NIST SP 800-63B asks for at least 8, and for no rules on what is in it) and in
// bytes.
const (
	MinPassword      = 10
	maxPasswordBytes = 1024
)

// CheckPassword refuses a password that is too short, or so long that hashing it would be a burden.
func CheckPassword(password string) error {
	if n := utf8.RuneCountInString(password); n < MinPassword {
		return errs.New(errs.Usage, "take a few words; spaces are fine", "the password has %d characters, fewer than %d", n, MinPassword)
	}
	if len(password) > maxPasswordBytes {
		return errs.New(errs.Usage, "take a shorter one", "the password has more than %d bytes", maxPasswordBytes)
	}
	return nil
}

// Hash returns the password's Argon2id hash with a salt of its own, in the PHC string format.
func Hash(password string) string {
	salt := random(saltSize)
	return phc(salt, argon2.IDKey([]byte(password), salt, passes, memoryKiB, lanes, hashSize))
}

// decoy returns what looks like a hash and is one of no password that anybody knows. It costs nothing to make, and to
// compare a password with it as much as with a true one.
func decoy() string { return phc(random(saltSize), random(hashSize)) }

func phc(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, lanes, b64(salt), b64(sum))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program if it cannot
	return b
}

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// Bounds for the costs that a hash may ask for, so that one that was meddled with cannot take all memory.
const (
	mostMemoryKiB = 256 << 10
	mostPasses    = 16
	mostLanes     = 8
)

// Matches reports whether hash is one of the password. A hash that cannot be read matches nothing.
func Matches(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false
	}
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil ||
		memory > mostMemoryKiB || time < 1 || time > mostPasses || threads < 1 || threads > mostLanes {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) < saltSize {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
