#include "textflag.h"

// The names are those of Intel's "SHA Extensions" paper: the state lies as ABEF
// and CDGH, and four rounds take four words of the message in M. SHA256RNDS2 has
// its words, with the constants added, in X0.

// START reads the words of rounds 0 to 15.
#define START(P, OFF, K, ABEF, CDGH, M) \
	MOVOU OFF(P), X0; \
	PSHUFB X15, X0; \
	MOVO X0, M; \
	PADDD K(AX), X0; \
	SHA256RNDS2 X0, ABEF, CDGH; \
	PSHUFD $0x0e, X0, X0; \
	SHA256RNDS2 X0, CDGH, ABEF

// ROUNDS does four rounds with the words in M.
#define ROUNDS(K, ABEF, CDGH, M) \
	MOVO M, X0; \
	PADDD K(AX), X0; \
	SHA256RNDS2 X0, ABEF, CDGH; \
	PSHUFD $0x0e, X0, X0; \
	SHA256RNDS2 X0, CDGH, ABEF

// NEXT makes the words of the rounds after M's out of those before: M0 has had
// SHA256MSG1 and is to be M's successor, M3 is M's predecessor.
#define NEXT(M0, M3, M, T) \
	MOVO M, T; \
	PALIGNR $4, M3, T; \
	PADDD T, M0; \
	SHA256MSG2 M, M0

// The two lanes take turns, so that the one has instructions to run while the
// other waits for its own results.
#define START2(OFF, K, MA, MB) \
	START(SI, OFF, K, X1, X2, MA); \
	START(DX, OFF, K, X7, X8, MB)

#define ROUNDS2(K, MA, MB) \
	ROUNDS(K, X1, X2, MA); \
	ROUNDS(K, X7, X8, MB)

#define NEXT2(MA0, MA3, MA, MB0, MB3, MB) \
	NEXT(MA0, MA3, MA, X13); \
	NEXT(MB0, MB3, MB, X14)

// LOAD and STORE turn a state from A to H into ABEF and CDGH, and back.
#define LOAD(P, ABEF, CDGH) \
	MOVOU (P), ABEF; \
	MOVOU 16(P), CDGH; \
	PSHUFD $0xb1, ABEF, ABEF; \
	PSHUFD $0x1b, CDGH, CDGH; \
	MOVO ABEF, X13; \
	PALIGNR $8, CDGH, ABEF; \
	PBLENDW $0xf0, X13, CDGH

#define STORE(P, ABEF, CDGH) \
	PSHUFD $0x1b, ABEF, ABEF; \
	PSHUFD $0xb1, CDGH, CDGH; \
	MOVO ABEF, X13; \
	PBLENDW $0xf0, CDGH, ABEF; \
	PALIGNR $8, X13, CDGH; \
	MOVOU ABEF, (P); \
	MOVOU CDGH, 16(P)

#define SAVE(OFF, X) MOVOU X, OFF(SP)
#define ADD(OFF, X) \
	MOVOU OFF(SP), X13; \
	PADDD X13, X

// func blocks2(a, b *[8]uint32, p, q *byte, n int)
// Requires: SHA, SSE4.1, SSSE3
TEXT ·blocks2(SB), NOSPLIT, $64-40
	MOVQ a+0(FP), DI
	MOVQ b+8(FP), R8
	MOVQ p+16(FP), SI
	MOVQ q+24(FP), DX
	MOVQ n+32(FP), CX
	LEAQ k<>(SB), AX
	MOVOU flip<>(SB), X15
	LOAD(DI, X1, X2)
	LOAD(R8, X7, X8)

block:
	SAVE(0, X1)
	SAVE(16, X2)
	SAVE(32, X7)
	SAVE(48, X8)
	START2(0, 0, X3, X9)
	START2(16, 16, X4, X10)
	SHA256MSG1 X4, X3
	SHA256MSG1 X10, X9
	START2(32, 32, X5, X11)
	SHA256MSG1 X5, X4
	SHA256MSG1 X11, X10
	START2(48, 48, X6, X12)
	NEXT2(X3, X5, X6, X9, X11, X12)
	SHA256MSG1 X6, X5
	SHA256MSG1 X12, X11
	ROUNDS2(64, X3, X9)
	NEXT2(X4, X6, X3, X10, X12, X9)
	SHA256MSG1 X3, X6
	SHA256MSG1 X9, X12
	ROUNDS2(80, X4, X10)
	NEXT2(X5, X3, X4, X11, X9, X10)
	SHA256MSG1 X4, X3
	SHA256MSG1 X10, X9
	ROUNDS2(96, X5, X11)
	NEXT2(X6, X4, X5, X12, X10, X11)
	SHA256MSG1 X5, X4
	SHA256MSG1 X11, X10
	ROUNDS2(112, X6, X12)
	NEXT2(X3, X5, X6, X9, X11, X12)
	SHA256MSG1 X6, X5
	SHA256MSG1 X12, X11
	ROUNDS2(128, X3, X9)
	NEXT2(X4, X6, X3, X10, X12, X9)
	SHA256MSG1 X3, X6
	SHA256MSG1 X9, X12
	ROUNDS2(144, X4, X10)
	NEXT2(X5, X3, X4, X11, X9, X10)
	SHA256MSG1 X4, X3
	SHA256MSG1 X10, X9
	ROUNDS2(160, X5, X11)
	NEXT2(X6, X4, X5, X12, X10, X11)
	SHA256MSG1 X5, X4
	SHA256MSG1 X11, X10
	ROUNDS2(176, X6, X12)
	NEXT2(X3, X5, X6, X9, X11, X12)
	SHA256MSG1 X6, X5
	SHA256MSG1 X12, X11
	ROUNDS2(192, X3, X9)
	NEXT2(X4, X6, X3, X10, X12, X9)
	SHA256MSG1 X3, X6
	SHA256MSG1 X9, X12
	ROUNDS2(208, X4, X10)
	NEXT2(X5, X3, X4, X11, X9, X10)
	ROUNDS2(224, X5, X11)
	NEXT2(X6, X4, X5, X12, X10, X11)
	ROUNDS2(240, X6, X12)
	ADD(0, X1)
	ADD(16, X2)
	ADD(32, X7)
	ADD(48, X8)
	ADDQ $64, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  block

	STORE(DI, X1, X2)
	STORE(R8, X7, X8)
	RET

// func hasSHA() bool
// CPUID leaf 7, EBX bit 29: SHA; leaf 1, ECX bits 9 and 19: SSSE3 and SSE4.1.
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	XORL CX, CX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x80200, CX
	CMPL CX, $0x80200
	JNE  none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $29, BX
	JCC  none
	MOVB $1, ret+0(FP)

none:
	RET

// flip turns big-endian words around.
DATA flip<>+0(SB)/8, $0x0405060700010203
DATA flip<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL flip<>(SB), RODATA|NOPTR, $16

// k are the constants of FIPS 180-4, section 4.2.2.
DATA k<>+0(SB)/8, $0x71374491428a2f98
DATA k<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA k<>+16(SB)/8, $0x59f111f13956c25b
DATA k<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA k<>+32(SB)/8, $0x12835b01d807aa98
DATA k<>+40(SB)/8, $0x550c7dc3243185be
DATA k<>+48(SB)/8, $0x80deb1fe72be5d74
DATA k<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA k<>+64(SB)/8, $0xefbe4786e49b69c1
DATA k<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA k<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA k<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA k<>+96(SB)/8, $0xa831c66d983e5152
DATA k<>+104(SB)/8, $0xbf597fc7b00327c8
DATA k<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA k<>+120(SB)/8, $0x1429296706ca6351
DATA k<>+128(SB)/8, $0x2e1b213827b70a85
DATA k<>+136(SB)/8, $0x53380d134d2c6dfc
DATA k<>+144(SB)/8, $0x766a0abb650a7354
DATA k<>+152(SB)/8, $0x92722c8581c2c92e
DATA k<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA k<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA k<>+176(SB)/8, $0xd6990624d192e819
DATA k<>+184(SB)/8, $0x106aa070f40e3585
DATA k<>+192(SB)/8, $0x1e376c0819a4c116
DATA k<>+200(SB)/8, $0x34b0bcb52748774c
DATA k<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA k<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA k<>+224(SB)/8, $0x78a5636f748f82ee
DATA k<>+232(SB)/8, $0x8cc7020884c87814
DATA k<>+240(SB)/8, $0xa4506ceb90befffa
DATA k<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL k<>(SB), RODATA|NOPTR, $256
