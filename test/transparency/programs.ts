// Programs that nobody here wrote, as data: what each needs, how it is prepared, what it runs.

/** A program that is run bare and then with every function of it and of its libraries counted. */
export interface RealProgram {
  readonly name: string;
  /** Commands without which it is left out. */
  readonly needs: readonly string[];
  /**
   * The executables whose functions are counted: commands, absolute paths, or `$(a shell command that
   * prints the path)`. `$W` is the program's folder.
   */
  readonly counted: readonly string[];
  /** In bash, once, before the bare run; not traced. */
  readonly prepare?: string;
  /** In bash, with `$W` as the current folder, once bare and once probed: what it prints and its status are compared. */
  readonly run: string;
  /** What the bare output must match (flags `m`): a program that fails bare is left out, not called equal. */
  readonly prints: string;
  /** Patterns (flags `gm`) of what differs between two bare runs; they are taken out of the output. */
  readonly differs?: readonly string[];
  /** Hits of one function after which its probe is unregistered, where 10,000 take too long. */
  readonly mostHits?: number;
  /** Probed it may take so long, seconds. */
  readonly budget: number;
  /** Quick enough to be chosen in `npm test`. */
  readonly quick?: true;
}

export const PROGRAMS: readonly RealProgram[] = [
  {
    name: "ls",
    prints: "^tree/c/9:$",
    needs: ["ls"],
    counted: ["ls"],
    prepare: "mkdir -p tree/{a,b,c}/{1..9}; for f in tree/*/*; do seq 20 > $f/x; ln -s x $f/y; done",
    run: "ls -lR tree; ls nothing-there",
    budget: 60,
    quick: true,
  },
  {
    name: "sort",
    prints: "^0$",
    needs: ["sort"],
    counted: ["sort"],
    prepare: "seq 1 20000 | awk '{ print $1 * 7919 % 100003, \"line\" }' > lines",
    run: "sort --parallel=4 -S 1M lines; echo $?; sort -c lines",
    budget: 120,
    quick: true,
  },
  {
    name: "bash",
    prints: "trapped$",
    needs: ["bash"],
    counted: ["bash"],
    run: `bash -c 'for i in {1..20}; do echo $i $((i*i)) | cat | tr 0-9 a-j; done
f() { local n=$1; [ $n -le 0 ] || { printf %s, $n; f $((n-1)); }; }; f 50
trap "echo trapped" USR1; kill -USR1 $$; (exit 3) || echo $?; exit 7'`,
    budget: 120,
    quick: true,
  },
  {
    name: "perl",
    prints: "^late$",
    needs: ["perl"],
    counted: ["perl"],
    run: `perl -e 'my %n; $n{$_ % 97} .= chr(65 + $_ % 26) for 1 .. 2000;
print join(" ", map { "$_=" . length $n{$_} } sort keys %n), "\\n";
$SIG{ALRM} = sub { die "late\\n" }; eval { alarm 1; select undef, undef, undef, 30; }; print $@;
print qx(echo child), eval { die { code => 5 } } || $@->{code}; exit 4'`,
    budget: 120,
    quick: true,
  },
  {
    name: "tar+xz",
    prints: "tree/c/9/x$",
    needs: ["tar", "xz"],
    counted: ["tar", "xz"],
    prepare: "mkdir -p tree/{a,b,c}/{1..9}; for f in tree/*/*; do seq 200 > $f/x; ln -s x $f/y; done",
    run: "tar --sort=name --mtime=@0 -cJf - tree | tee out.tar.xz | sha256sum; tar -tJvf out.tar.xz",
    budget: 120,
    quick: true,
  },
  {
    name: "python3",
    prints: "division by zero",
    needs: ["/usr/bin/python3"],
    counted: ["/usr/bin/python3"],
    prepare: `cat > p.py <<'P'
import hashlib, sqlite3, subprocess, sys, threading
sums = [0] * 8
def work(i):
    for k in range(200): sums[i] += k * i
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sums, subprocess.run(["echo", "child"], capture_output=True).stdout)
db = sqlite3.connect(":memory:")
db.execute("create table t (a integer primary key, b text)")
db.executemany("insert into t (b) values (?)", [(hashlib.md5(str(i).encode()).hexdigest(),) for i in range(300)])
print(db.execute("select count(*), min(b), max(b) from t").fetchall())
try: 1 / 0
except ZeroDivisionError as e: print(e)
sys.exit(5)
P`,
    run: "/usr/bin/python3 -I p.py",
    budget: 300,
  },
  {
    name: "node",
    prints: "^42$",
    needs: ["/usr/bin/node"],
    counted: ["/usr/bin/node"],
    run: `/usr/bin/node -e 'const c = require("node:crypto");
console.log(c.createHash("sha256").update("x".repeat(1e5)).digest("hex"));
new (require("node:worker_threads").Worker)("require(\\"node:worker_threads\\").parentPort.postMessage(6 * 7)", { eval: true })
  .on("message", (m) => { console.log(m); setTimeout(() => process.exit(6), 10); })'`,
    mostHits: 100,
    budget: 400,
  },
  {
    name: "git",
    prints: "^packs: 1$",
    needs: ["git"],
    counted: ["git"],
    prepare: `git init -q r; cd r; git config user.name a; git config user.email a@b; git config gc.autoDetach false
for i in {1..12}; do seq $i 300 > f$((i % 4)); git add .; GIT_AUTHOR_DATE="@$i +0000" GIT_COMMITTER_DATE="@$i +0000" git commit -qm "c$i"; done; cd ..; cp -a r r0`,
    run: "rm -rf r; cp -a r0 r; cd r; git --no-pager log --stat --oneline; git gc --quiet; git fsck --no-progress; git count-objects -v | grep -v size",
    budget: 300,
  },
  {
    name: "gcc",
    prints: "^[0-9a-f]{64}",
    needs: ["gcc"],
    counted: ["gcc", "$(gcc -print-prog-name=cc1)", "as"],
    prepare: `for i in {1..1000}; do printf 'int f%d(int a)\\n{\\n  int b = a * %d + 1;\\n  return b ^ (a >> 2);\\n}\\n' $i $i; done > big.c; wc -l < big.c`,
    run: "gcc -O1 -c big.c -o big.o && sha256sum < big.o; echo 'int x = ;' > bad.c; gcc -c bad.c",
    mostHits: 1000,
    budget: 400,
  },
  {
    name: "g++",
    prints: "^\\d+ \\d+$",
    needs: ["g++"],
    counted: ["$W/e"],
    prepare: `cat > e.cc <<'P'
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
struct Guard { int &n; ~Guard() { ++n; } };
static int deep(int n, int &unwound) { Guard g{unwound}; if (n == 0) throw std::runtime_error("deep"); return deep(n - 1, unwound) + 1; }
int main() {
  int unwound = 0, caught = 0;
  for (int i = 0; i < 200; i++) { try { deep(i % 20, unwound); } catch (const std::exception &e) { caught += std::string(e.what()).size(); } }
  std::thread t([&] { try { throw 3; } catch (int k) { caught += k; } }); t.join();
  std::printf("%d %d\\n", unwound, caught); std::fflush(stdout);
  throw std::logic_error("not caught");
}
P
g++ -g -O1 e.cc -o e`,
    run: "ulimit -c 0; ./e",
    differs: ["^.*Aborted.*$"],
    budget: 120,
    quick: true,
  },
  {
    name: "java",
    prints: "^4000 50$",
    needs: ["java", "javac"],
    counted: ["$(readlink -f $(command -v java))"],
    prepare: `cat > J.java <<'P'
public class J { public static void main(String[] a) throws Exception {
  int[] n = {0}; Thread[] t = new Thread[4];
  for (int i = 0; i < 4; i++) { t[i] = new Thread(() -> { for (int k = 0; k < 1000; k++) synchronized (n) { n[0]++; } }); t[i].start(); }
  for (Thread x : t) x.join();
  int nulls = 0; String s = null;
  for (int i = 0; i < 50; i++) try { s.length(); } catch (NullPointerException e) { nulls++; }
  System.gc(); System.out.println(n[0] + " " + nulls); System.exit(8); } }
P
javac J.java`,
    run: "java -Xshare:auto -Xmx64m J",
    mostHits: 100,
    budget: 400,
  },
  {
    name: "go",
    prints: "nil pointer dereference",
    needs: ["go"],
    counted: ["$W/g"],
    prepare: `cat > g.go <<'P'
package main
import ("fmt"; "os"; "sync"; "runtime")
func main() {
  var w sync.WaitGroup; sums := make([]int, 50)
  for i := range sums { w.Add(1); go func(i int) { defer w.Done(); for k := 0; k < 50; k++ { sums[i] += k * i; runtime.Gosched() } }(i) }
  w.Wait(); runtime.GC()
  func() { defer func() { fmt.Println(recover()) }(); var p *int; *p = 1 }()
  fmt.Println(sums); os.Exit(9) }
P
GOCACHE=$W/cache GO111MODULE=off go build -o g g.go`,
    run: "./g",
    budget: 300,
  },
  {
    name: "sqlite3",
    prints: "^ok$",
    needs: ["sqlite3"],
    counted: ["sqlite3"],
    run: `rm -f d; sqlite3 d "create table t (a integer primary key, b); with recursive n(x) as (select 1 union all select x + 1 from n where x < 500) insert into t select x, hex(x * x) from n; create index i on t (b); select count(*), min(b), max(b) from t; pragma integrity_check; select nothing;"`,
    budget: 120,
    quick: true,
  },
  {
    name: "redis",
    prints: "^server 0$",
    needs: ["redis-server", "redis-benchmark", "redis-cli"],
    counted: ["redis-server"],
    run: `redis-server --port 0 --unixsocket $W/s --save '' --dir $W >log 2>&1 & p=$!
for i in {1..600}; do redis-cli -s $W/s ping >/dev/null 2>&1 && break; sleep 0.1; done
redis-benchmark -s $W/s -n 500 -c 10 -q -t set,get,lpush,incr,mset | tr '\\r' '\\n' | grep -o '^[A-Z]*.*requests per second' | sed 's/:.*//' | sort -u
redis-cli -s $W/s incr counter:__rand_int__ ; redis-cli -s $W/s llen mylist; redis-cli -s $W/s shutdown nosave; wait $p; echo "server $?"`,
    mostHits: 1_000,
    budget: 300,
  },
  {
    name: "nginx",
    prints: "^404$",
    needs: ["nginx", "wrk", "curl"],
    counted: ["nginx"],
    prepare: `seq 1000 > index.html; port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'); echo $port > port
cat > c <<P
daemon off; user root; pid $W/pid; error_log $W/e; worker_processes 2; events {} http { access_log off; server { listen 127.0.0.1:$port; root $W; } }
P
chmod 755 $W; grep -q . port`,
    run: `nginx -c $W/c -e $W/e & p=$!; u=http://127.0.0.1:$(cat port)/
for i in {1..600}; do curl -s $u >/dev/null && break; sleep 0.1; done
wrk -t1 -c4 -d2s $u | grep -cE 'requests in'; wrk -t1 -c4 -d1s $u | grep -E 'Non-2xx|Socket errors' || echo 'no errors'
curl -s $u | sha256sum; curl -s -o /dev/null -w '%{http_code}\\n' \${u}none; kill -QUIT $p; wait $p; echo "server $?"`,
    mostHits: 1_000,
    budget: 300,
  },
  {
    name: "postgres",
    prints: "^100$",
    needs: ["setpriv", "/usr/lib/postgresql", "pgbench"],
    counted: [
      "$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -1)",
      "$(ls -d /usr/lib/postgresql/*/bin/postgres | tail -1)",
    ],
    prepare: "mkdir -p d; chmod 711 $W $W/..; chown 65534 d",
    run: `b=$(ls -d /usr/lib/postgresql/*/bin | tail -1); as="setpriv --reuid=65534 --regid=65534 --clear-groups"; cd d; rm -rf db
$as $b/initdb -D $W/d/db -A trust -U u --no-sync --no-instructions --locale=C >/dev/null; echo "initdb $?"
$as $b/postgres -D $W/d/db -k $W/d -c listen_addresses= -c fsync=off >log 2>&1 & p=$!
for i in {1..900}; do psql -h $W/d -U u -c 'select 1' postgres >/dev/null 2>&1 && break; sleep 0.1; done
pgbench -h $W/d -U u -i -q postgres >/dev/null 2>&1; echo "init $?"
pgbench -h $W/d -U u -c 4 -t 25 postgres 2>&1 | grep -E 'processed|failed'; psql -h $W/d -U u -Atc 'select count(*) from pgbench_history' postgres
kill -INT $p; wait $p; echo "server $?"`,
    mostHits: 100,
    budget: 500,
  },
];
