# Opens three files: one that is there, one that is not, and one whose name cannot be read.
use strict;
use warnings;

my $open = 2;
my ($there, $missing, $flags) = ("/dev/null\0", "/nonexistent\0", 0);
for my $name ($there, $missing, 8) {
    my $descriptor = syscall($open, $name, $flags);
    print $descriptor >= 0 ? "opened\n" : "failed: $!\n";
}
