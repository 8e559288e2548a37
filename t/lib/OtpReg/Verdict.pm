package OtpReg::Verdict;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Whether what is in the database is what the clients were answered and what
# the providers accepted: see t/faults.t.
#
# OtpReg::Verdict->new(%opt)   reads the database and what the stand-ins got
#
#     ledger    [entries of OtpReg::Load]
#     proxies   [events of a proxy, ...] before the providers
#     kills     [[time, pid of a worker], ...]
#     log       the error logs of all nodes
#
#     signups   how many
#
# wrong($check)   a reference to a list, with a line for each thing that is
#                 wrong; the checks are the methods below
# answers()  breaks(@events)  figures()   for the reader

use v5.10.1;
use strict;
use warnings;

use Time::Local qw(timelocal);

use OtpReg::DB;
use OtpReg::Provider;
use OtpReg::SMTP;

# in nginx's configuration
my $Attempts = 5;

# between what a connection did and what was noted about it elsewhere, in s
my $Near = 5;

# a stand-in on a busy machine reads what has waited for so long, and nginx
# waits for an answer for so long
my $Slow = 30;
my $Wait = 2;

my $Gone = 'nobody waited any longer';

sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt }, $class;

    $self->read_database;
    $self->read_messages;
    $self->read_ledger;
    $self->read_log;
    return $self;
}

sub wrong {
    my ($self, $check) = @_;
    return $self->{wrong}{$check} //= [$self->$check];
}

sub read_database {
    my ($self) = @_;

    for (sql('SELECT id, username, COALESCE(email, phone), is_active,
              email_verified_at IS NOT NULL OR phone_verified_at IS NOT NULL,
              COALESCE(email_owner, phone_owner) FROM users'))
    {
        my %user;
        @user{qw(id name address active proved owner)} = @$_;
        push @{ $self->{users}{ $user{name} } }, \%user;
        $self->{user}{ $user{id} } = \%user;
    }

    for (sql('SELECT LOWER(HEX(id)), user_id, address, attempts,
              consumed_at IS NOT NULL FROM otps'))
    {
        my %otp;
        @otp{qw(id user address attempts consumed)} = @$_;
        push @{ $self->{otps}{ $otp{user} // '' } }, \%otp;
        push @{ $self->{otps_to}{ $otp{address} } }, \%otp;
        $self->{otp}{ $otp{id} } = \%otp;
    }

    for (sql('SELECT LOWER(HEX(id)), LOWER(HEX(otp_id)), address, attempts,
              sent_at IS NOT NULL, failed_at IS NOT NULL, last_error,
              due_at IS NOT NULL, UNIX_TIMESTAMP(expires_at) FROM messages'))
    {
        my %message;
        @message{qw(id otp address attempts sent failed error due end)} = @$_;
        $self->{messages}{ $message{id} } = \%message;
        $self->{otp}{ $message{otp} }{messages}{ $message{id} } = 1;
    }
}

# what was accepted, in order, by message

sub read_messages {
    my ($self) = @_;

    for (mails()) {
        my ($id) = ($_->{headers}{'message-id'} // '') =~ /^<(\w+)@/;
        $self->accepted($id, 0, $_->{time}, $_->{peer},
                        ($_->{text} // '') =~ /\b(\d{6})\b/, 1);
    }

    for (grep { $_->{answer} =~ /^(?:200|0)$/ } provider_requests()) {
        $self->accepted($_->{json}{message_id}, 1, $_->{time}, $_->{peer},
                        $_->{json}{code}, $_->{answer});
    }
}

sub accepted {
    my ($self, $id, $proxy, $time, $peer, $code, $answered) = @_;
    my %accepted = (id => $id, proxy => $proxy, time => $time,
                    peer => $peer // 0,
                    answered => $answered);

    push @{ $self->{accepted}{$id} }, \%accepted;

    # a port may serve again later
    push @{ $self->{by_peer}{$proxy}{ $peer // 0 } }, \%accepted;
    my $message = $self->{messages}{$id} or return;
    $self->{otp}{ $message->{otp} }{code} = $code;
}

sub read_ledger {
    my ($self) = @_;

    for my $entry (@{ $self->{ledger} }) {
        push @{ $self->{ $entry->{e} } }, $entry;
        push @{ $self->{by_user}{ $entry->{u} }{ $entry->{e} } }, $entry
            if defined $entry->{u};
    }
}

sub read_log {
    my ($self) = @_;

    my $line = qr/(\d+)\#\d+:.*otpreg: message (\w+) (sent|not sent|given up)/;

    while ($self->{log} =~ /$line/g) {
        push @{ $self->{said}{$2}{$3} }, $1;
    }

    # who waits no longer for a provider behind nginx answers 504

    $line = qr{^(\d+)/(\d+)/(\d+)\ (\d+):(\d+):(\d+)\ .*
               otpreg:\ message\ (\w+)\ (?:not\ sent|given\ up)
               .*the\ courier\ answered\ 504}mx;

    while ($self->{log} =~ /$line/g) {
        push @{ $self->{gone}{$7} }, timelocal($6, $5, $4, $3, $2 - 1, $1);
    }
}

sub unanswered { $_[0]{status} == 0 || $_[0]{status} == 503 }

# ----- answers and rows

sub unfinished {
    my ($self) = @_;
    my $n = @{ $self->{done} // [] };
    return $n == $self->{signups} ? () : "$n of $self->{signups}";
}

sub odd_answers {
    my ($self) = @_;

    my %allowed = (
        register => qr/^(?:201|503|0)$/,
        resend => qr/^(?:200|409|429|503|0)$/,
        verify => qr/^(?:200|409|422|503|0)$/,
    );

    my @odd = grep { $_->{status} !~ $allowed{ $_->{e} } }
              map { @{ $self->{$_} // [] } } sort keys %allowed;
    return map { "$_->{u}: $_->{e} $_->{status} " . ($_->{error} // '') } @odd;
}

# a decoy, of an address that is owned already, has an OTP only

sub lost_users {
    my ($self) = @_;
    my (%answered, %posts);

    for my $entry (grep { $_->{status} == 201 } @{ $self->{register} }) {
        $answered{user}{ $entry->{u} }++;
        $answered{address}{ $entry->{to} }++;
    }

    my @lost = grep { @{ $self->{otps_to}{$_} // [] }
                      < $answered{address}{$_} } keys %{ $answered{address} };
    push @lost, grep { !/[xyz]$/ && @{ $self->{users}{$_} // [] }
                                    < $answered{user}{$_} }
                keys %{ $answered{user} };
    return sort @lost;
}

sub double_users {
    my ($self) = @_;
    my @double;

    for my $name (keys %{ $self->{by_user} }) {
        my @posts = @{ $self->{by_user}{$name}{register} // [] };
        my $may = grep { $_->{status} == 201 || unanswered($_) } @posts;
        my $rows = @{ $self->{users}{$name} // [] };
        push @double, "$name: $rows rows, $may answers" if $rows > $may;
    }

    return sort @double;
}

# A sign-up with one OTP: the attempts are those that were answered, and of
# those that were not some.  The last one is told that the code is spent, and so
# are all that are not counted after it.  The right code counts once, and
# consumes.

sub burned_attempts {
    my ($self) = @_;
    my @burned;

    for my $name (keys %{ $self->{by_user} }) {
        my @users = @{ $self->{users}{$name} // [] };
        my @otps = map { @{ $self->{otps}{ $_->{id} } // [] } } @users;
        my @posts = @{ $self->{by_user}{$name}{verify} // [] };
        next if @otps != 1 || !defined $otps[0]{code};

        my @wrong = grep { $_->{code} ne $otps[0]{code} } @posts;
        my %said = map { ($_->{error} // '') => 1 } @wrong;
        my $told = grep { ($_->{error} // '') eq 'code_wrong' } @wrong;
        my $silent = grep { unanswered($_) } @wrong;
        my $n = $otps[0]{attempts} - $otps[0]{consumed};

        $told++ if $said{code_spent} && $told < $n;
        $self->{counted_silently} += $n - $told if $n > $told;
        push @burned, "$name: $n wrong attempts, told $told, silent $silent"
            if $n < $told || $n > $told + $silent;
    }

    return sort @burned;
}

sub twice_accepted {
    my ($self) = @_;
    my %n;
    $n{"$_->{u} $_->{c}"}++
        for grep { $_->{status} == 200 } @{ $self->{verify} };
    return grep { $n{$_} > 1 } sort keys %n;
}

sub above_limit {
    my ($self) = @_;
    return map { $_->{id} } grep { ($_->{attempts} // 0) > $Attempts }
           values %{ $self->{otp} };
}

sub inactive {
    my ($self) = @_;
    my %verified = map { $_->{u} => 1 } grep { $_->{status} == 200 }
                   @{ $self->{verify} };
    $self->{verified} = keys %verified;

    return grep {
        (grep { $_->{active} && $_->{proved} } @{ $self->{users}{$_} // [] })
        != 1
    } sort keys %verified;
}

# the right code is that of the OTP that was consumed, by its message

sub unproved {
    my ($self) = @_;
    my @unproved;

    for my $user (grep { $_->{active} || $_->{proved} }
                  values %{ $self->{user} })
    {
        my $posts = $self->{by_user}{ $user->{name} } or next;
        my ($otp) = grep { $_->{consumed} }
                    @{ $self->{otps}{ $user->{id} } // [] };

        $self->{active}++;
        push @unproved, $user->{name}
            if !$otp || !defined $otp->{code}
               || !grep { $_->{code} eq $otp->{code} && $_->{own}
                          && ($_->{status} == 200 || unanswered($_)) }
                   @{ $posts->{verify} // [] };
    }

    return sort @unproved;
}

sub owned_twice {
    my ($self) = @_;
    my %n;
    $n{$_->{owner}}++ for grep { defined $_->{owner} } values %{ $self->{user} };
    return grep { $n{$_} > 1 } sort keys %n;
}

# ----- messages

sub lost_messages {
    my ($self) = @_;
    my @lost;

    for my $id (sort keys %{ $self->{messages} }) {
        my $m = $self->{messages}{$id};
        my $accepted = @{ $self->{accepted}{$id} // [] };
        my $given_up = $self->{said}{$id}{'given up'};

        my $fine = $m->{sent} ? $accepted > 0
                   : $m->{failed} && ($m->{error} eq 'expired' || $given_up);
        push @lost, "$id of $m->{address}: sent $m->{sent}, failed $m->{failed}"
                    . ", accepted $accepted" if !$fine || $m->{due};
        $self->{given_up}++ if $m->{failed};
    }

    # a sign-up without a message, but for a decoy

    for my $otp (grep { defined $_->{user} } values %{ $self->{otp} }) {
        push @lost, "OTP $otp->{id} has no message" if !$otp->{messages};
    }

    return @lost;
}

sub unknown_messages {
    my ($self) = @_;
    return grep { !$self->{messages}{$_} } sort keys %{ $self->{accepted} };
}

sub too_late {
    my ($self) = @_;
    return grep {
        my $m = $self->{messages}{$_};
        $m && grep { $self->sent($_) > $m->{end} } @{ $self->{accepted}{$_} };
    } sort keys %{ $self->{accepted} };
}

# when it was on its way at the latest: the provider may read it only when
# nginx has already stopped waiting

sub sent {
    my ($self, $accepted) = @_;
    my $left = $self->left($accepted) // return $accepted->{time};

    return $left->{time} - $Wait;
}

# how nginx ended the connection before the provider had read what it brought

sub left {
    my ($self, $accepted) = @_;
    my $time = $accepted->{time};

    return if !$accepted->{peer};

    my ($left) = grep { $_->{time} > $time - $Slow && $_->{time} < $time
                        && $_->{what} eq 'eof' && $_->{by} eq 'client' }
                 $self->events_of($accepted);
    return $left;
}

sub events_of {
    my ($self, $accepted) = @_;
    my ($proxy, $peer) = @$accepted{qw(proxy peer)};

    return @{ $self->{events}{$proxy}{$peer} //= [
        grep { $_->{port} == $peer } @{ $self->{proxies}[$proxy] }
    ] };
}

# Of those that came twice all but one need a cause each; which one is not
# known, since what was cut off may arrive late.

sub causeless {
    my ($self) = @_;
    my @causeless;

    for my $id (sort keys %{ $self->{accepted} }) {
        my @accepted = @{ $self->{accepted}{$id} };
        next if @accepted == 1;

        my (@without, %cause);

        for my $accepted (@accepted) {
            my $cause = $self->cause($accepted);
            push @without, $accepted if !$cause;
            $cause{$cause}++ if $cause;
        }

        # the provider may have read it when nginx had just gone, or a moment
        # before that

        my @gone = $self->gone($cause{$Gone} // 0, @without);
        my %gone = map { $_ => 1 } @gone;

        @without = grep { !$gone{$_} } @without;
        $cause{$Gone} += @gone if @gone;
        $self->{repeated}{$_} += $cause{$_} for keys %cause;

        # a worker that had the answer may have died before it could mark it

        for (1 .. $self->killed_after(@without)) {
            last if !@without;
            shift @without;
            $self->{repeated}{'killed before the mark'}++;
        }

        $self->{extra} += $#accepted;
        next if @without < 2;

        $self->{duplicated} += $#without;
        push @causeless, map {
            sprintf '%s at %.3f, port %d', $id, $_->{time}, $_->{peer}
        } @without;
    }

    return @causeless;
}

# Which of those that HTTP brought were read near a 504 of nginx's for them; so
# many others of the same message have had theirs.

sub gone {
    my ($self, $others, @accepted) = @_;
    my @read;

    @accepted = grep { $_->{proxy} } @accepted or return;

    my @gone = @{ $self->{gone}{ $accepted[0]{id} } // [] };

    for my $accepted (@accepted) {
        last if @read + $others >= @{ $self->{gone}{ $accepted->{id} } // [] };

        my ($i) = grep { $accepted->{time} >= $gone[$_] - 1
                         && $accepted->{time} <= $gone[$_] + $Wait + 1 }
                  0 .. $#gone;
        next if !defined $i;
        splice @gone, $i, 1;
        push @read, $accepted;
    }

    return @read;
}

# how many of those who said that they had sent it were killed soon after it

sub killed_after {
    my ($self, @accepted) = @_;
    my %killed;

    for my $accepted (@accepted) {
        my $late = $accepted->{time} + 2 * $Near;
        $killed{ $_->[1] } = 1
            for grep { $_->[0] > $accepted->{time} - 1 && $_->[0] < $late }
                @{ $self->{kills} };
    }

    return 0 if !@accepted;
    return scalar grep { $killed{$_} }
                  @{ $self->{said}{ $accepted[0]{id} }{sent} // [] };
}

# why nobody may have known that a message was accepted

sub cause {
    my ($self, $accepted) = @_;
    my ($proxy, $time, $peer) = @$accepted{qw(proxy time peer)};

    return 'no answer' if !$accepted->{answered};

    # the stand-in found the connection reset when it had read the message
    return 'cut off' if !$peer;

    # the connection must have ended before anything else happened on it

    my ($next) = grep { $_->{time} > $time }
                 @{ $self->{by_peer}{$proxy}{$peer} };

    for my $event ($self->events_of($accepted)) {
        next if $event->{time} < $time - $Near;
        last if $event->{time} > $time + $Near
                || $next && $event->{time} > $next->{time};
        return 'cut off' if $event->{what} !~ /^(?:eof|end|delay)$/;
        return 'the server hung up'
            if !$proxy && $event->{what} eq 'eof' && $event->{by} eq 'server';
        return 'killed' if $event->{by} eq 'client'
                           && grep { abs($_->[0] - $event->{time}) < 1 }
                              @{ $self->{kills} };
    }

    return $Gone if $proxy && $self->left($accepted);
    return;
}

# ----- figures

sub answers {
    my ($self) = @_;
    my %n;

    $n{"$_->{e} " . ($_->{status} || 'no answer')}++
        for map { @{ $self->{$_} // [] } } qw(register verify resend);
    $n{result}{ $_->{result} }++ for @{ $self->{done} };

    return join(', ', map { "$_ $n{$_}" } grep { !ref $n{$_} } sort keys %n)
           . '; people: ' . join ', ', map { "$_ $n{result}{$_}" }
                                  sort keys %{ $n{result} };
}

sub breaks {
    my ($self, @events) = @_;
    my %n;
    $n{$_->{what}}++ for grep { $_->{what} !~ /^(?:eof|end)$/ } @events;
    return join ', ', map { "$_ $n{$_}" } sort keys %n;
}

sub figures {
    my ($self) = @_;

    my $duplicates = @{ $self->wrong('causeless') } && $self->{duplicated};
    my $repeated = $self->{repeated} // {};

    my %figure = (
        messages => scalar keys %{ $self->{messages} },
        'given up' => $self->{given_up} // 0,
        lost => @{ $self->wrong('lost_messages') }
                + @{ $self->wrong('lost_users') },
        'repeated after a failure' => ($self->{extra} // 0) - $duplicates,
        duplicated => $duplicates + @{ $self->wrong('double_users') },
        active => $self->{active} // 0,
        'active without proof' => scalar @{ $self->wrong('unproved') },
        'wrong attempts counted without an answer'
            => $self->{counted_silently} // 0,
    );

    return join(', ', map { "$_ $figure{$_}" } sort keys %figure)
           . '; what happened to those that came twice: '
           . join ', ', map { "$_ $repeated->{$_}" } sort keys %$repeated;
}

1;
