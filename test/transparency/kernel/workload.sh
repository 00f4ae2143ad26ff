# What a guest does while its kernel is probed: all of busybox that enters other parts of the kernel. What it
# prints is the same every time: no process ids, times, addresses or counts.
mkdir -p /tmp/w && cd /tmp/w || exit 1
say() { echo "== $1"; }

say "checksum of ${MIB:=64} MiB"
yes "all work and no play" | head -c ${MIB}m | md5sum
seq 1 20000 >numbers && dd if=numbers of=copy bs=4k 2>/dev/null && sha256sum numbers copy
dd if=/dev/zero of=sparse bs=1 count=1 seek=1M 2>/dev/null && stat -c '%s' sparse
truncate -s 12345 sparse && wc -c <sparse

say "forks and pipes"
total=0
for i in $(seq 1 20); do total=$((total + $(echo $i | tr 0-9 1-90))); done
echo $total
seq 1 30 | while read -r n; do echo $((n * n)); done | sort -rn | head -3
(exit 3) || echo "status $?"
sh -c 'kill -TERM $$'; echo "killed with $?"
sh -c 'trap "echo trapped" USR1; kill -USR1 $$; echo on'
sleep 0.1 & wait $! && echo slept
yes | head -n 1000 | wc -l
mkfifo fifo; (cat fifo | wc -c) & head -c 100000 numbers >fifo; wait
nohup true >/dev/null 2>&1 && setsid true && echo began
timeout 0.2 sleep 5; echo "timed out: $?"
ulimit -n; ulimit -v

say "trees of files"
for d in a b c; do for e in 1 2 3; do mkdir -p tree/$d/$e; for f in x y z; do echo $d$e$f >tree/$d/$e/$f; done; done; done
find tree -type f | sort | xargs cat | md5sum
find tree -name 'x' -exec grep -l a {} + | sort
ln -s a/1/x tree/link && readlink tree/link && ln tree/b/2/y tree/hard && ls tree | tr '\n' ' ' && echo
chmod 640 tree/hard && chown 1:1 tree/hard && stat -c '%a %u %g %h' tree/hard
touch -d '2001-02-03 04:05:06' tree/hard && date -r tree/hard -u +%s
cp -a tree other && diff -r tree other && echo alike
mv other/a other/d && rm -r other/b && rmdir other/d/1 2>/dev/null; ls other | wc -l
mknod null c 1 3 && cat null | wc -c && mknod pipe p && test -p pipe && echo pipe
du -s tree >/dev/null && df / >/dev/null && sync && echo synced
cd tree && pwd -P && cd ..

say "archives"
tar cf all.tar tree && tar tf all.tar | wc -l && gzip -c all.tar | gunzip | cmp - all.tar && echo packed
tar czf all.tgz tree && mkdir out && tar xzf all.tgz -C out && diff -r tree out/tree && echo unpacked
bzip2 -c numbers | bunzip2 | md5sum
find tree | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null | wc -l

say "text"
awk '{ s += $1 } END { print s }' numbers; sort -rn numbers | head -1; sort numbers | uniq | wc -l
sed -n '5,7s/^/n/p' numbers; cut -c1 numbers | sort | uniq -c | awk '{ print $2, $1 }'
od -An -tx1 -N8 numbers; hexdump -C numbers | tail -1; base64 numbers | md5sum; rev numbers | tail -1; tac numbers | tail -1
expr 6 \* 7; printf '%05d\n' 42; echo 1,2 | tr , '\n' | paste -s -d+ 2>/dev/null

say "the kernel's own files"
for f in stat meminfo vmstat interrupts softirqs buddyinfo zoneinfo slabinfo pagetypeinfo diskstats partitions \
  mounts modules devices filesystems misc iomem ioports cpuinfo crypto locks timer_list sched_debug swaps version \
  consoles cmdline loadavg uptime kallsyms key-users keys execdomains fb dma; do cat /proc/$f >/dev/null 2>&1; done
for f in /proc/self/*; do [ -f "$f" ] && case $f in */clear_refs | */mem | */pagemap) ;; *) cat "$f" >/dev/null 2>&1 ;; esac; done
for f in /proc/net/*; do [ -f "$f" ] && cat "$f" >/dev/null 2>&1; done
ls -l /proc/self/fd /proc/self/ns /proc/self/map_files >/dev/null 2>&1; ls /proc/1/task /proc/sys/net/ipv4 >/dev/null
find /sys/class/ /sys/block/ /sys/bus /sys/devices /sys/module /sys/kernel/mm /sys/firmware /sys/fs /sys/power -type f \
  -perm -400 2>/dev/null | grep -v 'trace\|uevent_helper\|/bind$' | head -n 2500 | xargs cat >/dev/null 2>&1
sysctl -a >/dev/null 2>&1; sysctl -n kernel.ostype; sysctl -w vm.swappiness=61; sysctl -w kernel.panic=0
echo lab.example >/proc/sys/kernel/domainname && hostname other && hostname && hostname lab
ps -o pid,ppid,stat,comm >/dev/null; top -bn1 >/dev/null 2>&1; free >/dev/null; uptime >/dev/null; dmesg >/dev/null; lsmod >/dev/null
uname -s; nproc >/dev/null; id -u; whoami 2>/dev/null; tty; pstree >/dev/null 2>&1; lsof >/dev/null 2>&1; fuser /tmp >/dev/null 2>&1
renice -n 1 -p $$ >/dev/null 2>&1; ionice -c 3 true 2>/dev/null
cat /sys/kernel/debug/sched/debug /sys/kernel/debug/extfrag/* /sys/kernel/debug/clk/clk_summary >/dev/null 2>&1

say "mounts, users, name spaces"
mkdir -p m n && mount -t tmpfs -o size=4m tmpfs m && echo in >m/file && mount --bind m n && cat n/file && mount -o remount,ro m
echo no 2>/dev/null >m/other || echo read only; umount n && mount -o remount,rw m && dd if=/dev/zero of=m/full bs=64k 2>/dev/null; ls m/full; umount m
mount -t ramfs ramfs m && touch m/f && umount m; mount -t proc proc m && test -d m/1 && umount m && echo unmounted
mkdir -p root/bin && cp /bin/busybox root/bin && chroot root /bin/busybox echo in a root
unshare -m -u -i -n -p -f sh -c 'hostname inside; hostname; mount -t proc proc /proc; ls -d /proc/1' 2>/dev/null
unshare -n sh -c 'ifconfig lo 127.0.0.1 up; ip link show lo | grep -c UP'
setuidgid nobody true 2>/dev/null; mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
script -q -c 'tty >/dev/null; stty -a >/dev/null; echo in a terminal' /dev/null </dev/null 2>/dev/null | tr -d '\r'
mount -t cgroup2 cgroup2 m 2>/dev/null && mkdir m/c && echo $$ >m/c/cgroup.procs && cat m/c/* >/dev/null 2>&1; echo $$ >m/cgroup.procs && rmdir m/c && umount m && echo grouped

say "the network, inside"
ping -c 2 127.0.0.1 | grep -c 'bytes from'; ping6 -c 1 ::1 2>/dev/null | grep -c 'bytes from'; arping -c 1 -I lo 127.0.0.1 >/dev/null 2>&1
# Whoever is busy may take long to listen: the other side asks until it does.
ask() { n=0; until "$@" || [ $n -ge 100 ]; do n=$((n + 1)); sleep 0.1; done; }
# It says goodbye when its input ends, and the other side leaves then: its input does not end.
mkfifo hold; nc -l -p 4000 >got 8<>hold <&8 & head -c 100000 numbers >part; ask sh -c 'nc 127.0.0.1 4000 <part 2>/dev/null'; wait; wc -c <got
httpd -f -p 127.0.0.1:8080 -h /tmp/w & ask wget -q -O page http://127.0.0.1:8080/numbers 2>/dev/null; kill $!; wait 2>/dev/null; md5sum <page
nc -l -p 4002 -s ::1 >/dev/null 2>&1 & sleep 0.2; kill $! 2>/dev/null; nc -w 1 127.0.0.1 4003 </dev/null 2>/dev/null; echo "refused: $?"
for client in 'nslookup lab 127.0.0.1' 'ntpd -n -q -p 127.0.0.1' 'tftp -g -r x 127.0.0.1' 'udhcpc -f -n -q -t 1 -T 1 -i lo'; do timeout 0.5 $client >/dev/null 2>&1; done
ip addr add 10.9.8.7/24 dev lo && ip addr show lo | grep -c 10.9.8.7 && ip route add 10.1.0.0/16 via 10.9.8.1 2>/dev/null; ip route >/dev/null
ip route flush 10.1.0.0/16; ip addr del 10.9.8.7/24 dev lo; ip neigh show >/dev/null; ip rule list >/dev/null; ip -6 route >/dev/null 2>&1
ifconfig -a >/dev/null; route -n >/dev/null; netstat -an >/dev/null 2>&1; arp -a >/dev/null 2>&1; traceroute -m 2 127.0.0.1 >/dev/null 2>&1; brctl show >/dev/null 2>&1
syslogd -n -O log >/dev/null 2>&1 & ask test -S /dev/log; logger again; ask grep -q again log 2>/dev/null; kill $!; wait 2>/dev/null; grep -c again log; rm -f /dev/log

say "devices and modules"
for m in /w/*.ko; do [ -f "$m" ] && insmod "$m" && echo loaded; done; lsmod | grep -c dummy
ifconfig dummy0 10.4.4.4 up 2>/dev/null && ping -c 1 10.4.4.4 | grep -c 'bytes from'; ifconfig dummy0 down 2>/dev/null; rmmod dummy 2>/dev/null && echo unloaded
head -c 10000 /dev/urandom | wc -c; head -c 16 /dev/random | wc -c; cat /dev/null; echo x >/dev/full 2>/dev/null || echo full; echo hi >/dev/kmsg
dd if=/dev/zero bs=64k count=20 2>/dev/null | md5sum; hwclock >/dev/null 2>&1; mknod mem c 1 11 && dd if=/dev/mem of=/dev/null bs=1 count=1 skip=1 2>/dev/null
dd if=/dev/zero of=swap bs=1M count=2 2>/dev/null; mkswap swap >/dev/null 2>&1; swapon swap 2>/dev/null; swapoff -a 2>/dev/null
mkfs.ext2 swap >/dev/null 2>&1; losetup /dev/loop0 swap 2>/dev/null; losetup -d /dev/loop0 2>/dev/null; blkid >/dev/null 2>&1; fdisk -l >/dev/null 2>&1
fbset >/dev/null 2>&1
timeout 0.5 inotifyd - /tmp/w:n >/dev/null 2>&1 & sleep 0.2; touch noticed; wait
echo -n a >/proc/self/comm; sysctl -w vm.drop_caches=3 >/dev/null; sysctl -w vm.compact_memory=1 >/dev/null 2>&1
timeout 0.3 crond -f -c /tmp/w >/dev/null 2>&1; echo h >/proc/sysrq-trigger
mount -t debugfs debugfs m 2>/dev/null && umount m; mount -t securityfs s m 2>/dev/null && ls m >/dev/null && umount m; mount -t mqueue q m 2>/dev/null && touch m/q && umount m
rm -rf /tmp/w/*; cd /; ls /tmp/w | wc -l; say "the end"
