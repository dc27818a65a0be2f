//go:build !amd64

package twinhash

const accelerated = false

// blocks2 is never called.
func blocks2(_, _ *[8]uint32, _, _ *byte, _ int) { panic("twinhash: not accelerated") }
