export { lab, type LabTargetOptions } from "./session/api/lab.js";
export { attach, gdb, launch, TracedTarget, type TargetOptions } from "./session/api/traced-target.js";
export type { Kprobe } from "./session/api/kprobe.js";
export { type FaultCounts, RegisteredProbe } from "./session/api/registered-probe.js";
export type { RegisterName } from "./arch/x86_64/registers.js";
export type { HandlerRegisters } from "./handlers/closures/handler-registers.js";
export type { HandlerKit, HandlerMemory, Held } from "./handlers/closures/kit.js";
export type { HitFacts } from "./handlers/closures/owner-side.js";
export type { InstructionFault } from "./probes/instruction-fault.js";
export type { ExitStatus } from "./targets/target.js";
export {
  MemoryFault,
  type MemoryFaultReason,
  ProbeRefused,
  TargetError,
  TargetGone,
  TraplineError,
  UsageError,
} from "./base/errors.js";
export type { Address } from "./base/address.js";
