/**
 * Instructions of all kinds, as an assembler writes them. Memory that they name is that of
 * run-instruction.c with the registers of {@link STATES}: rbx, rsi, rdi point into the data page,
 * rsp and rbp into the stack page, r12 and r14 at code, r13 nowhere, r15 is not canonical.
 * `[rip+0x900]` is in the data page.
 */
// prettier-ignore
export const INSTRUCTIONS: readonly string[] = [
  // No operation.
  "nop", "xchg ax,ax", "nop dword ptr [rax]", "nop word ptr cs:[rax+rax*1+0x12345678]", "endbr64", "endbr32", "pause",
  "prefetcht0 [rip+0x900]", "prefetchw [rbx]", "fnop",
  // Moves and arithmetic.
  "mov rax,rbx", "mov eax,[rbx]", "mov [rbx+8],rdx", "mov rax,0x1122334455667788", "lea rax,[rip+0x900]",
  "lea eax,[rip+0x900]", "lea rax,[rsp+rcx*4+8]", "movzx eax,byte ptr [rsi]", "movsx rax,word ptr [rip+0x900]",
  "mov rax,[rip+0x900]", "mov [rip+0x900],rax", "mov byte ptr [rip+0x900],0x42", "mov dword ptr [rip+0x900],0x12345678",
  "mov word ptr [rip+0x900],0x1234", "add [rip+0x900],rax", "adc rax,[rip+0x900]", "sbb dword ptr [rip+0x900],0x11223344",
  "cmp qword ptr [rip+0x900],0x7f", "test byte ptr [rip+0x900],1", "imul rax,[rip+0x900],0x12345", "imul rcx",
  "mul qword ptr [rbx]", "div rcx", "idiv ecx", "div byte ptr [rbx]", "inc qword ptr [rip+0x900]", "neg rax", "not rcx",
  "shl rax,cl", "shld qword ptr [rip+0x900],rax,3", "sar dword ptr [rip+0x900],1", "rcl rax,3", "bt [rip+0x900],rcx",
  "bsf rax,[rbx]", "popcnt rax,[rip+0x900]", "bswap rax", "xchg [rip+0x900],rax", "xadd [rip+0x900],rax",
  "cmpxchg [rip+0x900],rdx", "lock cmpxchg [rip+0x900],rdx", "lock xadd [rip+0x900],rax", "lock inc dword ptr [rip+0x900]",
  "lock cmpxchg16b [rbx]", "cmpxchg8b [rip+0x900]", "setne byte ptr [rip+0x900]", "cmovle rax,[rip+0x900]", "cwde", "cqo",
  "lahf", "sahf", "cmc", "stc", "cld", "std", "xlatb", "movbe rax,[rip+0x900]", "crc32 rax,qword ptr [rip+0x900]",
  "mov rax,fs:0x20", "mov rax,gs:[rbx-0x20001400+0x10]", "mov eax,[ebx]", "mov rax,fs:[rip-0x1fffff00]",
  "mov eax,[eip+0x900]", "add dword ptr [eip+0x900],0x11223344", "mov ax,ss", "mov ds,ax", "mov fs,r13w",
  // The stack.
  "push rax", "push 0x12345678", "push word ptr 0x1234", "push qword ptr [rip+0x900]", "push qword ptr [rsp+8]", "push rsp",
  "pop rax", "pop qword ptr [rip+0x900]", "pop qword ptr [rsp+8]", "pop rsp", "pushfq", "popfq", "pushf", "popf", "leave", "enter 16,0",
  "enter 32,2", "mov ss,r11w",
  // Strings.
  "movsb", "stosq", "lodsd", "cmpsb", "scasw", "rep movsb", "rep stosq", "repe cmpsb", "repne scasb", "rep lodsb",
  // Branches.
  "jmp .+0x100", "jmp .+2", "jmp .-0x300", "call .+0x100", "call .-0x200", "call .+5", ".byte 0x66,0x66,0x48,0xe8; .long 0xf8",
  "bnd call .+0x100", "bnd jmp .+0x300", "jmp r14", "jmp [rip+0x8fa]", "jmp [rbx-0x300]", "jmp [rsp]", "jmp fs:0x100",
  "notrack jmp r14", "call r14", "call r12", "call [rip+0x8fa]", "call [rbx-0x300]", "call [rsp]", "call fs:0x100",
  "call [ebx-0x300]", "call [rbx+rcx*8-0x328]", "ret", "ret 16", "bnd ret", "rep ret", "jmp r15", "call r15", "call r13", "jmp r13", "call [r13]",
  "call [r15]", "jmp [r13]", "jmp [rbx]", "call [rbx]",
  "loop .+0x60", "loope .+0x60", "loopne .-0x60", "jrcxz .+0x40", "jecxz .+0x40", "addr32 loop .+0x40",
  "jo .+0x10", "jno .+0x10", "jb .+0x10", "jae .+0x10", "je .+0x10", "jne .+0x10", "jbe .+0x10", "ja .+0x10",
  "js .+0x10", "jns .+0x10", "jp .+0x10", "jnp .+0x10", "jl .+0x10", "jge .+0x10", "jle .+0x10", "jg .+0x10",
  "jo .+0x200", "jnb .-0x200", "jle .+0x200", "jg .-0x300",
  // System calls that a single thread can compare.
  "syscall", "int 0x80", "rex.W syscall",
  // Exceptions.
  "int3", "int 3", "int1", "int 0x21", "int 4", "ud2", "ud1 eax,[rip+0x900]", "hlt", "cli", "sti", "in al,dx", "out dx,al", "rdmsr", "mov rax,cr3",
  "mov rax,[r13]", "mov [r13],rax", "mov rax,[r15]", "push qword ptr [r13]", "add [r13],rax", "cmpxchg [r13],rdx",
  "lock xadd [r13],rax", "movaps xmm0,[rbx+1]", "div r9", "idiv r9d", ".byte 0x48,0xcb", "iretq", ".byte 0x48,0x0f,0x07", "jmp fword ptr [rbx]",
  // Vector and floating point.
  "movaps xmm1,[rip+0x900+8]", "movups [rip+0x900],xmm3", "paddd xmm1,[rbx]", "pshufb xmm0,[rbx]", "cvtsi2sd xmm0,qword ptr [rip+0x900]",
  "sqrtsd xmm1,xmm2", "ucomisd xmm1,[rip+0x900]", "pcmpistri xmm0,[rip+0x900],0x1a", "movq mm0,[rip+0x900]", "emms",
  "vmovdqu ymm1,[rip+0x900]", "vpaddd ymm1,ymm2,[rip+0x900]", "vpshufd xmm1,[rip+0x900],0x1b", "vzeroupper", "vptest ymm0,[rip+0x900]",
  "vpgatherdd xmm1,[rbx+xmm9*1],xmm2", "vmovdqu64 zmm1,[rip+0x900]", "vpaddd zmm1{k1},zmm2,[rip+0x900]", "vpaddd zmm1,zmm2,dword ptr [rip+0x900]{1to16}",
  "vpternlogd zmm1,zmm2,[rip+0x900],0x55", "andn rax,rbx,[rip+0x900]", "bextr rax,[rip+0x900],rcx", "rorx rax,[rip+0x900],7",
  "fld qword ptr [rip+0x900]", "fldpi", "fnstcw word ptr [rip+0x900]", "fld1", "fxsave [rbx]", "ldmxcsr [rip+0x900]", "stmxcsr [rip+0x900]",
  "vpmacssdd xmm1,xmm2,[rip+0x900],xmm3", "extrq xmm1,xmm2",
  // The rest.
  "xgetbv", "rdfsbase rax", "wrfsbase rbx", "lfence", "mfence", "clflush [rip+0x900]", "xtest", "xend", "sgdt [rbx]", "str eax", "smsw eax",
  "xbegin .+0x100",
];
