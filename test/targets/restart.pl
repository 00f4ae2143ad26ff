# Opens a fifo, is interrupted twice by a signal, and opens it. The call is restarted by the kernel, or with
# the argument `EINTR` by the program itself.
use strict;
use warnings;
use Errno;
use POSIX qw(SIGALRM SA_RESTART mkfifo);
use Time::HiRes qw(ualarm sleep);

my $fifo = "/tmp/trapline-fifo-$$\0";
mkfifo(substr($fifo, 0, -1), 0600) or die "mkfifo: $!\n";
my $signals = 0;
my $action = POSIX::SigAction->new(sub { ualarm(60_000) if ++$signals < 2 }, POSIX::SigSet->new, @ARGV ? 0 : SA_RESTART);
$action->safe(0);
POSIX::sigaction(SIGALRM, $action);
my $child = fork;
if ($child == 0) {
    select undef, undef, undef, 0.01 until -e substr($fifo, 0, -1);
    sleep 0.4;
    open my $writing, ">", substr($fifo, 0, -1) or die "open: $!\n";
    exit 0;
}
ualarm(60_000);
my $descriptor;
do { $descriptor = syscall(2, $fifo, 0) } while $descriptor < 0 and $!{EINTR};
print "opened: ", ($descriptor >= 0 ? "yes" : $!), " after $signals signals\n";
waitpid $child, 0;
unlink substr($fifo, 0, -1);
