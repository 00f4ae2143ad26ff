# The quick one of the two workloads: what it prints is the same every time.
mkdir -p /tmp/w && cd /tmp/w || exit 1
yes "all work and no play" | head -c 4m | md5sum
for i in 1 2 3 4 5 6 7 8; do mkdir -p tree/$i && echo $i | sha256sum >tree/$i/sum; done
find tree -type f | sort | xargs cat | md5sum; tar cf - tree | gzip | gunzip | tar tf - | wc -l
ln -s tree link && cp -a tree copy && mv copy other && diff -r tree other && echo alike; rm -r other tree link
seq 1 2000 | sort -rn | head -2; (exit 3) || echo "status $?"; sh -c 'kill -TERM $$'; echo "killed with $?"
cat /proc/meminfo /proc/stat /proc/self/maps /proc/mounts /proc/net/* >/dev/null 2>&1; ping -c 1 127.0.0.1 | grep -c 'bytes from'
mkfifo pipe; (cat pipe | wc -c) & seq 1 3000 >pipe; wait; rm -r pipe; sysctl -n kernel.ostype; ls | wc -l
