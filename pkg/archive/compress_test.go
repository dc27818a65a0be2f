package archive

import (
	"bytes"
	"testing"
)

// TestNoiseIsTold from what compresses, whichever noise it is: a gzip encoder that
// is not told spends a hundred times as long on it.
func TestNoiseIsTold(t *testing.T) {
	for seed := range uint64(300) {
		if !looksIncompressible(noise(seed, SliceSize)) {
			t.Errorf("noise %d seems to compress", seed)
		}
	}
	program := text(1, SliceSize)
	half := append(noise(1, SliceSize/2), program[:SliceSize/2]...)
	for name, b := range map[string][]byte{
		"text": program, "text behind noise": half, "zeros": make([]byte, SliceSize), "too little to tell": noise(1, 20<<10-1),
		"text within noise": bytes.Join([][]byte{noise(2, SliceSize/2-8<<10), program[:16<<10], noise(3, SliceSize/2-8<<10)}, nil),
	} {
		if looksIncompressible(b) {
			t.Errorf("%s is not tried", name)
		}
	}
}
