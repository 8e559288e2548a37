#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Run a libFuzzer target until it has reached a plateau: FUZZ_SECONDS at least
# and until no edge was new for the last half of the time, FUZZ_SECONDS_MAX at
# most.  Prints one line:
#
#     email          4100000 executions  119 edges  120 s  last new at 31 s
#
#     t/fuzz/run.pl build/fuzz/fuzz_email new-inputs seeds...
#
# What it finds stays beside the program; the exit status is not 0 then.

use v5.10.1;
use strict;
use warnings;

use IO::Select;
use Time::HiRes qw(time);

$| = 1;

my ($program, @corpora) = @ARGV;
my ($name) = $program =~ m{fuzz_(\w+)$} or die "usage: $0 build/fuzz/fuzz_...";
my $least = $ENV{FUZZ_SECONDS} || 60;
my $most = $ENV{FUZZ_SECONDS_MAX} || 10 * $least;

my $begin = time;
my ($edges, $last, $told, $text) = (0, 0, 0, '');
my @tail;

my $pid = open my $out, '-|';
defined $pid or die "fork: $!";

if (!$pid) {
    open STDERR, '>&', \*STDOUT or die "$!";
    exec $program, '-timeout=5', '-print_final_stats=1', '-rss_limit_mb=1024',
         "-artifact_prefix=$program-", @corpora;
    die "$program: $!";
}

my $select = IO::Select->new($out);

while (1) {
    my $now = time - $begin;

    if (!$told && $now >= $least && ($now - $last >= $now / 2 || $now >= $most))
    {
        kill 'USR1', $pid;
        $told = 1;
    }

    next if !$select->can_read(0.5);
    sysread $out, $text, 65536, length $text or last;

    while ($text =~ s/\A(.*)\n//) {
        my $line = $1;
        push @tail, $line;
        shift @tail if @tail > 60;

        if ($line =~ /\bcov: (\d+)/ && $1 > $edges) {
            $last = $edges ? time - $begin : 0;
            $edges = $1;
        }
    }
}

close $out;
my $status = $?;
my ($units) = "@tail" =~ /number_of_executed_units:\s*(\d+)/;

if ($status != 0 || !$units) {
    print join "\n", @tail, '';
    print "$name: found something, or did not run ($status)\n";
    exit 1;
}

printf "%-12s %11d executions %5d edges %6d s, the last new at %d s\n", $name,
       $units, $edges, time - $begin, $last;
