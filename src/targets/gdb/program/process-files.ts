import { fileNameOf } from "../../../base/file-name.js";
import { TargetGone } from "../../../base/errors.js";
import { parseMappings } from "../../mappings.js";
import { parseStat, StatusFields } from "../../process-status.js";
import type { Mapping, ThreadFacts, ThreadId } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";
import { HostFileError } from "../protocol/transfer.js";

/** Of the protocol's error numbers. GDB manual, "Errno Values". */
const ENOENT = 2;
const ESRCH = 3;
/** Field 39 of `/proc/TID/stat`, counted from field 3. */
const PROCESSOR = 39 - 3;

/** What `/proc` of the machine that the stub runs on says about processes. proc(5). */
export class ProcessFiles {
  constructor(private readonly client: GdbClient) {}

  /** @throws TargetGone no such process */
  mappings(process: number): Mapping[] {
    const path = `/proc/${process}/maps`;
    return parseMappings(fileNameOf(this.read(path)), path);
  }

  status(thread: ThreadId): StatusFields {
    const path = `/proc/${thread}/status`;
    return new StatusFields(this.read(path).toString("utf8"), path);
  }

  /** State, and more: see {@link parseStat}. */
  stat(thread: ThreadId): readonly string[] {
    const path = `/proc/${thread}/stat`;
    return parseStat(this.read(path).toString("utf8"), path);
  }

  /** Path of the program as the kernel shows it; `""` where it may not be seen. */
  executable(process: number): string {
    try {
      return this.client.files.readlink(`/proc/${process}/exe`);
    } catch (error) {
      if (error instanceof HostFileError) return "";
      throw error;
    }
  }

  /** A file as a process sees it. @throws TargetGone the process is gone @throws StubError it cannot be read */
  file(process: number, path: string): Buffer {
    return this.read(`/proc/${process}/root${path}`);
  }

  private read(path: string): Buffer {
    try {
      return this.client.files.read(path);
    } catch (error) {
      if (error instanceof HostFileError && (error.errno === ENOENT || error.errno === ESRCH))
        throw new TargetGone(`${path} is gone`, { cause: error });
      throw error;
    }
  }
}

/** What a script asks of a thread; what costs a question is asked when it is wanted. */
export class LazyFacts implements ThreadFacts {
  private kept: StatusFields | undefined;

  constructor(
    private readonly files: ProcessFiles,
    private readonly id: ThreadId,
    readonly process: number,
  ) {}

  get thread(): number {
    return this.id;
  }

  get parentProcess(): number {
    return this.status.number("PPid");
  }

  get processor(): number {
    return Number(this.files.stat(this.id)[PROCESSOR]);
  }

  get executable(): string {
    return this.files.executable(this.process);
  }

  get name(): string {
    return this.status.text("Name");
  }

  get user(): number {
    return this.status.number("Uid");
  }

  get group(): number {
    return this.status.number("Gid");
  }

  private get status(): StatusFields {
    return (this.kept ??= this.files.status(this.id));
  }
}
