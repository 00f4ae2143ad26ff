// Runtimes with stacks and signals of their own, beside those of programs.ts (go, java, node, threads of python).
import type { RealProgram } from "./programs.js";

export const RUNTIMES: readonly RealProgram[] = [
  {
    name: "greenlet",
    prints: "^finished 40$",
    needs: ["/usr/bin/python3", "/usr/lib/python3/dist-packages/greenlet"],
    counted: ["/usr/bin/python3"],
    prepare: `cat > g.py <<'P'
import signal, sys, threading
from greenlet import greenlet, getcurrent
ticks = 0
def tick(*_):
    global ticks
    ticks += 1
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
def deep(n, value):
    # Frames of C lie between: sorted() calls back into Python, which switches stacks.
    if n == 0: return getcurrent().parent.switch(value)
    return sorted([1], key=lambda _: deep(n - 1, value))[0]
def body(i):
    try:
        for k in range(20): deep(i % 7, i * k)
        if i % 5 == 0: raise KeyError(i)
    except KeyError as e: return -e.args[0]
    return i
def work(results):
    alive = [greenlet(body) for _ in range(10)]
    answers = [g.switch(i) for i, g in enumerate(alive)]
    while any(not g.dead for g in alive):
        for i, g in enumerate(alive):
            if not g.dead: answers[i] = g.switch()
    results.append(answers)
    g = greenlet(lambda: getcurrent().parent.switch()); g.switch()
    try: g.throw(ValueError("thrown in"))
    except ValueError as e: results.append(str(e))
results = []
threads = [threading.Thread(target=work, args=(results,)) for _ in range(3)]
[t.start() for t in threads]; [t.join() for t in threads]; work(results)
while ticks == 0: pass
signal.setitimer(signal.ITIMER_REAL, 0)
print(sorted(map(str, results))); print("finished", sum(len(r) for r in results if isinstance(r, list))); sys.exit(5)
P`,
    run: "/usr/bin/python3 -I g.py",
    budget: 300,
  },
  {
    name: "erlang",
    prints: "^killed$",
    needs: ["erl"],
    counted: ["$(ls /usr/lib/erlang/erts-*/bin/beam.smp)"],
    run: `export HOME=$W ERL_CRASH_DUMP=/dev/null
erl -noshell +S 2:2 -eval '
Self = self(),
Ring = fun(F, 0) -> Self ! done; (F, N) -> P = spawn(fun() -> receive go -> F(F, N - 1) end end), P ! go end,
Ring(Ring, 200), receive done -> io:format("ring~n") end,
Sums = [begin P = spawn(fun() -> Self ! {self(), lists:sum(lists:seq(1, N * 100))} end), receive {P, S} -> S end end || N <- lists:seq(1, 50)],
io:format("~p~n", [lists:sum(Sums)]),
io:format("~p~n", [catch 1 div list_to_integer("0")]),
io:format("~p~n", [erlang:md5(binary:copy(<<"x">>, 100000))]),
{P2, R} = spawn_monitor(fun() -> exit(killed) end), receive {_, R, process, P2, Why} -> io:format("~p~n", [Why]) end,
io:format("~s", [os:cmd("echo child")]),
timer:sleep(20), garbage_collect(), halt(6).'`,
    budget: 300,
    mostHits: 1000,
  },
];
