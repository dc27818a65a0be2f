#include "textflag.h"
#include "go_asm.h"

// CLASSIFY looks at the 16 bytes in X0. It leaves their low and high four bits in
// X1 and X2, 0xff in X3 for all that are not special, and bits for the special
// ones in AX.
#define CLASSIFY \
	MOVOU X0, X1        \
	MOVOU X0, X2        \
	PSRLW $4, X2        \
	PAND  X8, X1        \
	PAND  X8, X2        \
	MOVOU X9, X3        \
	MOVOU X10, X4       \
	PSHUFB X1, X3       \
	PSHUFB X2, X4       \
	PAND  X4, X3        \
	PCMPEQB X14, X3     \
	PMOVMSKB X3, AX     \
	XORL $0xffff, AX

// LETTERS puts the letters that follow a backslash in place of the special bytes in X0.
#define LETTERS \
	MOVOU X11, X5       \
	MOVOU X12, X6       \
	PSHUFB X1, X5       \
	PSHUFB X2, X6       \
	PXOR  X6, X5        \
	PANDN X5, X3        \
	PXOR  X3, X0

// EIGHT writes the low eight bytes of X0 to DI, backslashes before those whose
// bits are in BX, and leaves the number of these in BX.
#define EIGHT \
	MOVL  BX, DX        \
	SHLL  $4, DX        \
	MOVOU (R9)(DX*1), X4 \
	MOVOU X0, X5        \
	PSHUFB X4, X5       \
	MOVOU X14, X6       \
	PCMPGTB X4, X6      \
	PAND  X13, X6       \
	POR   X6, X5        \
	MOVOU X5, (DI)      \
	POPCNTL BX, BX

DATA nibble<>+0(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA nibble<>+8(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL nibble<>(SB), RODATA|NOPTR, $16

DATA backslash<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
DATA backslash<>+8(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL backslash<>(SB), RODATA|NOPTR, $16

DATA digits<>+0(SB)/8, $0x3736353433323130
DATA digits<>+8(SB)/8, $0x4645444342413938
GLOBL digits<>(SB), RODATA|NOPTR, $16

// func escapeBlocks(dst, src *byte, n int, t *escapeTables) int
TEXT ·escapeBlocks(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ CX, R10
	MOVQ t+24(FP), R11
	LEAQ escapeTables_spread(R11), R9
	MOVOU nibble<>(SB), X8
	MOVOU escapeTables_classLow(R11), X9
	MOVOU escapeTables_classHigh(R11), X10
	MOVOU escapeTables_flipLow(R11), X11
	MOVOU escapeTables_flipHigh(R11), X12
	MOVOU backslash<>(SB), X13
	PXOR  X14, X14
	JMP   next

clean:
	MOVOU X0, (DI)
	ADDQ  $16, DI

next:
	CMPQ CX, $16
	JLT  rest
	MOVOU (SI), X0
	ADDQ $16, SI
	SUBQ $16, CX
	CLASSIFY
	TESTL AX, AX
	JZ   clean
	LETTERS
	MOVBLZX AX, BX
	EIGHT
	LEAQ  8(DI)(BX*1), DI
	PSRLO $8, X0
	SHRL  $8, AX
	MOVL  AX, BX
	EIGHT
	LEAQ 8(DI)(BX*1), DI
	JMP  next

// The last CX bytes, less than 16: of those behind them no bit is left.
rest:
	TESTQ CX, CX
	JZ    done
	CMPQ  R10, $16
	JLT   short
	MOVOU -16(SI)(CX*1), X0
	LEAQ  (escapeTables_slide+16)(R11), DX
	SUBQ  CX, DX
	MOVOU (DX), X4
	PSHUFB X4, X0
	JMP   last

short:
	MOVOU (SI), X0

last:
	CLASSIFY
	MOVL $1, DX
	SHLL CX, DX
	DECL DX
	ANDL DX, AX
	LETTERS
	MOVBLZX AX, BX
	EIGHT
	CMPQ CX, $8
	JLE  eight
	LEAQ 8(DI)(BX*1), DI
	SUBQ $8, CX
	PSRLO $8, X0
	SHRL $8, AX
	MOVL AX, BX
	EIGHT

eight:
	ADDQ CX, DI
	ADDQ BX, DI

done:
	SUBQ dst+0(FP), DI
	MOVQ DI, ret+32(FP)
	RET

// func hexBlocks(dst, src *byte, n int)
TEXT ·hexBlocks(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVOU nibble<>(SB), X8
	MOVOU digits<>(SB), X9

sixteen:
	MOVOU (SI), X0
	MOVOU X0, X1
	PSRLW $4, X1
	PAND  X8, X0
	PAND  X8, X1
	MOVOU X9, X2
	MOVOU X9, X3
	PSHUFB X0, X2
	PSHUFB X1, X3
	MOVOU X3, X4
	PUNPCKLBW X2, X3
	PUNPCKHBW X2, X4
	MOVOU X3, (DI)
	MOVOU X4, 16(DI)
	ADDQ $16, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  sixteen
	RET
