package OtpReg::Hop;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# People of OtpReg::Load who go from node to node with each request: they
# register on one, type a wrong code on another as soon as they have the answer,
# the right one on a third, and the same once more on the first.
#
# OtpReg::Hop->start(%opt)   as OtpReg::Load
# stale(@ledger)      who was told that there is no such sign-up, or no code
#                     like that, by a node that had not heard of it yet
# unverified(@ledger) whose own code was not accepted at its first try, or
#                     was accepted again

use v5.10.1;
use strict;
use warnings;

use List::Util qw(shuffle);
use OtpReg::Load;

our @ISA = qw(OtpReg::Load);

sub start {
    my ($class, %opt) = @_;
    return $class->SUPER::start(%opt, kinds => { hop => 1 });
}

# the same for each try of one request

sub port { $_[0]{at} }

sub do_hop {
    my ($self, $n) = @_;
    my @ports = shuffle @{ $self->{ports} };

    $self->{at} = $ports[0];
    my $p = $self->register($self->person($n)) or return;

    $self->{at} = $ports[1];
    $self->verify($p, OtpReg::Load::wrong_code());

    my ($code) = $self->wait_codes($p) or return 'no message';
    $self->{at} = $ports[2 % @ports];
    my $error = $self->verify($p, $code);

    $self->{at} = $ports[0];
    $self->verify($p, $code);
    return $error || 'verified';
}

sub hops {
    my (@ledger) = @_;
    my %by_user;

    for (grep { $_->{e} eq 'verify' && $_->{status} && $_->{status} != 503 }
         @ledger)
    {
        push @{ $by_user{ $_->{u} } }, $_;
    }

    return \%by_user;
}

sub stale {
    my $hops = hops(@_);
    my @stale;

    for my $u (sort keys %$hops) {
        my ($wrong, $right) = @{ $hops->{$u} };
        push @stale, "$u: $_->{error}"
            for grep { $_ && $_->{error} && $_->{error} ne 'code_wrong' }
                $wrong, $right;
    }

    return @stale;
}

sub unverified {
    my (@ledger) = @_;
    my $hops = hops(@ledger);
    my @unverified;

    for my $u (sort map { $_->{u} } grep { $_->{e} eq 'register'
                                           && $_->{status} == 201 } @ledger)
    {
        my @said = map { "$_->{status} " . ($_->{error} // '') }
                   @{ $hops->{$u} // [] };
        my $said = join ', ', @said;
        push @unverified, "$u: $said"
            if $said !~ /^422 code_wrong, 200 , 4\d\d \w+$/
               || !$hops->{$u}[1]{own};
    }

    return @unverified;
}

1;
