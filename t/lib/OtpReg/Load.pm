package OtpReg::Load;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# People who sign up, many at once, on nodes that may fail at any moment: they
# try again as people do, and keep a ledger of what they were answered.
#
# OtpReg::Load->start(%opt)   forks the clients
#
#     ports     of the nodes
#     clients   how many sign up at once
#     first, signups     the numbers of the sign-ups: first .. first+signups-1
#     seed      of what they choose to do
#     patience  how long one waits for a message, in seconds
#     kinds     { kind => share } instead of %Kinds
#
# running()    true while a client runs
# ledger()     what was asked and answered, each
#              { e => 'register', u, to, c, cookie, node, status, error, t }
#              { e => 'resend',   u, c, cookie, status, error, t }
#              { e => 'verify',   u, c, code, own, node, status, error, t }
#              { e => 'done', n, kind, result }
#
# u is the username of a sign-up, c the number of its cookie (each answer 201
# gives another one), status 0 no answer, error the stable code of a refusal,
# own whether the code came in a message to the sign-up's own address.
#
# What a person does, %Kinds says how often: plain; wrong (guesses first);
# spent (guesses until the code is dead); resend; never (leaves without a
# code); double (the right code in parallel, on all nodes); rivals (three for
# one address); stranger (a code that another browser got); refused (the
# provider does not know the address); hasty (hangs up and tries again); leaver
# (hangs up in every phase of every request); crowd (twenty-four at once).

use v5.10.1;
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);
use OtpReg::Env qw(test_dir slurp wait_until at_end);
use OtpReg::HTTP qw(http http_many);
use OtpReg::Provider qw(provider_requests);
use OtpReg::SMTP qw(mails);

my %Kinds = (plain => 44, wrong => 10, spent => 4, resend => 8, never => 8,
             double => 8, rivals => 5, stranger => 4, refused => 3, hasty => 6,
             leaver => 8, crowd => 1);

my $Password = 'correct horse battery staple';

sub start {
    my ($class, %opt) = @_;
    my $self = bless { first => 1, clients => 8, seed => 1, patience => 15,
                       kinds => \%Kinds, %opt, owner => $$ }, $class;

    for my $k (0 .. $self->{clients} - 1) {
        my $pid = fork() // die "fork: $!\n";

        if (!$pid) {
            $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE __DIE__);
            eval { $self->client($k); 1 } or print STDERR "# client: $@";
            POSIX::_exit(0);
        }

        $self->{pids}{$pid} = 1;
    }

    at_end(sub { kill 'KILL', keys %{ $self->{pids} } });

    return $self;
}

sub running {
    my ($self) = @_;

    waitpid($_, WNOHANG) && delete $self->{pids}{$_}
        for keys %{ $self->{pids} };

    return scalar keys %{ $self->{pids} };
}

sub ledger {
    my ($self) = @_;
    my $json = JSON::PP->new;
    return map { $json->decode($_) } map { split /\n/, slurp($_) }
           glob test_dir() . '/ledger.*';
}

# ----- a client

sub client {
    my ($self, $k) = @_;

    srand $self->{seed} * 1000 + $k;
    open $self->{out}, '>>', test_dir() . "/ledger.$self->{first}.$k"
        or die "ledger: $!\n";
    $self->{json} = JSON::PP->new->canonical;
    my @kinds = map { ($_) x $self->{kinds}{$_} } sort keys %{ $self->{kinds} };

    for (my $n = $k; $n < $self->{signups}; $n += $self->{clients}) {
        POSIX::_exit(0) if !kill 0, $self->{owner};

        my $number = $self->{first} + $n;
        my $kind = $kinds[rand @kinds];
        my $result = $self->can("do_$kind")->($self, $number);

        $self->note(e => 'done', n => $number, kind => $kind,
                    result => $result // 'no sign-up');
    }
}

sub note {
    my ($self, %entry) = @_;
    $entry{t} = time();
    syswrite $self->{out}, $self->{json}->encode(\%entry) . "\n";
}

# half of them by mail, half by SMS

sub person {
    my ($self, $number, %opt) = @_;
    my $refused = $opt{refused};

    return { u => "p$number",
             $number % 2 ? (email => ($refused ? 'refused' : 'p')
                                     . "$number\@example.com")
                         : (phone => sprintf '+%s%07d', $refused ? 4999 : 1415,
                                             $number) };
}

sub to { $_[0]{email} // $_[0]{phone} }

sub port { $_[0]{ports}[rand @{ $_[0]{ports} }] }

sub status {
    my ($res) = @_;
    return (status => $res->{status}, error => $res->{json}{code});
}

sub form {
    my ($p) = @_;
    return { username => $p->{u}, password => $Password,
             confirm_password => $Password,
             map { $p->{$_} ? ($_ => $p->{$_}) : () } qw(email phone) };
}

# the same form again while there is no answer, on another node perhaps

sub register {
    my ($self, $p, %opt) = @_;

    for my $try (1 .. 20) {
        my $port = $self->port;
        my $res = http('POST', '/register', port => $port,
            timeout => $opt{hasty} && $try == 1 ? rand 0.2 : 30,
            json => form($p));

        $p->{c}++ if $res->{status} == 201;
        $self->note(e => 'register', u => $p->{u}, to => to($p), c => $p->{c},
                    cookie => $res->{cookie}, node => $port, status($res));

        if ($res->{status} == 201) {
            $p->{cookie} = $res->{cookie};
            return $p;
        }

        return if $res->{status} && $res->{status} != 503;
        sleep 0.1 + rand 0.9;
    }

    return;
}

# the codes in the messages so far, the newest first

sub codes {
    my ($p) = @_;

    my @codes = $p->{email}
        ? map { ($_->{text} // '') =~ /\b(\d{6})\b/ } mails($p->{email})
        : map { $_->{json}{code} || () }
          grep { $_->{answer} =~ /^(?:200|0)$/ }
          provider_requests($p->{phone});

    my %seen;
    return grep { !$seen{$_}++ } reverse @codes;
}

sub wait_codes {
    my ($self, $p, $n) = @_;

    my @codes;
    wait_until(sub { (@codes = codes($p)) >= ($n // 1) }, $self->{patience},
               0.05);

    if (@codes < ($n // 1)) {
        $self->resend($p);
        wait_until(sub { (@codes = codes($p)) >= ($n // 1) },
                   $self->{patience}, 0.1);
    }

    return @codes;
}

sub resend {
    my ($self, $p) = @_;

    for (1 .. 10) {
        my $res = http('POST', '/resend-otp', port => $self->port, json => {},
                       timeout => 30, cookie => $p->{cookie});
        $self->note(e => 'resend', u => $p->{u}, c => $p->{c},
                    cookie => $res->{cookie}, status($res));
        $p->{cookie} = $res->{cookie} if $res->{status} == 200
                                         && $res->{cookie};
        return 1 if $res->{status} == 200;
        return if $res->{status} && $res->{status} !~ /^(?:429|503)$/;
        sleep 0.5 + rand;
    }

    return;
}

sub verify_note {
    my ($self, $p, $code, $res, $port) = @_;
    $self->note(e => 'verify', u => $p->{u}, c => $p->{c}, code => $code,
                node => $port, own => (grep { $_ eq $code } codes($p)) ? 1 : 0, status($res));
}

# until somebody answers: the error code, or '' for success

sub verify {
    my ($self, $p, $code) = @_;

    for (1 .. 20) {
        my $port = $self->port;
        my $res = http('POST', '/verify-otp', port => $port,
                       timeout => 30, cookie => $p->{cookie},
                       json => { otp => $code });
        $self->verify_note($p, $code, $res, $port);
        return $res->{json}{code} // '' if $res->{status}
                                           && $res->{status} != 503;
        sleep 0.1 + rand 0.9;
    }

    return 'no answer';
}

sub verify_any {
    my ($self, $p, @codes) = @_;

    for my $code (@codes) {
        my $error = $self->verify($p, $code);
        return $error || 'verified' if $error ne 'code_wrong';
    }

    return @codes ? 'code_wrong' : 'no message';
}

sub wrong_code {
    my (@right) = @_;

    while (1) {
        my $code = sprintf '%06d', rand 1000000;
        return $code if !grep { $_ eq $code } @right;
    }
}

sub do_plain {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n)) or return;
    return $self->verify_any($p, $self->wait_codes($p));
}

sub do_hasty {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n), hasty => 1) or return;
    return $self->verify_any($p, $self->wait_codes($p));
}

sub do_wrong {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n)) or return;
    my @codes = $self->wait_codes($p);
    $self->verify($p, wrong_code(@codes)) for 0 .. rand 2;
    return $self->verify_any($p, @codes);
}

sub do_spent {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n)) or return;
    my @codes = $self->wait_codes($p);

    for (1 .. 12) {
        last if $self->verify($p, wrong_code(@codes)) eq 'code_spent';
    }

    return $self->verify_any($p, @codes);
}

sub do_resend {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n)) or return;
    $self->wait_codes($p);
    $self->resend($p);
    return $self->verify_any($p, $self->wait_codes($p));
}

sub do_never {
    my ($self, $n) = @_;
    $self->register($self->person($n)) or return;
    return 'left';
}

sub do_refused {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n, refused => 1)) or return;
    $self->verify($p, wrong_code());
    return 'refused';
}

sub do_double {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n)) or return;
    my ($code, @more) = $self->wait_codes($p) or return 'no message';

    my @res = http_many([map {
        ['POST', '/verify-otp', port => $_, timeout => 30,
         cookie => $p->{cookie}, json => { otp => $code }]
    } @{ $self->{ports} }, @{ $self->{ports} }]);
    $self->verify_note($p, $code, $_) for @res;

    return 'verified' if grep { $_->{status} == 200 } @res;
    return $self->verify_any($p, $code, @more);
}

# A request that is broken off within its head, within its body, or after it;
# true when all of it was sent, so that it may have been served.

sub leave {
    my ($self, $p, $path, $json) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $self->port) or return;
    my $text = OtpReg::HTTP::build_request('POST', $path, {
        json => $json, cookie => $p->{cookie} // '' });
    my $head = index($text, "\r\n\r\n") + 4;
    my $len = (rand $head, $head + rand(length($text) - $head),
               (length $text) x 2)[rand 4];

    local $SIG{PIPE} = 'IGNORE';
    syswrite $sock, $text, $len;
    sleep rand 0.3 if rand() < 0.7;
    setsockopt $sock, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0 if rand() < 0.5;
    close $sock;
    return $len == length $text;
}

sub do_leaver {
    my ($self, $n) = @_;
    my $p = $self->person($n);

    for (1 .. 2) {
        $self->leave($p, '/register', form($p))
            and $self->note(e => 'register', u => $p->{u}, to => to($p),
                            status => 0);
    }

    $self->register($p) or return;
    my @codes = $self->wait_codes($p);
    $self->leave($p, '/resend-otp', {});

    for my $code (map { ($_) x 2 } @codes) {
        $self->leave($p, '/verify-otp', { otp => $code })
            and $self->verify_note($p, $code, { status => 0 });
    }

    return $self->verify_any($p, @codes);
}

# one address each, all at the same node in the same moment

sub do_crowd {
    my ($self, $n) = @_;
    my $port = $self->port;
    my @people = map { { u => "p${n}c$_", email => "p${n}c$_\@example.com" } }
                 1 .. 24;

    my @res = http_many([map {
        ['POST', '/register', port => $port, timeout => 30, json => form($_)]
    } @people]);

    for my $i (0 .. $#res) {
        my ($p, $res) = ($people[$i], $res[$i]);
        $p->{c}++ if $res->{status} == 201;
        $self->note(e => 'register', u => $p->{u}, to => to($p), c => $p->{c},
                    cookie => $res->{cookie}, node => $port, status($res));
    }

    return 'a crowd';
}

# each with the newest code that came after his sign-up

sub do_rivals {
    my ($self, $n) = @_;
    my $address = $self->person($n);
    my (%seen, @rivals);

    for my $name (qw(x y z)) {
        my $p = $self->register({ %$address, u => "$address->{u}$name" })
            or next;
        my @codes = grep { !$seen{$_}++ }
                    $self->wait_codes($p, 1 + keys %seen);
        push @rivals, [$p, $codes[0]] if @codes;
    }

    my @res = http_many([map {
        ['POST', '/verify-otp', port => $self->port, timeout => 30,
         cookie => $_->[0]{cookie}, json => { otp => $_->[1] }]
    } @rivals]);
    $self->verify_note(@{ $rivals[$_] }, $res[$_]) for 0 .. $#res;

    my @again = grep { !$res[$_]{status} || $res[$_]{status} == 503 }
                0 .. $#res;
    $self->verify(@{ $rivals[$_] }) for @again;

    return @rivals ? 'contested' : 'no message';
}

# somebody else's browser has the code, but not the cookie

sub do_stranger {
    my ($self, $n) = @_;
    my $p = $self->register($self->person($n)) or return;
    my $q = $self->register({ u => "p${n}s",
                              email => "p${n}s\@example.com" });
    my @codes = $self->wait_codes($p);
    $self->verify($q, $codes[0]) if $q && @codes;
    return $self->verify_any($p, @codes);
}

1;
