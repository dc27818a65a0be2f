package account

import (
	"sync"
	"time"
)

// Limits of failed attempts to sign in, in a window that begins with the first of them.
const (
	window = 15 * time.Minute
	// perPair is for one user from one address: nobody else can lock a user out.
	perPair = 5
	// perAddress is for all users from one address.
	perAddress = 20
	// perUser is for one user from all addresses together: it bounds a guess by many machines.
	perUser = 100
	// mostKeys bounds the memory; beyond it the windows that have ended are forgotten.
	mostKeys = 10_000
)

// limiter counts failures. It forgets them when the master ends.
type limiter struct {
	mu     sync.Mutex
	counts map[string]count
}

type count struct {
	began time.Time
	n     int
}

func keysOf(user, address string) map[string]int {
	return map[string]int{"p\x00" + user + "\x00" + address: perPair, "a\x00" + address: perAddress, "u\x00" + user: perUser}
}

// take counts an attempt before it is made, so that many at a time are not more than allowed; it returns how long to
// wait where there were too many.
func (l *limiter) take(user, address string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.counts) >= mostKeys {
		l.forget(now)
	}
	keys := keysOf(user, address)
	for key, most := range keys {
		if c := l.counts[key]; c.n >= most && now.Sub(c.began) < window {
			wait = max(wait, window-now.Sub(c.began))
		}
	}
	if wait > 0 {
		return wait
	}
	for key := range keys {
		c := l.counts[key]
		if c.n == 0 || now.Sub(c.began) >= window {
			c = count{began: now}
		}
		c.n++
		l.counts[key] = c
	}
	return 0
}

// good takes back an attempt that succeeded.
func (l *limiter) good(user, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range keysOf(user, address) {
		c := l.counts[key]
		if c.n--; c.n <= 0 {
			delete(l.counts, key)
			continue
		}
		l.counts[key] = c
	}
}

func (l *limiter) forget(now time.Time) {
	for key, c := range l.counts {
		if now.Sub(c.began) >= window {
			delete(l.counts, key)
		}
	}
}
