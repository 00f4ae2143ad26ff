// What a reader of the mail writes first, as a user of the installed package.
import { attach, launch } from "trapline";

export async function watch(command: readonly string[]): Promise<number> {
  await using target = await launch({ command });
  await using probe = await target.registerKprobe({
    symbolName: "strlen",
    offset: 0,
    maxfault: 64,
    preHandler(_p, regs, k) {
      if (
        k.ksetjmp(() => {
          k.record({ name: k.memory.string(regs.rdi) });
        }) !== 0
      ) {
        k.printf("yes, that was dodgy: %s\n", k.fault);
      }
    },
    postHandler(_p, _regs, _k) {},
    postOn: "completion",
    postFaultHandler(_p, _regs, _k, _fault) {},
    faultHandler(_p, _fault, _held) {},
  });
  await target.run();
  return probe.hits + probe.nmissed + probe.retries;
}

export async function attachTo(pid: number): Promise<void> {
  await using target = await attach({ pid });
  await using probe = await target.registerKprobe({
    symbolName: "strlen",
    // @ts-expect-error handlers are synchronous: returning a promise is a type error
    async preHandler() {
      await Promise.resolve();
    },
  });
  void probe;
}
