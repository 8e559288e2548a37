package OtpReg::Stats;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Whether two samples can come from one distribution.
#
# ks_test(\@x, \@y)    Kolmogorov-Smirnov: (p, D), by the asymptotic
#                      distribution with Stephens' correction; it sees
#                      differences of any kind
# mw_test(\@x, \@y)    Mann-Whitney: (p, z), by the normal approximation with
#                      the corrections for ties and for continuity; it sees
#                      shifts, and smaller ones
# quantile(\@x, $q)    of a sample, 0 <= q <= 1
#
# p is two-sided: how often samples of one distribution differ so much.  The
# approximations are good from some 20 values each.

use v5.10.1;
use strict;
use warnings;

use POSIX ();
use Exporter 'import';

our @EXPORT = qw(ks_test mw_test quantile);

sub ks_test {
    my ($x, $y) = @_;

    my @x = sort { $a <=> $b } @$x;
    my @y = sort { $a <=> $b } @$y;
    my ($i, $j, $d) = (0, 0, 0);

    while ($i < @x && $j < @y) {
        my $value = $x[$i] < $y[$j] ? $x[$i] : $y[$j];

        $i++ while $i < @x && $x[$i] <= $value;
        $j++ while $j < @y && $y[$j] <= $value;

        my $distance = abs($i / @x - $j / @y);
        $d = $distance if $distance > $d;
    }

    my $n = sqrt(@x * @y / (@x + @y));

    return (ks_p(($n + 0.12 + 0.11 / $n) * $d), $d);
}

# 2 sum (-1)^(k-1) exp(-2 k^2 t^2), which does not converge near 0

sub ks_p {
    my ($t) = @_;

    return 1 if $t < 0.2;

    my $p = 0;
    $p += ($_ % 2 ? 2 : -2) * exp(-2 * $_ ** 2 * $t ** 2) for 1 .. 100;

    return $p < 0 ? 0 : $p > 1 ? 1 : $p;
}

sub mw_test {
    my ($x, $y) = @_;

    my ($nx, $ny) = (scalar @$x, scalar @$y);
    my $n = $nx + $ny;
    my @all = sort { $a->[0] <=> $b->[0] }
              (map { [$_, 1] } @$x), (map { [$_, 0] } @$y);
    my ($rank_sum, $ties, $i) = (0, 0, 0);

    while ($i < $n) {
        my $j = $i;
        $j++ while $j < $n && $all[$j][0] == $all[$i][0];

        my $mine = grep { $_->[1] } @all[$i .. $j - 1];
        my $tied = $j - $i;

        $rank_sum += $mine * ($i + 1 + $j) / 2;
        $ties += $tied ** 3 - $tied;
        $i = $j;
    }

    my $u = $rank_sum - $nx * ($nx + 1) / 2;
    my $variance = $nx * $ny / 12 * ($n + 1 - $ties / ($n * ($n - 1)));
    my $distance = abs($u - $nx * $ny / 2) - 0.5;

    return (1, 0) if $variance <= 0 || $distance <= 0;

    my $z = $distance / sqrt($variance);

    return (POSIX::erfc($z / sqrt 2), $z);
}

sub quantile {
    my ($x, $q) = @_;

    my @x = sort { $a <=> $b } @$x;

    return $x[int($q * $#x + 0.5)];
}

1;
