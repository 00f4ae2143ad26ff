# For gdb: steps through the functions of a program and writes, one line of JSON for each instruction,
# registers, memory, and what gdb takes the variables there for.
import json, gdb

FUNCTIONS = ("summed", "paired", "framed", "varied")
GENERAL = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()
MOST = 700

def numbers(prefix, value, deep, into):
    kind = value.type.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_CHAR):
        try:
            into.append([prefix, str(int(value))])
        except gdb.error:
            into.append([prefix, None])
    elif kind.code == gdb.TYPE_CODE_STRUCT and deep > 0:
        for field in kind.fields():
            if field.name:
                numbers(prefix + "->" + field.name, value[field], deep - 1, into)
    elif kind.code == gdb.TYPE_CODE_ARRAY and deep > 0:
        numbers(prefix + "[1]", value[1], deep - 1, into)

def variables():
    found = []
    frame = gdb.newest_frame()
    while frame is not None:
        block = frame.block()
        while block is not None and not block.is_global and not block.is_static:
            for symbol in block:
                if (symbol.is_variable or symbol.is_argument) and symbol.addr_class != gdb.SYMBOL_LOC_UNRESOLVED:
                    values = []
                    numbers(symbol.name, symbol.value(frame), 2, values)
                    found.append({"name": symbol.name, "function": frame.name(), "values": values})
            if block.function is not None:
                break
            block = block.superblock
        if frame.type() != gdb.INLINE_FRAME:
            break
        frame = frame.older()
    return found

def memory(start, length):
    return bytes(gdb.selected_inferior().read_memory(start, length)).hex()

def main():
    gdb.execute("set pagination off")
    gdb.execute("set disable-randomization on")
    for name in FUNCTIONS:
        gdb.execute("break *" + name)
    gdb.execute("run")
    data = [int(gdb.parse_and_eval("(long)&" + name)) for name in ("__bss_start", "_edata", "_end")]
    low, high = int(gdb.parse_and_eval("(long)&samples")) & ~0xfff, max(data)
    for _ in range(MOST):
        if gdb.selected_thread() is None:
            break
        frame = gdb.newest_frame()
        real = frame
        while real.type() == gdb.INLINE_FRAME:
            real = real.older()
        if real.name() not in FUNCTIONS:
            gdb.execute("stepi" if real.name() == "use" else "continue", to_string=True)
            continue
        registers = {name: str(int(gdb.parse_and_eval("(long)$" + name))) for name in GENERAL}
        sp = int(registers["rsp"])
        print("STEP " + json.dumps({
            "registers": registers,
            "memory": {str(sp - 512): memory(sp - 512, 1536), str(low): memory(low, high - low)},
            "variables": variables(),
        }))
        gdb.execute("stepi", to_string=True)

main()
