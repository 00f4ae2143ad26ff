# Reads texts at four addresses, two of which are not there, and comes through, because it expects that.
# PERL_SIGNALS=unsafe is for the handler: it must run at once, not when the faulting load is done.
use strict;
use warnings;
no warnings "portable";

if (($ENV{PERL_SIGNALS} // "") ne "unsafe") {
    $ENV{PERL_SIGNALS} = "unsafe";
    exec $^X, $0 or die "exec: $!\n";
}
my @places = (\"first", 8, \"second", 16);
for my $place (@places) {
    my $address = ref $place ? unpack("J", pack("p", $$place)) : $place;
    my $text = eval {
        local $SIG{SEGV} = sub { die "not there\n" };
        unpack("p", pack("J", $address));
    };
    print defined $text ? "read $text\n" : "lost: $@";
}
