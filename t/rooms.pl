#!/usr/bin/perl
# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Prints what goes up between the rooms of src, a line each: a symbol that an
# object file of one room takes from a room above it, and an include line that
# does.  The module itself is known everywhere.
#
#     t/rooms.pl src build/nginx/.../objs/addon

use v5.10.1;
use strict;
use warnings;

my @rooms = qw(conf flow guard outbox base store mail core);
my %floor = map { $rooms[$_] => $_ } 0 .. $#rooms;

die "usage: $0 src objects\n" if @ARGV != 2;

my ($src, $objects) = @ARGV;

for my $dir ($src, $objects) {
    my ($other) = grep { !exists $floor{$_} } map { m{([^/]+)/$} }
        glob "$dir/*/";
    say "$dir/$other is no room" if defined $other;
    say "$_ is in no room" for glob "$dir/*.[cho]";
}


# include lines

my %room;       # of a header

for (glob "$src/*/*.h") {
    m{([^/]+)/([^/]+)$} and $room{$2} = $1;
}

for my $file (glob "$src/*/*.[ch]") {
    my ($here) = $file =~ m{([^/]+)/[^/]+$};

    open my $in, '<', $file or die "$file: $!\n";

    while (<$in>) {
        my ($header) = /^\s*#\s*include\s*"([^"]+)"/ or next;
        my $there = $room{$header} // next;
        say "$file:$. includes $header of $there"
            if $floor{$there} < $floor{$here};
    }
}


# symbols

my (%defined, %needed);

my @objects = glob "$objects/*/*.o";

say "$objects has no object files: run \"make build\" first" if !@objects;

for my $object (@objects) {
    my ($here, $name) = $object =~ m{([^/]+)/([^/]+)\.o$};

    open my $nm, '-|', 'nm', '-P', $object or die "nm: $!\n";

    while (<$nm>) {
        my ($symbol, $type) = split;
        $defined{$symbol} = $here if $type =~ /[TDBRC]/;
        push @{ $needed{$symbol} }, [$here, $name] if $type eq 'U';
    }
}

for my $symbol (sort keys %needed) {
    next if $symbol eq 'ngx_http_otpreg_module';

    my $there = $defined{$symbol} // next;

    for (@{ $needed{$symbol} }) {
        my ($here, $name) = @$_;
        say "$here/$name needs $symbol of $there"
            if $floor{$there} < $floor{$here};
    }
}
