/*
 * The signal handler that a program is lent for SIGTRAP while there are breakpoints in it. The
 * kernel calls it only where no tracer catches the signal first: when the tracer has died, or where
 * it has the signal delivered because it is the program's own.
 *
 * void handler(int signal, siginfo_t *info, ucontext_t *context)
 */

/** Where the code finds its data: this far from its first byte. The code is not writable, the data is. */
export const DATA_AT = 4096;

/** Offsets in the data. */
export const DATA = {
  /** The action that the program itself has for SIGTRAP, `struct sigaction` of the kernel. */
  wish: 0,
  lock: 32,
  /** Not 0: the signal that is about to come is the program's own. */
  foreign: 36,
  healed: 40,
  scratch: 44,
  /** The action that the kernel is to have. */
  action: 48,
  /** SIG_DFL, no flags. */
  defaultAction: 80,
  allSignals: 112,
  memoryPath: 120,
  /** The kernel's former action. */
  former: 144,
  /** Entries of {@link ENTRY_LENGTH} bytes up to one whose first word is 0. */
  table: 512,
} as const;

/** Two words. The highest byte of the first is its kind, the rest an address. */
export const ENTRY_LENGTH = 16;

export const ENTRY = {
  /** A breakpoint in the text; the lowest byte of the second word is what it replaced. */
  location: 0,
  /** A breakpoint of ours in a slot; the second word is where to go on. */
  jump: 1,
  /** The same behind a push of where to go; the second word is the return address that belongs there. */
  call: 2,
  /** Slots: from the address up to that in the second word, every program counter is a good one. */
  slots: 3,
  /** No longer of use: its text is gone. */
  nothing: 4,
} as const;

/**
 * A breakpoint in the text is taken out, and with it, where /proc can be written, all others; the
 * thread goes back before it. Nothing here returns to the program but by rt_sigreturn.
 *
 * Where the tracer had already set the program counter and could not set the thread going, it is
 * among the slots, or not behind a breakpoint: then it stays.
 */
// prettier-ignore
export const SHELTER_CODE = Uint8Array.of(
  0x4c, 0x8d, 0x05, 0xf9, 0x0f, 0x00, 0x00,                    // lea r8, [rip+data]
  0x31, 0xc0,                                                  // xor eax, eax
  0x41, 0x87, 0x40, 0x24,                                      // xchg dword [r8+0x24], eax
  0x85, 0xc0,                                                  // test eax, eax
  0x75, 0x72,                                                  // jne foreign
  0x8b, 0x46, 0x08,                                            // mov eax, dword [rsi+0x8]
  0x3d, 0x80, 0x00, 0x00, 0x00,                                // cmp eax, 0x80
  0x74, 0x14,                                                  // je trap
  0xff, 0xc8,                                                  // dec eax
  0x83, 0xf8, 0x01,                                            // cmp eax, 0x1
  0x77, 0x61,                                                  // ja foreign
  0xf7, 0x82, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,  // test dword [rdx+0xb0], 0x100
  0x75, 0x55,                                                  // jne foreign
  // done:
  0xc3,                                                        // ret
  // trap:
  0x4c, 0x8b, 0x8a, 0xa8, 0x00, 0x00, 0x00,                    // mov r9, qword [rdx+0xa8]
  0x4d, 0x8d, 0x51, 0xff,                                      // lea r10, [r9-0x1]
  0x4d, 0x8d, 0x98, 0x00, 0x02, 0x00, 0x00,                    // lea r11, [r8+0x200]
  0x31, 0xed,                                                  // xor ebp, ebp
  0x49, 0x8b, 0x03,                                            // mov rax, qword [r11]
  0x48, 0x85, 0xc0,                                            // test rax, rax
  0x74, 0x2e,                                                  // je miss
  0x48, 0x89, 0xc3,                                            // mov rbx, rax
  0x48, 0xc1, 0xeb, 0x38,                                      // shr rbx, 0x38
  0x48, 0xc1, 0xe0, 0x08,                                      // shl rax, 0x8
  0x48, 0xc1, 0xe8, 0x08,                                      // shr rax, 0x8
  0x83, 0xfb, 0x03,                                            // cmp ebx, 0x3
  0x74, 0x0b,                                                  // je range
  0x4c, 0x39, 0xd0,                                            // cmp rax, r10
  0x74, 0x79,                                                  // je match
  // next:
  0x49, 0x83, 0xc3, 0x10,                                      // add r11, 0x10
  0xeb, 0xd9,                                                  // jmp trap+0x14
  // range:
  0x49, 0x39, 0xc1,                                            // cmp r9, rax
  0x72, 0xf5,                                                  // jb next
  0x4d, 0x3b, 0x4b, 0x08,                                      // cmp r9, qword [r11+0x8]
  0x73, 0xef,                                                  // jae next
  0xff, 0xc5,                                                  // inc ebp
  0xeb, 0xeb,                                                  // jmp next
  // miss:
  0x85, 0xed,                                                  // test ebp, ebp
  0x75, 0xb1,                                                  // jne done
  0x41, 0x80, 0x3a, 0xcc,                                      // cmp byte [r10], 0xcc
  0x75, 0xab,                                                  // jne done
  // foreign:
  0x4d, 0x8b, 0x18,                                            // mov r11, qword [r8]
  0x49, 0x83, 0xfb, 0x01,                                      // cmp r11, 0x1
  0x72, 0x18,                                                  // jb default
  0x74, 0xa0,                                                  // je done
  0x41, 0xf7, 0x40, 0x08, 0x00, 0x00, 0x00, 0x80,              // test dword [r8+0x8], 0x80000000
  0x74, 0x07,                                                  // je foreign+0x1c
  0x49, 0xc7, 0x00, 0x00, 0x00, 0x00, 0x00,                    // mov qword [r8], 0x0
  0x31, 0xc0,                                                  // xor eax, eax
  0x41, 0xff, 0xe3,                                            // jmp r11
  // default:
  0xbf, 0x05, 0x00, 0x00, 0x00,                                // mov edi, 0x5
  0x49, 0x8d, 0x70, 0x50,                                      // lea rsi, [r8+0x50]
  0x31, 0xd2,                                                  // xor edx, edx
  0x41, 0xba, 0x08, 0x00, 0x00, 0x00,                          // mov r10d, 0x8
  0xb8, 0x0d, 0x00, 0x00, 0x00,                                // mov eax, 0xd
  0x0f, 0x05,                                                  // syscall
  0xb8, 0x27, 0x00, 0x00, 0x00,                                // mov eax, 0x27
  0x0f, 0x05,                                                  // syscall
  0x89, 0xc3,                                                  // mov ebx, eax
  0xb8, 0xba, 0x00, 0x00, 0x00,                                // mov eax, 0xba
  0x0f, 0x05,                                                  // syscall
  0x89, 0xdf,                                                  // mov edi, ebx
  0x89, 0xc6,                                                  // mov esi, eax
  0xba, 0x05, 0x00, 0x00, 0x00,                                // mov edx, 0x5
  0xb8, 0xea, 0x00, 0x00, 0x00,                                // mov eax, 0xea
  0x0f, 0x05,                                                  // syscall
  0xc3,                                                        // ret
  // match:
  0xff, 0xcb,                                                  // dec ebx
  0x0f, 0x84, 0x19, 0x01, 0x00, 0x00,                          // je go
  0x0f, 0x89, 0x1f, 0x01, 0x00, 0x00,                          // jns call
  0x4c, 0x89, 0x92, 0xa8, 0x00, 0x00, 0x00,                    // mov qword [rdx+0xa8], r10
  0x41, 0x80, 0x3a, 0xcc,                                      // cmp byte [r10], 0xcc
  0x0f, 0x85, 0x32, 0xff, 0xff, 0xff,                          // jne done
  0x4d, 0x89, 0xd4,                                            // mov r12, r10
  0x4d, 0x89, 0xdd,                                            // mov r13, r11
  0x31, 0xff,                                                  // xor edi, edi
  0x49, 0x8d, 0x70, 0x70,                                      // lea rsi, [r8+0x70]
  0x31, 0xd2,                                                  // xor edx, edx
  0x41, 0xba, 0x08, 0x00, 0x00, 0x00,                          // mov r10d, 0x8
  0xb8, 0x0e, 0x00, 0x00, 0x00,                                // mov eax, 0xe
  0x0f, 0x05,                                                  // syscall
  0xbb, 0x10, 0x27, 0x00, 0x00,                                // mov ebx, 0x2710
  // lock:
  0xb8, 0x01, 0x00, 0x00, 0x00,                                // mov eax, 0x1
  0x41, 0x87, 0x40, 0x20,                                      // xchg dword [r8+0x20], eax
  0x85, 0xc0,                                                  // test eax, eax
  0x74, 0x0b,                                                  // je locked
  0xb8, 0x18, 0x00, 0x00, 0x00,                                // mov eax, 0x18
  0x0f, 0x05,                                                  // syscall
  0xff, 0xcb,                                                  // dec ebx
  0x75, 0xe8,                                                  // jne lock
  // locked:
  0x41, 0x80, 0x3c, 0x24, 0xcc,                                // cmp byte [r12], 0xcc
  0x0f, 0x85, 0xb6, 0x00, 0x00, 0x00,                          // jne unlock
  0x41, 0x83, 0x78, 0x28, 0x00,                                // cmp dword [r8+0x28], 0x0
  0x75, 0x7c,                                                  // jne alone
  0xbf, 0x9c, 0xff, 0xff, 0xff,                                // mov edi, 0xffffff9c
  0x49, 0x8d, 0x70, 0x78,                                      // lea rsi, [r8+0x78]
  0xba, 0x02, 0x00, 0x08, 0x00,                                // mov edx, 0x80002
  0x45, 0x31, 0xd2,                                            // xor r10d, r10d
  0xb8, 0x01, 0x01, 0x00, 0x00,                                // mov eax, 0x101
  0x0f, 0x05,                                                  // syscall
  0x85, 0xc0,                                                  // test eax, eax
  0x78, 0x60,                                                  // js alone
  0x89, 0xc3,                                                  // mov ebx, eax
  0x4d, 0x8d, 0xb0, 0x00, 0x02, 0x00, 0x00,                    // lea r14, [r8+0x200]
  // each:
  0x4d, 0x8b, 0x16,                                            // mov r10, qword [r14]
  0x4d, 0x85, 0xd2,                                            // test r10, r10
  0x74, 0x37,                                                  // je all
  0x4c, 0x89, 0xd0,                                            // mov rax, r10
  0x48, 0xc1, 0xe8, 0x38,                                      // shr rax, 0x38
  0x75, 0x28,                                                  // jne skip
  0x89, 0xdf,                                                  // mov edi, ebx
  0x49, 0x8d, 0x70, 0x2c,                                      // lea rsi, [r8+0x2c]
  0xba, 0x01, 0x00, 0x00, 0x00,                                // mov edx, 0x1
  0xb8, 0x11, 0x00, 0x00, 0x00,                                // mov eax, 0x11
  0x0f, 0x05,                                                  // syscall
  0xff, 0xc8,                                                  // dec eax
  0x75, 0x12,                                                  // jne skip
  0x41, 0x80, 0x78, 0x2c, 0xcc,                                // cmp byte [r8+0x2c], 0xcc
  0x75, 0x0b,                                                  // jne skip
  0x49, 0x8d, 0x76, 0x08,                                      // lea rsi, [r14+0x8]
  0xb8, 0x12, 0x00, 0x00, 0x00,                                // mov eax, 0x12
  0x0f, 0x05,                                                  // syscall
  // skip:
  0x49, 0x83, 0xc6, 0x10,                                      // add r14, 0x10
  0xeb, 0xc1,                                                  // jmp each
  // all:
  0x41, 0xc7, 0x40, 0x28, 0x01, 0x00, 0x00, 0x00,              // mov dword [r8+0x28], 0x1
  0x89, 0xdf,                                                  // mov edi, ebx
  0xb8, 0x03, 0x00, 0x00, 0x00,                                // mov eax, 0x3
  0x0f, 0x05,                                                  // syscall
  0x41, 0x80, 0x3c, 0x24, 0xcc,                                // cmp byte [r12], 0xcc
  0x75, 0x33,                                                  // jne unlock
  // alone:
  0x4c, 0x89, 0xe7,                                            // mov rdi, r12
  0x48, 0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff,                    // and rdi, 0xfffffffffffff000
  0xbe, 0x00, 0x10, 0x00, 0x00,                                // mov esi, 0x1000
  0xba, 0x07, 0x00, 0x00, 0x00,                                // mov edx, 0x7
  0xb8, 0x0a, 0x00, 0x00, 0x00,                                // mov eax, 0xa
  0x0f, 0x05,                                                  // syscall
  0x85, 0xc0,                                                  // test eax, eax
  0x75, 0x14,                                                  // jne unlock
  0x41, 0x8a, 0x45, 0x08,                                      // mov al, byte [r13+0x8]
  0x41, 0x88, 0x04, 0x24,                                      // mov byte [r12], al
  0xba, 0x05, 0x00, 0x00, 0x00,                                // mov edx, 0x5
  0xb8, 0x0a, 0x00, 0x00, 0x00,                                // mov eax, 0xa
  0x0f, 0x05,                                                  // syscall
  // unlock:
  0x41, 0xc7, 0x40, 0x20, 0x00, 0x00, 0x00, 0x00,              // mov dword [r8+0x20], 0x0
  0xc3,                                                        // ret
  // go:
  0x49, 0x8b, 0x43, 0x08,                                      // mov rax, qword [r11+0x8]
  0x48, 0x89, 0x82, 0xa8, 0x00, 0x00, 0x00,                    // mov qword [rdx+0xa8], rax
  0xc3,                                                        // ret
  // call:
  0x48, 0x8b, 0x9a, 0xa0, 0x00, 0x00, 0x00,                    // mov rbx, qword [rdx+0xa0]
  0x48, 0x8b, 0x03,                                            // mov rax, qword [rbx]
  0x49, 0x8b, 0x4b, 0x08,                                      // mov rcx, qword [r11+0x8]
  0x48, 0x89, 0x0b,                                            // mov qword [rbx], rcx
  0x48, 0x89, 0x82, 0xa8, 0x00, 0x00, 0x00,                    // mov qword [rdx+0xa8], rax
  0xc3,                                                        // ret
  // restorer:
  0xb8, 0x0f, 0x00, 0x00, 0x00,                                // mov eax, 0xf
  0x0f, 0x05,                                                  // syscall
);

/** Offset of the restorer: rt_sigreturn. */
export const RESTORER = 0x223;
