import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../src/base/address.js";
import { ImageCode } from "../../src/arch/x86_64/placing/image-code.js";
import { jumpBytes, JumpTargets } from "../../src/arch/x86_64/trampoline/jump-bytes.js";
import { TrampolineSpace } from "../../src/arch/x86_64/trampoline/trampoline-space.js";
import { isTrapByte } from "../../src/arch/x86_64/trampoline/trap-bytes.js";
import { planTrampoline } from "../../src/arch/x86_64/trampoline/trampoline.js";
import { ElfImage } from "../../src/symbols/elf/image.js";
import { libcPath } from "./text-section.js";

const BIAS = 0x7f12_3456_7000;
const HANDLER = 60;
const MIB = 2 ** 20;

void test("all of the C library's functions that can have a jump at their entry have a trampoline, and few pages do", (t) => {
  const image = ElfImage.open(libcPath());
  const code = ImageCode.of(image);
  const space = new TrampolineSpace({ dataLength: MIB });
  const at = (vaddr: number): Address => (BIAS + vaddr) as Address;
  const mapped = [{ start: at(0), end: at(4 * MIB) }];
  let entries = 0;
  let jumps = 0;
  let stubs = 0;
  let constrained = 0;
  for (const { start } of code.functions) {
    entries++;
    const site = code.plan(start);
    if (site.kind === "refused") continue;
    const instructions = site.displaced.map((each) => ({
      at: at(each.at),
      bytes: image.bytesAt(each.at as typeof start, each.length),
    }));
    const probed = site.displaced.findIndex((each) => each.at === start);
    const plan = planTrampoline({ instructions, probed, hasShadowStack: false });
    assert.ok(
      plan.kind !== "refused",
      `0x${start.toString(16)}: ${plan.kind === "refused" ? plan.reason : ""}`,
    );
    const room = plan.room(HANDLER);
    const starts = plan.starts(room);
    assert.ok(starts !== undefined);
    // From an island, which nobody ever stood in, a jump may lead anywhere.
    const [jump, inner] = site.island === undefined ? [at(site.start), site.inner] : [at(site.island), []];
    const near = offsetBy(jump, -(2 ** 30));
    const place = space.reserve({ room, targets: new JumpTargets(jump, 5, inner), starts, near }, mapped);
    assert.ok(place, `0x${start.toString(16)}: no room, old instructions at ${inner.join(",")}`);
    const bytes = jumpBytes(jump, 5, place.entry);
    for (const offset of inner) assert.ok(isTrapByte(bytes[offset] as number));
    const built = plan.build(place.body, HANDLER);
    assert.ok(built.kind === "trampoline" && built.bytes.length <= room);
    jumps++;
    if (place.entry !== place.body) stubs++;
    if (inner.length > 0) constrained++;
  }
  const pages =
    space.areas.reduce((sum, { kind, start, end }) => sum + (kind === "code" ? end - start : 0), 0) / 4096;
  t.diagnostic(
    `${String(entries)} entries, ${String(jumps)} jumps, ${String(constrained)} with bytes that trap, ` +
      `${String(stubs)} stubs, ${String(pages)} pages`,
  );
  assert.ok(jumps > 0.97 * entries, "too few can have a jump");
  assert.ok(pages < 500);
});
