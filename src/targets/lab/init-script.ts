import { TargetError } from "../../base/errors.js";

/**
 * What the guest's serial ports are for, by their number. A port's interrupt is asked for when it is opened and given
 * up when it is closed, and Linux has a race there between two processors: one that still deals with an interrupt of
 * before takes the new one for nobody's, for ever ("No irq handler for vector", and the port is dead; mended by
 * "x86/irq: Plug vector setup race", of 2025). So each is opened once.
 */
export const PORTS = { console: 0, output: 1, error: 2, control: 3 } as const;

/**
 * The first program of the guest, for busybox's shell. It mounts what a program expects, loads modules and
 * then does what the control port says, a line a time:
 *
 * - `text =WORDS`: a piece of a command, behind those that came before, as `printf %b` reads it. The answer is
 *   `taken`. (What waits to be read of a terminal may be lost beyond 64 KiB: pieces are short.)
 * - `load`: gets the command ready. The answer is `loaded PID`: the process stands before its exec, so that
 *   nothing of the preparation is seen by probes that are armed now. Its output goes through pipes; with
 *   `load-terminal` it goes to the port itself.
 * - `go`: lets it go. When it has ended, its two outputs end with the mark, and `exited STATUS` is told.
 * - `end`: powers the machine off.
 *
 * @param mark    ends the outputs of a command, in band: nothing is in flight behind it
 * @param modules names, in the order they are loaded in
 */
export function initScript(mark: string, modules: readonly string[]): string {
  return `#!/bin/sh
export PATH=/bin HOME=/ TERM=linux
umask 022
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
ifconfig lo 127.0.0.1 up 2>/dev/null
hostname lab
give_up() {
  echo "trapline: $1"
  poweroff -f
}
# Opened once and for good, and by nobody before: see PORTS. Where that fails the shell ends.
trap 'give_up "the guest has not all of its serial ports: its kernel needs CONFIG_SERIAL_8250"' EXIT
exec 3<>/dev/ttyS${PORTS.control} 4>/dev/ttyS${PORTS.output} 5>/dev/ttyS${PORTS.error}
trap - EXIT
for port in ${PORTS.output} ${PORTS.error} ${PORTS.control}; do stty -F /dev/ttyS$port raw -echo; done
for module in ${modules.join(" ")}; do
  insmod "/lib/modules/$module.ko" || give_up "the module $module cannot be loaded"
done
copy() {
  cat <"/run/lab/$1" >"$2"
  printf %s ${mark} >"$2"
}
text=
load() {
  mkdir -p /run/lab
  rm -f /run/lab/*
  mkfifo /run/lab/go /run/lab/output /run/lab/error
  output=/dev/ttyS${PORTS.output}
  error=/dev/ttyS${PORTS.error}
  if [ "$1" = load ]; then
    copy output /dev/ttyS${PORTS.output} 3>&- 4>&- 5>&- &
    copy error /dev/ttyS${PORTS.error} 3>&- 4>&- 5>&- &
    output=/run/lab/output
    error=/run/lab/error
  fi
  {
    echo "loaded $(exec sh -c 'echo $PPID')" >&3
    read -r go </run/lab/go
    exec sh -c "$text" 3>&- 4>&- 5>&-
  } </dev/null >$output 2>$error &
  command=$!
  text=
}
echo ready >&3
# In a shell that has no children: one that ends meanwhile makes read begin anew, without what it had of the line.
while line=$(read -r line <&3 && printf %s "$line"); do
  verb=\${line%% *}
  case $verb in
    text)
      # Of its own a substitution ends before the last ends of lines.
      piece=$(printf %b. "\${line#*=}")
      text=$text\${piece%.}
      echo taken >&3
      ;;
    load | load-terminal)
      load $verb
      kind=$verb
      ;;
    go)
      echo >/run/lab/go
      wait $command
      status=$?
      if [ $kind = load-terminal ]; then
        printf %s ${mark} >&4
        printf %s ${mark} >&5
      fi
      echo "exited $status" >&3
      ;;
    end)
      break
      ;;
  esac
done
poweroff -f
`;
}

const PIECE_BYTES = 2000;
/** What one argument of a program may have, with the zero behind it. Linux, MAX_ARG_STRLEN. */
const MOST_BYTES = 131_072;

/**
 * A command in pieces as `text` takes them.
 *
 * @throws TargetError it is too long to be an argument of a shell
 */
export function commandPieces(command: string): string[] {
  const bytes = Buffer.from(command, "utf8");
  if (bytes.length >= MOST_BYTES || bytes.includes(0))
    throw new TargetError(
      bytes.includes(0)
        ? "the guest's command has a zero byte, which no command can have"
        : `the guest's command has ${String(bytes.length)} bytes, and a shell takes no more than ${String(MOST_BYTES - 1)}`,
      { remedy: "Give it the guest as a file." },
    );
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    pieces.push(escaped(bytes.subarray(at, at + PIECE_BYTES)));
  return pieces;
}

/** Letters and digits as they are, every other byte in octal. */
function escaped(bytes: Uint8Array): string {
  return [...bytes]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9]/.test(letter) ? letter : `\\0${byte.toString(8).padStart(3, "0")}`;
    })
    .join("");
}
