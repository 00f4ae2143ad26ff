// Real programs, and what they are given to do. What they print is the same each time they run: where a program
// prints times or numbers of processes, its command leaves them out.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Material } from "./material.js";

/** A program that is run bare, and then with every function of it and of its libraries counted. */
export interface RealProgram {
  readonly name: string;
  /** Files that must be there, and the Debian packages that bring them. */
  readonly needs: Readonly<Record<string, string>>;
  /** The programs whose functions are counted: paths, or names in `$PATH`. */
  readonly probed: readonly string[];
  /** A place is disarmed after so many hits; 0: never. Where counting every call would take hours. */
  readonly maxHits: number;
  /** Done before, once: files for the command. */
  readonly prepare?: (folder: string) => void;
  /** A shell script. `$D` is a fresh folder of its own, in which it runs. */
  readonly script: (given: Material) => string;
}

const POSTGRES = "/usr/lib/postgresql/15/bin";
const COMPILER = "/usr/lib/gcc/x86_64-linux-gnu/12";

export const PROGRAMS: readonly RealProgram[] = [
  { name: "ls", needs: {}, probed: ["ls"], maxHits: 0, script: ({ tree }) => `ls -lR ${tree}` },
  { name: "sort", needs: {}, probed: ["sort"], maxHits: 10_000, script: ({ lines }) => `sort ${lines}` },
  { name: "bash", needs: {}, probed: ["bash"], maxHits: 10_000, script: ({ pipes }) => `bash ${pipes}` },
  { name: "perl", needs: {}, probed: ["perl"], maxHits: 10_000, script: ({ words }) => `perl ${words}` },
  {
    name: "tar and xz",
    needs: { "/usr/bin/xz": "xz-utils" },
    probed: ["tar", "xz"],
    maxHits: 10_000,
    script: ({ tree }) => `tar -C ${join(tree, "..")} --sort=name --mtime=@0 -cJf - tree | xz -d | cksum`,
  },
  {
    name: "python3",
    needs: { "/usr/bin/python3": "python3" },
    probed: ["/usr/bin/python3"],
    maxHits: 1000,
    prepare: writes(
      "program.py",
      `import sqlite3, subprocess, threading
results = []
def work(i):
    results.append(sum(x * x for x in range(2000 + i)))
threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(results))
print(subprocess.run(["sort", "-r"], input="a\\nb\\nc\\n", capture_output=True, text=True).stdout)
base = sqlite3.connect(":memory:")
base.execute("create table t (a integer, b text)")
base.executemany("insert into t values (?, ?)", [(i, str(i * 7 % 13)) for i in range(300)])
print(base.execute("select b, count(*), sum(a) from t group by b order by b").fetchall())
try:
    base.execute("select nothing")
except sqlite3.OperationalError as error:
    print(error)
`,
    ),
    script: () => "/usr/bin/python3 program.py",
  },
  {
    name: "node",
    needs: {},
    probed: [process.execPath],
    maxHits: 100,
    prepare: writes(
      "program.mjs",
      `import { gzipSync, gunzipSync } from "node:zlib";
import { createHash } from "node:crypto";
import { Worker, isMainThread } from "node:worker_threads";
import { execFileSync } from "node:child_process";
const text = Array.from({ length: 2000 }, (_, i) => i * 7919 % 1003).join(" ");
if (isMainThread) {
  console.log(createHash("sha256").update(gunzipSync(gzipSync(text))).digest("hex"));
  console.log(execFileSync("echo", ["from a child"]).toString());
  await new Promise((done) => new Worker(new URL(import.meta.url)).on("exit", done));
} else console.log(/9{2}/.exec(text)?.index);
`,
    ),
    script: () => `${process.execPath} program.mjs`,
  },
  {
    name: "git",
    needs: { "/usr/bin/git": "git" },
    probed: ["/usr/bin/git"],
    maxHits: 1000,
    script: () => `export HOME=$D GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
rm -rf r; git init -q -b main r; cd r; git config user.name n; git config user.email n@e
for i in 1 2 3 4 5; do seq $i 400 > f$i; git add .; git commit -qm "number $i"; done
git log --stat; git gc -q; git fsck; git log --oneline | cat`,
  },
  {
    name: "gcc",
    needs: { "/usr/bin/gcc": "gcc" },
    probed: ["/usr/bin/gcc", `${COMPILER}/cc1`, "/usr/bin/as", "/usr/bin/ld"],
    maxHits: 100,
    prepare: (folder: string): void => {
      const lines = Array.from({ length: 5000 }, (_, i) =>
        i % 5 === 0
          ? `int f${String(i)}(int a, int *b) { for (int i = 0; i < a; i++) *b += i ^ ${String(i)}; return *b; }`
          : `extern int v${String(i)};`,
      );
      writeFileSync(
        join(folder, "program.c"),
        `${lines.join("\n")}\nint main(void) { int b = 1; return f10(5, &b); }\n`,
      );
    },
    script: () =>
      `gcc -O1 -o program program.c; ./program; echo "status $?"; objdump -d program | tail -n +4 | cksum`,
  },
  {
    name: "g++ and exceptions",
    needs: { "/usr/bin/g++": "g++" },
    probed: ["/usr/bin/g++", `${COMPILER}/cc1plus`, "./program"],
    maxHits: 100,
    prepare: writes(
      "program.cc",
      `#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
struct Noisy { int n; ~Noisy() { std::cout << "~" << n << ' '; } };
int deep(int n) { Noisy here{n}; if (n == 0) throw std::runtime_error("bottom"); return deep(n - 1) + 1; }
int main() {
  try { deep(5); } catch (const std::exception &e) { std::cout << e.what() << '\\n'; }
  std::map<std::string, int> m;
  for (int i = 0; i < 200; i++) try { m.at(std::to_string(i % 7)); } catch (const std::out_of_range &) { m[std::to_string(i % 7)] = i; }
  for (auto &[k, v] : m) std::cout << k << '=' << v << '\\n';
  std::vector<std::thread> all;
  int caught[4] = {};
  for (int t = 0; t < 4; t++) all.emplace_back([t, &caught] { for (int i = 0; i < 50; i++) try { throw i; } catch (int) { caught[t]++; } });
  for (auto &t : all) t.join();
  std::cout << caught[0] + caught[1] + caught[2] + caught[3] << '\\n';
}
`,
    ),
    script: () => "g++ -O1 -pthread -o program program.cc; ./program",
  },
  {
    name: "java",
    needs: { "/usr/bin/java": "default-jre-headless", "/usr/bin/javac": "default-jdk-headless" },
    probed: ["/usr/bin/java"],
    maxHits: 20,
    prepare: writes(
      "Program.java",
      `import java.util.*;
import java.util.stream.*;
public class Program {
  static int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }
  public static void main(String[] args) throws Exception {
    System.out.println(IntStream.range(0, 5000).parallel().map(i -> i * 7 % 13).sum());
    Object nothing = args.length > 5 ? "" : null;
    int caught = 0;
    for (int i = 0; i < 2000; i++) try { nothing.hashCode(); } catch (NullPointerException e) { caught++; }
    System.out.println(caught);
    try { deep(10_000_000); } catch (StackOverflowError e) { System.out.println("overflow"); }
    List<Thread> all = new ArrayList<>();
    Map<Integer, Integer> sums = Collections.synchronizedMap(new TreeMap<>());
    for (int t = 0; t < 6; t++) { int n = t; Thread one = new Thread(() -> sums.merge(n % 3, n, Integer::sum)); all.add(one); one.start(); }
    for (Thread one : all) one.join();
    System.gc();
    System.out.println(sums);
  }
}
`,
    ),
    script: () => "[ -f Program.class ] || /usr/bin/javac Program.java; /usr/bin/java Program",
  },
  {
    name: "a Go program",
    needs: { "/usr/bin/go": "golang-go" },
    probed: ["./program"],
    maxHits: 1000,
    prepare: writes(
      "program.go",
      `package main
import ("fmt"; "os/exec"; "sort"; "strings"; "sync"; "time")
func fib(n int) int { if n < 2 { return n }; return fib(n-1) + fib(n-2) }
func safe(i int, p []int) (r int) { defer func() { if recover() != nil { r = -1 } }(); return p[i] }
func main() {
	var group sync.WaitGroup
	results := make(chan int, 64)
	for i := 0; i < 64; i++ { group.Add(1); go func(n int) { defer group.Done(); time.Sleep(time.Millisecond); results <- fib(n % 15) }(i) }
	group.Wait(); close(results)
	all := []int{}
	for r := range results { all = append(all, r) }
	sort.Ints(all); fmt.Println(all)
	out, err := exec.Command("echo", "from a child").Output()
	fmt.Println(strings.TrimSpace(string(out)), err, safe(5, []int{1}))
	var p *int
	func() { defer func() { fmt.Println(recover()) }(); fmt.Println(*p) }()
}
`,
    ),
    script: () =>
      "[ -x program ] || HOME=$D GOCACHE=$D/cache GO111MODULE=off GOFLAGS=-buildvcs=false go build -o program program.go; ./program",
  },
  {
    name: "sqlite3",
    needs: { "/usr/bin/sqlite3": "sqlite3" },
    probed: ["/usr/bin/sqlite3"],
    maxHits: 1000,
    script: () => `rm -f base; sqlite3 base "create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) insert into t select i, hex(i * 7919 % 10007) from n;
create index i on t(b); begin; delete from t where a % 3 = 0; rollback; vacuum;
select b, count(*) from t group by b having count(*) > 1 order by b limit 20; select sum(a), group_concat(b) from t where b like '3%'; pragma integrity_check"`,
  },
  {
    name: "redis under load",
    needs: { "/usr/bin/redis-server": "redis-server", "/usr/bin/redis-benchmark": "redis-tools" },
    probed: ["/usr/bin/redis-server"],
    maxHits: 1000,
    script:
      () => `rm -rf appendonlydir s; redis-server --unixsocket $D/s --port 0 --save '' --appendonly yes --dir $D >log & server=$!
until redis-cli -s s ping 2>&1 | grep -q PONG; do sleep 0.1; done
redis-benchmark -s s -n 3000 -c 20 -q -r 100 -t set,incr,lpush,lrange_100,zadd,mset > bench; echo "benchmark $?"; grep -ci error bench
redis-cli -s s eval 'for i = 1, 200 do redis.call("set", "n" .. i, i) end return redis.call("get", "n77")' 0
redis-cli -s s bgrewriteaof; redis-cli -s s get counter:__rand_int__ >/dev/null; redis-cli -s s mget n1 n100 n200
redis-cli -s s shutdown nosave; wait $server; echo "server $?"`,
  },
  {
    name: "nginx under load",
    needs: { "/usr/sbin/nginx": "nginx-light", "/usr/bin/wrk": "wrk" },
    probed: ["/usr/sbin/nginx"],
    maxHits: 1000,
    prepare: (folder: string): void => {
      writeFileSync(join(folder, "page"), "a page\n".repeat(2000));
      writeFileSync(
        join(folder, "nginx.conf"),
        `user root; worker_processes 2; pid ${folder}/pid; error_log ${folder}/errors; daemon off;
events { worker_connections 64; }
http { access_log off; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
server { listen unix:${folder}/socket; listen 127.0.0.1:18973; root ${folder}; gzip on; gzip_min_length 1; gzip_types *; } }
`,
      );
    },
    script: () => `/usr/sbin/nginx -c $D/nginx.conf -p $D & server=$!
until [ -S socket ]; do sleep 0.1; done; sleep 0.3
wrk -t1 -c8 -d2s http://127.0.0.1:18973/page > wrk; grep -c "Requests/sec" wrk; grep -iE "socket errors|non-2xx" wrk
curl -s http://127.0.0.1:18973/page | cksum; curl -s --compressed http://127.0.0.1:18973/page | cksum; curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:18973/none
kill -QUIT $server; wait $server; echo "server $?"; rm -f socket`,
  },
  {
    name: "PostgreSQL",
    needs: { [`${POSTGRES}/postgres`]: "postgresql" },
    probed: [`${POSTGRES}/postgres`, `${POSTGRES}/initdb`, `${POSTGRES}/pgbench`],
    maxHits: 100,
    script: () => `rm -rf data; chmod 777 .; as="setpriv --reuid 65534 --regid 65534 --clear-groups"
$as ${POSTGRES}/initdb -D $D/data -A trust -U me --no-sync >init; echo "initdb $?"
$as ${POSTGRES}/postgres -D $D/data -k $D -c listen_addresses= -c fsync=off >log 2>&1 & server=$!
for i in $(seq 100); do ${POSTGRES}/pg_isready -q -h $D && break; sleep 0.2; done
${POSTGRES}/pgbench -h $D -U me -i -q postgres >made 2>&1; echo "made $?"
${POSTGRES}/pgbench -h $D -U me -c 4 -j 2 -t 50 postgres >bench 2>&1; echo "pgbench $?"; grep -E "actually processed|failed" bench
${POSTGRES}/psql -h $D -U me -Atc 'select count(*) from pgbench_accounts; select count(*) from pgbench_history; select 1/0' postgres 2>&1
kill -TERM $server; wait $server; echo "server $?"`,
  },
];

function writes(name: string, text: string): (folder: string) => void {
  return (folder) => {
    writeFileSync(join(folder, name), text);
  };
}
