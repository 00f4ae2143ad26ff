# A program with a habit: it touches pages that are not there. Every Debian machine has what it needs.
use strict;
use warnings;
no warnings "portable";

$| = 1;

use constant { MMAP => 9, MUNMAP => 11, READ_WRITE => 3, PRIVATE_ANONYMOUS_FIXED => 0x32, SIZE => 4096 };
use constant { PAGE => 0x100000000000, NEVER_MAPPED => 8 };

sub text_at { return unpack("p", pack("Q", $_[0])) }

sub map_page {
    syscall(MMAP, $_[0], SIZE, READ_WRITE, PRIVATE_ANONYMOUS_FIXED, -1, 0) == $_[0] or die "mmap: $!\n";
}

# Like a garbage collector with a read barrier: the SIGSEGV handler brings the page, the load is tried
# again. It takes its time: in the second round the load is tried twice, in the third three times.
for my $round (1 .. 3) {
    my $signals = 0;
    local $SIG{SEGV} = sub { map_page(PAGE) if ++$signals == $round };
    my $text = text_at(PAGE);
    print "round $round: read '$text' after $signals SIGSEGV\n";
    syscall(MUNMAP, PAGE, SIZE);
}

# Like a language runtime that turns SIGSEGV into an exception: nothing is tried again.
for my $round (1 .. 3) {
    my $text = eval {
        local $SIG{SEGV} = sub { die "no text there\n" };
        text_at(NEVER_MAPPED);
    };
    print "exception $round: $@";
}

# And one that nobody handles: it ends as badly as it would have alone.
print "now without a handler\n";
text_at(NEVER_MAPPED);
print "not reached\n";
