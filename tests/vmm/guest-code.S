/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs inside the machine; guest.h tells what it does. It is copied from
 * here to GUEST_CODE, so it refers to itself relative to rip only.
 *
 * Instructions are few on purpose: where KVM has no hardware to help, each costs
 * about a microsecond, and so does each turn of a rep.
 *
 * rbp holds GUEST_PARAMS throughout; routines keep no other register.
 */
#include "tests/vmm/guest.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096
#define LAST_WORD (PAGE_SIZE - 8)

	.section .rodata
	.code64
	.globl	guest_code
	.globl	guest_code_end

guest_code:
	mov	$GUEST_PARAMS, %ebp
	mov	PARAM_FIRST(%rbp), %rax
	mov	$PORT_DISK, %edx
fill:
	out	%eax, %dx
	inc	%rax
	cmp	PARAM_PAGES(%rbp), %rax
	jb	fill

beat:
	incq	PARAM_BEAT(%rbp)
	call	follow_balloon
	call	write_some
	call	walk
	call	walk_spare
	call	print
	mov	PARAM_BEAT(%rbp), %rax
	mov	$PORT_BEAT, %edx
	out	%eax, %dx
	jmp	beat

/* Gives pages back in short runs, or reads them from the disk again, until the
 * balloon has what it wants. The machine removes them while the walk goes on. */
follow_balloon:
	mov	$PORT_BALLOON, %edx
	in	%dx, %eax
	mov	%rax, %rbx
1:	mov	PARAM_GIVEN(%rbp), %rcx
	mov	PARAM_SPARE(%rbp), %rax
	add	%rcx, %rax
	cmp	%rbx, %rcx
	je	4f
	ja	3f
	mov	$PORT_GIVE_FIRST, %edx
	out	%eax, %dx
	mov	%rbx, %rax
	sub	%rcx, %rax
	cmp	$GUEST_GIVE_RUN, %rax
	jbe	2f
	mov	$GUEST_GIVE_RUN, %eax
2:	mov	$PORT_GIVE_COUNT, %edx
	out	%eax, %dx
	add	%rax, PARAM_GIVEN(%rbp)
	jmp	1b
3:	dec	%rax
	mov	$PORT_DISK, %edx
	out	%eax, %dx
	decq	PARAM_GIVEN(%rbp)
	jmp	1b
4:	ret

/* Writes the beat into the last word of some pages, going round. */
write_some:
	mov	PARAM_BEAT(%rbp), %rax
	mov	PARAM_CURSOR(%rbp), %rbx
	mov	PARAM_WRITES(%rbp), %rcx
	test	%rcx, %rcx
	jz	3f
1:	mov	%rbx, %rsi
	shl	$PAGE_SHIFT, %rsi
	mov	%rax, LAST_WORD(%rsi)
	inc	%rbx
	cmp	PARAM_SPARE(%rbp), %rbx
	jb	2f
	mov	PARAM_FIRST(%rbp), %rbx
2:	dec	%rcx
	jnz	1b
	mov	%rbx, PARAM_CURSOR(%rbp)
3:	ret

walk:
	mov	PARAM_FIRST(%rbp), %rsi
	shl	$PAGE_SHIFT, %rsi
	mov	PARAM_SPARE(%rbp), %rdi
	shl	$PAGE_SHIFT, %rdi
	xor	%eax, %eax
1:	add	(%rsi), %rax
	rol	$7, %rax
	add	PAGE_SIZE / 2(%rsi), %rax
	add	$PAGE_SIZE, %rsi
	cmp	%rdi, %rsi
	jb	1b
	mov	%rax, PARAM_SUM(%rbp)
	ret

/* What was given back must read as zero; the rest is only touched. */
walk_spare:
	mov	$PORT_GIVE_WAIT, %edx
	in	%dx, %eax
	mov	PARAM_SPARE(%rbp), %rax
	mov	PARAM_GIVEN(%rbp), %rcx
	add	%rax, %rcx
1:	mov	%rax, %rsi
	shl	$PAGE_SHIFT, %rsi
	mov	(%rsi), %rbx
	or	PAGE_SIZE / 2(%rsi), %rbx
	cmp	%rcx, %rax
	jae	2f
	test	%rbx, %rbx
	jnz	3f
2:	inc	%rax
	cmp	PARAM_PAGES(%rbp), %rax
	jb	1b
	ret
3:	mov	$PORT_NOT_ZERO, %edx
	out	%eax, %dx
	jmp	3b

/* Straight to the port: a copy of the text in memory would be found by who looks
 * for the text in an image. */
print:
	lea	beat_word(%rip), %rsi
	call	send_text
	mov	PARAM_BEAT(%rbp), %rax
	call	send_decimal
	lea	sum_word(%rip), %rsi
	call	send_text
	mov	PARAM_SUM(%rbp), %rbx
	call	send_hex
	lea	text_word(%rip), %rsi
	call	send_text
	mov	$GUEST_TEXT, %esi
	call	send_text
	lea	end_word(%rip), %rsi
	/* fall through */

/* rsi: up to a zero byte or GUEST_TEXT_MAX */
send_text:
	mov	$PORT_SERIAL, %edx
	mov	$GUEST_TEXT_MAX, %ecx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	dec	%ecx
	jnz	1b
2:	ret

/* rax */
send_decimal:
	mov	$10, %ebx
	xor	%ecx, %ecx
1:	xor	%edx, %edx
	div	%rbx
	push	%rdx
	inc	%ecx
	test	%rax, %rax
	jnz	1b
	mov	$PORT_SERIAL, %edx
2:	pop	%rax
	add	$'0', %al
	out	%al, %dx
	dec	%ecx
	jnz	2b
	ret

/* rbx */
send_hex:
	mov	$PORT_SERIAL, %edx
	mov	$16, %ecx
1:	rol	$4, %rbx
	mov	%ebx, %eax
	and	$15, %eax
	add	$'0', %al
	cmp	$'9', %al
	jbe	2f
	add	$('a' - '9' - 1), %al
2:	out	%al, %dx
	dec	%ecx
	jnz	1b
	ret

beat_word:
	.asciz	"BEAT "
sum_word:
	.asciz	" sum "
text_word:
	.asciz	" str \""
end_word:
	.asciz	"\"\n"
guest_code_end:

	.section .note.GNU-stack, "", @progbits
