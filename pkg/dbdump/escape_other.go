//go:build !amd64

package dbdump

const hasShuffle = false

func appendShuffled(b, s []byte) []byte { return appendLookedUp(b, s) }

func hexShuffled(_, _ []byte) int { return 0 }
