package twinhash

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestWrite compares with crypto/sha256 over lengths around blocks, and over
// hashes that are in the middle of one.
func TestWrite(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	lengths := []int{0, 1, 63, 64, 65, least - 1, least, least + 1, 4096, 100_000}
	for range 3000 {
		pick := func() []byte {
			n := lengths[r.IntN(len(lengths))] + r.IntN(3)*r.IntN(200)
			from := r.IntN(len(data) - n)
			return data[from:][:n]
		}
		x, y := sha256.New(), sha256.New()
		var wantX, wantY []byte
		for range 1 + r.IntN(4) {
			a, b := pick(), pick()
			Write(x, a, y, b)
			wantX, wantY = append(wantX, a...), append(wantY, b...)
		}
		if w := sha256.Sum256(wantX); !bytes.Equal(x.Sum(nil), w[:]) {
			t.Fatalf("first of %d and %d bytes differs", len(wantX), len(wantY))
		}
		if w := sha256.Sum256(wantY); !bytes.Equal(y.Sum(nil), w[:]) {
			t.Fatalf("second of %d and %d bytes differs", len(wantX), len(wantY))
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{4 << 10, 960 << 10} {
		data := make([]byte, size)
		b.Run(fmt.Sprint("twin/", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			x, y := sha256.New(), sha256.New()
			for b.Loop() {
				Write(x, data, y, data)
			}
		})
		b.Run(fmt.Sprint("apart/", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			x, y := sha256.New(), sha256.New()
			for b.Loop() {
				x.Write(data)
				y.Write(data)
			}
		})
	}
}
