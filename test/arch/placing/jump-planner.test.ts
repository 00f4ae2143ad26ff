import assert from "node:assert/strict";
import { test } from "node:test";
import { ImageCode } from "../../../src/arch/x86_64/placing/image-code.js";
import { isTrapByte } from "../../../src/arch/x86_64/trampoline/trap-bytes.js";
import type { JumpPlan, JumpRefusal } from "../../../src/arch/x86_64/placing/jump-planner.js";
import { ElfImage } from "../../../src/symbols/elf/image.js";
import type { Vaddr } from "../../../src/symbols/vaddr.js";
import { build, needsGcc, temporaryFolder } from "../../symbols/build-programs.js";

const folder = temporaryFolder();

/** A function with a frame description; the next one begins at a multiple of 32, behind filler. */
function body(name: string, lines: string): string {
  return `
  .balign 32
  .globl ${name}
  .type ${name}, @function
${name}:
  .cfi_startproc
${lines}
  .cfi_endproc
  .size ${name}, . - ${name}
`;
}

/** As {@link body}, and nothing is filled in before it. */
const closeBody = (name: string, lines: string): string => body(name, lines).replace("  .balign 32\n", "");

function codeOf(name: string, assembly: string): { image: ElfImage; plan: (place: string) => JumpPlan } {
  const source = `  .text\n${assembly}\n  .section .note.GNU-stack,"",@progbits\n`;
  const image = ElfImage.open(build(folder, name, source, "assembler", "-shared", "-nostdlib"));
  const code = ImageCode.of(image);
  return { image, plan: (place) => code.plan(addressOf(image, place)) };
}

/** `name`, `name+3`. */
function addressOf(image: ElfImage, place: string): Vaddr {
  const [name = "", offset = "0"] = place.split("+");
  const [symbol] = image.symbolsNamed(name);
  assert.ok(symbol !== undefined, `${name} is there`);
  return (symbol.vaddr + Number(offset)) as Vaddr;
}

const reasonOf = (plan: JumpPlan): JumpRefusal | undefined =>
  plan.kind === "refused" ? plan.reason : undefined;

test("a jump stands at a function's entry, over as many whole instructions as it needs", needsGcc, () => {
  const { image, plan } = codeOf("entry", body("f", "push %rbp\nmov %rsp, %rbp\nsub $16, %rsp\nleave\nret"));
  const at = addressOf(image, "f");
  assert.deepEqual(plan("f"), {
    kind: "jump",
    start: at,
    length: 5,
    // push, mov, sub: 1, 3 and 4 bytes.
    displaced: [
      { at, length: 1 },
      { at: at + 1, length: 3 },
      { at: at + 4, length: 4 },
    ],
    inner: [1, 4],
    island: undefined,
  });
});

test("an instruction that a branch leads to is not overwritten", needsGcc, () => {
  const loop = body("f", "push %rbp\n1: mov %rsp, %rbp\ndec %edi\njne 1b\npop %rbp\nret");
  assert.equal(reasonOf(codeOf("loop", loop).plan("f")), "entered-inside");
  const elsewhere = `${body("f", "push %rbp\nf_inner: mov %rsp, %rbp\npop %rbp\nret")}${body("g", "jmp f_inner")}`;
  assert.equal(reasonOf(codeOf("elsewhere", elsewhere).plan("f")), "entered-inside");
});

test("an address in data, or in another instruction, is a way in", needsGcc, () => {
  const pointer = `${body("f", "push %rbp\n.Linner: mov %rsp, %rbp\npop %rbp\nret")}
  .data\n  .quad .Linner\n`;
  assert.equal(reasonOf(codeOf("pointer", pointer).plan("f")), "entered-inside");
  const taken = `${body("f", "push %rbp\n.Linner: mov %rsp, %rbp\npop %rbp\nret")}
  ${body("g", "lea .Linner(%rip), %rax\nret")}`;
  assert.equal(reasonOf(codeOf("taken", taken).plan("f")), "entered-inside");
});

/** What compilers make of a `switch`, with a label in the way of a jump. */
function switching(table: string): string {
  return body(
    "f",
    `push %rbp
.Lcase: mov %rsp, %rbp
  lea .Ltable(%rip), %rdx
  movslq (%rdx,%rdi,4), %rax
  ${table}
  jmp *%rax
.Lother: pop %rbp
  ret
  .section .rodata
.Ltable: .long .Lother - .Ltable, .Lcase - .Ltable
  .text`,
  );
}

test("a jump table is a way in to each of its cases", needsGcc, () => {
  assert.equal(reasonOf(codeOf("table", switching("add %rdx, %rax")).plan("f")), "entered-inside");
  const lea = switching("lea (%rdx,%rax), %rax");
  assert.equal(reasonOf(codeOf("table-lea", lea).plan("f")), "entered-inside");
});

test("distances from a label (computed goto) are ways in", needsGcc, () => {
  const source = body(
    "f",
    `push %rbp
.Lcase: mov %rsp, %rbp
  lea .Ltable(%rip), %rdx
  lea .Lother(%rip), %rcx
  movslq (%rdx,%rdi,4), %rax
  add %rcx, %rax
  jmp *%rax
.Lother: pop %rbp
  ret
  .section .rodata
.Ltable: .long .Lother - .Lother, .Lcase - .Lother
  .text`,
  );
  assert.equal(reasonOf(codeOf("labels", source).plan("f")), "entered-inside");
});

test("a function whose jumps are computed otherwise takes none", needsGcc, () => {
  const source = body("f", "push %rbp\nmov %rsp, %rbp\nlea 64(%rdi,%rdi,2), %rax\nimul $3, %rax\njmp *%rax");
  // No distances are loaded: whatever is multiplied there is an address that somebody gave.
  assert.equal(reasonOf(codeOf("computed", source).plan("f")), undefined);
  const distances = switching("imul $3, %rax\nadd %rsi, %rax");
  assert.equal(reasonOf(codeOf("distances", distances).plan("f")), "unknown-jumps");
});

test("a call does not come back into a jump", needsGcc, () => {
  const source = `${body("f", "call *%rdi\npush %rbp\npop %rbp\nret")}${closeBody("g", "call f\nret")}`;
  const { plan } = codeOf("calls", source);
  assert.equal(reasonOf(plan("f")), "return-inside");
  // Five bytes: it comes back behind the jump.
  assert.equal(reasonOf(plan("g")), undefined);
});

test(
  "a function that is shorter than a jump uses the room behind it, if nothing else begins there",
  needsGcc,
  () => {
    const roomy = codeOf("roomy", `${body("f", "xor %eax, %eax\nret")}${body("g", "ret")}`).plan("f");
    assert.ok(roomy.kind === "jump" && roomy.length === 5 && roomy.displaced.length === 2);
    const { plan } = codeOf("close", `${closeBody("f", "xor %eax, %eax\nret")}${closeBody("g", "ret")}`);
    assert.equal(reasonOf(plan("f")), "too-short");
  },
);

test("a return gives its place together with what always leads to it", needsGcc, () => {
  const source = body("f", "mov %edi, %eax\nadd $16, %rsp\npop %rbp\nret");
  const { image, plan } = codeOf("return", `${source}${closeBody("g", "ret")}`);
  const f = addressOf(image, "f");
  const found = plan("f+7");
  assert.ok(found.kind === "jump");
  assert.equal(found.start, f + 2);
  assert.deepEqual(
    found.displaced.map(({ at }) => at - f),
    [2, 6, 7],
  );
});

test("where two bytes are free a short jump leads to an island between functions", needsGcc, () => {
  const source = `${body("f", "test %edi, %edi\nje 1f\nmov $1, %eax\n1: pop %rbp\nret")}${closeBody("g", "ret\nret")}${body("h", "ret")}`;
  const { image, plan } = codeOf("island", source);
  const found = plan("f+10");
  assert.ok(found.kind === "jump" && found.length === 2, JSON.stringify(found));
  const g = addressOf(image, "g");
  assert.ok(found.island !== undefined && found.island >= g + 2 && found.island + 5 <= addressOf(image, "h"));
  // The second byte of the jump, where `ret` began, traps.
  assert.deepEqual(found.inner, [1]);
  assert.ok(isTrapByte(found.island - (found.start + 2)));
});

test(
  "of the room between functions only what a short jump can lead to with a byte that traps is an island",
  needsGcc,
  () => {
    const returns = "test %edi, %edi\nje 1f\nmov $1, %eax\n1: pop %rbp\nret";
    const source = `${body("f", returns)}${closeBody("g", "ret\nret")}${body("h", "ret")}`;
    const { plan } = codeOf("islands", source);
    const islands = [plan("f+10"), plan("f+10"), plan("f+10"), plan("f+10")].map((found) =>
      found.kind === "jump" ? found.island : undefined,
    );
    const given = islands.filter((island) => island !== undefined);
    assert.ok(given.length > 0 && given.length < islands.length, JSON.stringify(islands));
    given.forEach((island, index) => {
      for (const other of given.slice(index + 1))
        assert.ok(Math.abs(island - other) >= 5, "two islands overlap");
    });
  },
);

test("the middle of an instruction takes none", needsGcc, () => {
  const { plan } = codeOf("middle", body("f", "mov $1, %eax\nret"));
  assert.equal(reasonOf(plan("f+1")), "not-an-instruction");
});

test("an instruction that cannot run elsewhere is not overwritten", needsGcc, () => {
  const { plan } = codeOf("far", body("f", "nop\nnop\nnop\nlcall *(%rdi)\nret"));
  assert.equal(reasonOf(plan("f")), "not-displaceable");
});

test("what the unwinder does not know takes a jump at its entry alone", needsGcc, () => {
  const source = `
  .globl f
  .type f, @function
f: push %rbp
  mov %rsp, %rbp
  sub $16, %rsp
  leave
  ret
  .size f, . - f
`;
  const { plan } = codeOf("frameless", source);
  assert.equal(reasonOf(plan("f")), undefined);
  assert.equal(reasonOf(plan("f+9")), "no-frame");
});
