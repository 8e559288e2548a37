package OtpReg::Proxy;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A TCP proxy that breaks what it forwards, for one .t process.
#
# OtpReg::Proxy->start(%opt)    listens on a free port of 127.0.0.1
#
#     to     a port of 127.0.0.1, or the path of a unix socket
#     name   for the log
#     seed   of its random numbers
#
# port()
# faults($mean, @kinds)   from now on each connection meets a fault after a
#                         random number of bytes in a random direction, about
#                         $mean on average; a kind that is named twice is met
#                         twice as often; 0: no more faults
#
#     delay   both directions wait for up to 0.4 s
#     stall   both directions wait for 3 to 4 s; what was sent by then arrives
#             late, perhaps after the sender has gone
#     cut     the rest is not forwarded: both sides see an orderly end
#     half    one direction ends, and what is sent there is lost; the other
#             direction goes on
#     reset   as cut, with RST
#     mute    the rest is swallowed: no end, no answer
#
# all($kind)              every connection that is open meets this fault now
# sever_after($text)      the next time that a client sends this, it arrives,
#                         and the connection is reset before the answer
# sever_before($text)     the same, but it never arrives
# events()                what happened, each { time, conn, port, what, by }:
#                         what is a kind of fault, "eof" (the first end, by
#                         client or server) or "end"; port is the proxy's own
#                         towards the server, as the server sees it

use v5.10.1;
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);
use OtpReg::Env qw(test_dir free_port slurp at_end stop_process wait_until);

my %Breaks = map { $_ => 1 } qw(cut half reset mute);

sub start {
    my ($class, %opt) = @_;
    my $self = bless { name => 'proxy', seed => 1, %opt }, $class;

    $self->{port} = free_port();
    $self->{log} = test_dir() . "/proxy.$self->{name}.log";

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 256, ReuseAddr => 1)
        or die "port $self->{port}: $!\n";

    pipe my $commands, $self->{commands} or die "pipe: $!\n";
    $self->{commands}->autoflush(1);

    my $owner = $$;
    $self->{pid} = fork() // die "fork: $!\n";

    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP __DIE__);
        $SIG{PIPE} = 'IGNORE';
        close $self->{commands};
        srand $self->{seed};
        @$self{qw(listen commands owner)} = ($listen, $commands, $owner);
        eval { $self->serve; 1 } or print STDERR "# proxy: $@";
        POSIX::_exit(0);
    }

    close $listen;
    close $commands;
    at_end(sub { $self->stop });

    return $self;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    stop_process($pid, 'KILL');
}

sub port { $_[0]{port} }

sub faults      { my $self = shift; $self->command('faults', @_) }
sub all         { my $self = shift; $self->command('all', @_) }
sub sever_after { my $self = shift; $self->command('after', @_) }
sub sever_before { my $self = shift; $self->command('before', @_) }

# waits until the proxy has read it

sub command {
    my ($self, @words) = @_;
    my $n = ++$self->{n};
    print { $self->{commands} } join(' ', $n, @words), "\n";
    wait_until(sub { (-s "$self->{log}.commands" // 0) >= $n }, 5);
}

sub events {
    my ($self) = @_;
    return map {
        my %event;
        @event{qw(time conn port what by)} = split / /;
        \%event;
    } split /\n/, slurp($self->{log}) // '';
}

# ----- the proxy's own process

sub note {
    my ($self, $conn, $what, $by) = @_;
    syswrite $self->{out}, sprintf "%.3f %d %s %s %s\n", time(), $conn->{id},
                                   $conn->{port}, $what, $by // '-';
}

sub serve {
    my ($self) = @_;

    open $self->{out}, '>>', $self->{log} or die "$self->{log}: $!\n";
    $self->{mean} = 0;
    $self->{conns} = {};

    while (kill 0, $self->{owner}) {
        my $now = time();
        my $wait = 1;
        my $reads = IO::Select->new($self->{listen}, $self->{commands});
        my $writes = IO::Select->new;

        for my $conn (values %{ $self->{conns} }) {
            my $left = $conn->{until} - $now;

            if ($left > 0) {
                $wait = $left if $left < $wait;
                next;
            }

            for my $side (@{ $conn->{sides} }) {
                $reads->add($side->{sock}) if !$side->{eof};
                $writes->add($side->{sock}) if length $side->{out};
            }
        }

        my ($can_read, $can_write) = IO::Select->select($reads, $writes,
                                                        undef, $wait);

        for my $sock (@{ $can_write // [] }) {
            my $conn = $self->{conns}{ $self->{by_sock}{$sock} // 0 } or next;
            $self->flush($conn, side($conn, $sock));
        }

        for my $sock (@{ $can_read // [] }) {
            if ($sock == $self->{listen}) {
                $self->open_conn;

            } elsif ($sock == $self->{commands}) {
                $self->read_commands;

            } else {
                my $conn = $self->{conns}{ $self->{by_sock}{$sock} // 0 }
                    or next;
                $self->forward($conn, side($conn, $sock));
            }
        }
    }
}

sub side { $_[0]{sides}[0]{sock} == $_[1] ? $_[0]{sides}[0] : $_[0]{sides}[1] }

sub read_commands {
    my ($self) = @_;

    sysread $self->{commands}, $self->{line}, 4096, length($self->{line} // '')
        or POSIX::_exit(0);

    while ($self->{line} =~ s/\A\d+ (\w+) ?(.*)\n//) {
        my ($command, $rest) = ($1, $2);

        if ($command eq 'faults') {
            ($self->{mean}, @{ $self->{kinds} }) = split ' ', $rest;
            $self->plan($_) for values %{ $self->{conns} };

        } elsif ($command eq 'all') {
            $self->break($_, $rest) for values %{ $self->{conns} };

        } else {
            @$self{qw(when sever)} = ($command, $rest);
        }

        open my $count, '>>', "$self->{log}.commands" or die "$!\n";
        syswrite $count, '.';
    }
}

# what the next fault of a connection is, in which direction, and when

sub plan {
    my ($self, $conn) = @_;

    delete $conn->{plan};
    return if !$self->{mean};

    $conn->{plan} = {
        left => 1 + int(-log(1 - rand) * $self->{mean}),
        from => int rand 2,
        kind => $self->{kinds}[rand @{ $self->{kinds} }],
    };
}

sub open_conn {
    my ($self) = @_;

    my $client = $self->{listen}->accept or return;
    my $server = $self->{to} =~ m{^/}
        ? IO::Socket::UNIX->new(Peer => $self->{to}, Timeout => 1)
        : IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{to}",
                                Timeout => 1);
    return if !$server;                 # and the client sees an end

    my $conn = { id => ++$self->{serial}, until => 0, sides => [
        map { { n => $_, sock => ($client, $server)[$_], out => '' } } 0, 1 ],
        port => $self->{to} =~ m{^/} ? 0 : $server->sockport };

    for ($client, $server) {
        $_->blocking(0);
        $self->{by_sock}{$_} = $conn->{id};
    }

    $self->{conns}{ $conn->{id} } = $conn;
    $self->plan($conn);
}

sub forward {
    my ($self, $conn, $side) = @_;

    my $n = sysread $side->{sock}, my $data, 65536;

    if (!$n) {
        return if !defined $n && $!{EAGAIN};
        return $self->close_conn($conn, by($side), 1) if !defined $n;
        return $self->end_side($conn, $side);
    }

    return if $side->{mute};

    my $other = $conn->{sides}[1 - $side->{n}];
    my $plan = $conn->{plan};

    if (defined $self->{sever} && $side->{n} == 0
        && index($data, $self->{sever}) >= 0)
    {
        delete $self->{sever};
        $self->note($conn, 'sever');

        if ($self->{when} eq 'after') {
            $other->{out} .= $data;
            $self->flush($conn, $other);

            # the server answers, so it is done
            IO::Select->new($other->{sock})->can_read(5);
        }

        return $self->close_conn($conn, 'fault', 1);
    }

    if (!$plan || $plan->{from} != $side->{n} || $plan->{left} > $n) {
        $plan->{left} -= $n if $plan && $plan->{from} == $side->{n};
        $other->{out} .= $data;
        return $self->flush($conn, $other);
    }

    # up to this very byte

    $other->{out} .= substr $data, 0, $plan->{left}, '';
    $self->flush($conn, $other);
    $other->{out} .= $data if !$Breaks{ $plan->{kind} };
    $self->break($conn, $plan->{kind}, $side) if $conn->{sides};
}

sub break {
    my ($self, $conn, $kind, $side) = @_;

    $side //= $conn->{sides}[rand 2];
    $self->note($conn, $kind, by($side));

    if ($kind eq 'delay' || $kind eq 'stall') {
        $conn->{until} = time() + ($kind eq 'delay' ? rand 0.4 : 3 + rand);
        $self->plan($conn);

    } elsif ($kind eq 'mute') {
        $_->{mute} = 1 for @{ $conn->{sides} };

    } elsif ($kind eq 'half') {
        $side->{mute} = 1;
        shutdown $conn->{sides}[1 - $side->{n}]{sock}, 1;
        delete $conn->{plan};

    } else {
        $self->close_conn($conn, 'fault', $kind eq 'reset');
    }
}

sub flush {
    my ($self, $conn, $side) = @_;

    while (length $side->{out}) {
        last if $conn->{until} > time();
        my $n = syswrite $side->{sock}, $side->{out};

        if (!defined $n) {
            last if $!{EAGAIN};

            # it has gone; what the other one still sends is read and dropped
            $side->{gone} = 1;
            $side->{out} = '';
            return $self->close_conn($conn, by($side))
                if $conn->{sides}[1 - $side->{n}]{out} eq '';
            last;
        }

        substr $side->{out}, 0, $n, '';
    }

    return if length $side->{out} || !$side->{ending};
    shutdown $side->{sock}, 1;
    $self->close_conn($conn, by($conn->{sides}[1 - $side->{n}]))
        if $side->{eof};
}

# an orderly end: what was read before goes out before it

sub end_side {
    my ($self, $conn, $side) = @_;

    my $other = $conn->{sides}[1 - $side->{n}];
    $side->{eof} = 1;
    $self->note($conn, 'eof', $conn->{first} = by($side)) if !$conn->{first};
    return $self->close_conn($conn, $conn->{first})
        if $other->{eof} && $other->{out} eq '';
    $other->{ending} = 1;
    $self->flush($conn, $other);
}

sub by { $_[0]{n} ? 'server' : 'client' }

sub close_conn {
    my ($self, $conn, $by, $reset) = @_;

    return if !$conn->{sides};

    for my $side (@{ $conn->{sides} }) {
        setsockopt $side->{sock}, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0
            if $reset;
        delete $self->{by_sock}{ $side->{sock} };
        close $side->{sock};
    }

    $self->note($conn, 'end', $conn->{first} // $by);
    delete $self->{conns}{ $conn->{id} };
    delete $conn->{sides};
}

1;
