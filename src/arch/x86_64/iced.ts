import { createRequire } from "node:module";
import type * as Iced from "iced-x86";

/**
 * The instruction library, loaded with `require`: it is one large CommonJS file, and importing it
 * would have Node scan it for names first, which takes twice as long as running it (74 ms and 30 ms
 * at start-up).
 */
const iced = createRequire(import.meta.url)("iced-x86") as typeof Iced;

// Values and types under one name each, as the library's own module has them.
export const Code = iced.Code;
export type Code = Iced.Code;
export const CpuidFeature = iced.CpuidFeature;
export type CpuidFeature = Iced.CpuidFeature;
export const Decoder = iced.Decoder;
export type Decoder = Iced.Decoder;
export const DecoderError = iced.DecoderError;
export type DecoderError = Iced.DecoderError;
export const DecoderOptions = iced.DecoderOptions;
export type DecoderOptions = Iced.DecoderOptions;
export const EncodingKind = iced.EncodingKind;
export type EncodingKind = Iced.EncodingKind;
export const FlowControl = iced.FlowControl;
export type FlowControl = Iced.FlowControl;
export const Instruction = iced.Instruction;
export type Instruction = Iced.Instruction;
export const MemorySize = iced.MemorySize;
export type MemorySize = Iced.MemorySize;
export const Mnemonic = iced.Mnemonic;
export type Mnemonic = Iced.Mnemonic;
export const OpKind = iced.OpKind;
export type OpKind = Iced.OpKind;
export const Register = iced.Register;
export type Register = Iced.Register;
export const RegisterExt = iced.RegisterExt;
