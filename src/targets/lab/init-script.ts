/** What the guest's serial ports are for, by their number. */
export const PORTS = { console: 0, output: 1, error: 2, control: 3 } as const;

/**
 * The first program of the guest, for busybox's shell. It mounts what a program expects, loads modules and
 * then does what the control port says, a line a time:
 *
 * - `load WORDS`: gets a command ready. WORDS is its text as `printf %b` reads it. The answer is
 *   `loaded PID`: the process stands before its exec, so that nothing of the preparation is seen by probes
 *   that are armed now. Its output goes through pipes; with `load-terminal` it goes to the port itself.
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
for port in ${PORTS.output} ${PORTS.error} ${PORTS.control}; do
  stty -F /dev/ttyS$port raw -echo || give_up "the guest has no serial port ttyS$port: its kernel needs CONFIG_SERIAL_8250"
done
exec 3<>/dev/ttyS${PORTS.control} 4>/dev/ttyS${PORTS.output} 5>/dev/ttyS${PORTS.error}
for module in ${modules.join(" ")}; do
  insmod "/lib/modules/$module.ko" || give_up "the module $module cannot be loaded"
done
copy() {
  cat <"/run/lab/$1" >"$2"
  printf %s ${mark} >"$2"
}
load() {
  mkdir -p /run/lab
  rm -f /run/lab/*
  mkfifo /run/lab/go /run/lab/output /run/lab/error
  text=$(printf %b "$2")
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
}
echo ready >&3
# In a shell that has no children: one that ends meanwhile makes read begin anew, without what it had of the line.
while line=$(read -r line <&3 && printf %s "$line"); do
  verb=\${line%% *}
  text=\${line#* }
  case $verb in
    load | load-terminal)
      load $verb "$text"
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

/** The text of a command as `printf %b` reads it: letters and digits as they are, every other byte in octal. */
export function escaped(command: string): string {
  return [...Buffer.from(command, "utf8")]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9]/.test(letter) ? letter : `\\0${byte.toString(8).padStart(3, "0")}`;
    })
    .join("");
}
