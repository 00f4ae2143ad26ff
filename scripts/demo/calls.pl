# Calls getppid ARGUMENT times and prints the nanoseconds that one took.
use strict;
use warnings;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($calls) = @ARGV;
my $sum = 0;
my $start = clock_gettime(CLOCK_MONOTONIC);
$sum += getppid() for 1 .. $calls;
printf "%.0f\n", 1e9 * (clock_gettime(CLOCK_MONOTONIC) - $start) / $calls;
