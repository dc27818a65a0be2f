package twinhash

// accelerated says that the processor has what blocks2 needs.
var accelerated = hasSHA()

func hasSHA() bool

// blocks2 adds n > 0 blocks from p on to the state a, and as many from q on to b.
//
//go:noescape
func blocks2(a, b *[8]uint32, p, q *byte, n int)
