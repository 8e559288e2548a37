# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_client_limit, otpreg_global_limit and otpreg_limit_zone: what one
# client may do, and all of them together, by how many workers ever it is
# served.  Clients come through a proxy: X-Forwarded-For and nginx's realip.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $password = 'correct horse battery staple';
my $base = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n"
           . "otpreg_resend_delay 0;\nssi on;\n"
           . "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Forwarded-For;\n"
           . "keepalive_requests 200000;\n";
$base =~ s/^otpreg_(?:client|global)_limit off;\n//mg;

my $config = default_config() . <<'END';
location = /status { otpreg_status; }
otpreg_challenge /challenge when=$http_x_idle;
location = /challenge { internal; return 444; }
location = /hot {
    otpreg_register /hot-page;
    otpreg_client_limit register=4/h;
}
location = /hot-page { return 200 "hot:$otpreg_limit_hot"; }
location = /elsewhere { return 200 "hot:$otpreg_limit_hot"; }
END

my $nginx = OtpReg::Nginx->start($config, workers => 4, log_level => 'info',
                                 http_config => $base);
mkdir $nginx->prefix . '/html/pages';
spew($nginx->prefix . '/html/pages/register.html', <<'END');
[<!--# echo var="otpreg_error_code" encoding="entity" default="" -->]
[<!--# echo var="otpreg_error" encoding="entity" default="" -->]
[<!--# echo var="otpreg_username" encoding="entity" default="" -->]
END
spew($nginx->prefix . '/html/pages/verify.html', <<'END');
verify [<!--# echo var="otpreg_error_code" encoding="entity" default="" -->]
END

# each subtest has clients of its own, and begins with these limits

my $net = 0;
sub limits {
    my ($directives, %opt) = @_;
    $net++;
    return $nginx->reload(http_config => "$base$directives\n", wait => 60,
                          %opt);
}

sub client { "10.$net." . int($_[0] / 250) . '.' . (1 + $_[0] % 250) }

sub from {
    my ($client, %opt) = @_;
    my $headers = delete $opt{headers} // {};
    return (%opt, timeout => 60,
            headers => { 'X-Forwarded-For' => $client, %$headers });
}

sub form {
    my ($id) = @_;
    state $n = 0;
    $id //= 'u' . ++$n;
    return { username => $id, email => "$id\@example.com",
             password => $password, confirm_password => $password };
}

sub signup {
    my ($client, $form) = @_;
    return $nginx->http('POST', '/register',
                        from($client, json => $form // form()));
}

sub verify {
    my ($client, $res, $code) = @_;
    return ['POST', '/verify-otp',
            from($client, cookie => $res->{cookie}, json => { otp => $code })];
}

# a form that is counted and does no work: 422, for nobody solves this

my $nobody = { %{ form('nobody') }, challenge => 'no solution' };

sub idle { (json => $nobody, headers => { 'X-Idle' => 1 }) }

sub nothing { ['POST', '/register', from($_[0], idle())] }

# one that is counted for all clients together as well, and stores nothing: 201

my $robot = { %$nobody, homepage => 'https://pills.example' };

sub robot { ['POST', '/register', from($_[0], json => $robot)] }

sub statuses {
    my %n;
    $n{$_->{status}}++ for @_;
    return \%n;
}

sub codes {
    my %n;
    $n{$_->{json}{code} // $_->{status}}++ for @_;
    return \%n;
}

sub counter {
    my ($name) = @_;
    return $nginx->http('GET', '/status')->{body} =~ /^\Q$name\E (\d+)$/m
           ? $1 : undef;
}

sub log_count {
    my ($pattern) = @_;
    return scalar grep { /$pattern/ } $nginx->error_log_lines;
}


# Half of the requests are under way in the old workers when nginx reloads, the
# others come to the new ones; all ends at once.

sub across_a_reload {
    my ($requests) = @_;

    my $port = $nginx->port;
    my @old = map {
        my $text = OtpReg::HTTP::build_request(@$_[0, 1],
                                               { @$_[2 .. $#$_] });
        my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                         PeerPort => $port)
                   or die "connect: $!";
        syswrite $sock, substr $text, 0, -1;
        [$sock, substr $text, -1];
    } splice @$requests, 0, @$requests / 2;

    # what was sent is read by a worker, and so belongs to it

    wait_until(sub { $nginx->http('GET', '/status')->{status} == 200 }, 10);
    ok $nginx->reload, 'reload in the middle';
    my %now = map { $_ => 1 } $nginx->workers;
    cmp_ok scalar(grep { !$now{$_} } $nginx->workers(old => 1)), '>=', 1,
           'old workers have requests to finish';

    local $SIG{PIPE} = 'IGNORE';
    syswrite $_->[0], $_->[1] for @old;
    my @new = $nginx->http_many($requests);

    my @answers = map {
        my $sock = $_->[0];
        my $raw = do { local $/; <$sock> } // '';
        OtpReg::HTTP::parse_call({ raw => $raw, begin => 0, ended => 0,
                                   method => 'POST' });
    } @old;

    return (@answers, @new);
}


subtest 'attack 24: four workers, a reload in the middle: exactly five' => sub {
    limits('otpreg_client_limit register=5/h;');
    my $c = client(1);
    my $users = sql('SELECT COUNT(*) FROM users');

    my @res = across_a_reload([map {
        ['POST', '/register', from($c, json => form())]
    } 1 .. 40]);

    is_deeply statuses(@res), { 201 => 5, 429 => 35 }, 'five of forty';
    is sql('SELECT COUNT(*) FROM users') - $users, 5, 'five users';
    is_deeply statuses(signup($c)), { 429 => 1 }, 'the forty-first';

    ok limits('otpreg_client_limit register=7/h;'), 'a changed number';
    my @more = $nginx->http_many([map {
        ['POST', '/register', from($c, json => form())] } 1 .. 20]);
    is_deeply statuses(@more), { 201 => 2, 429 => 18 },
              'the five still count';

    is log_count(qr{otpreg: a client reached the limit register=5/3600s}), 1,
       'one warning for many refusals';
    is counter('otpreg_limited_total{limit="client",kind="register"}'), 54,
       'each is counted';
};


subtest 'attack 24: wrong codes, at once, over a reload: exactly five' => sub {
    limits('otpreg_client_limit register=off verify=off wrong=5/h;');
    my $c = client(1);
    my @flows = map { signup(client(100 + $_)) } 1 .. 8;
    is_deeply statuses(@flows), { 201 => 8 }, 'eight flows';

    my @res = across_a_reload([map { verify($c, $flows[$_ % 8], '000000') }
                               1 .. 40]);
    my $codes = codes(@res);
    is $codes->{client_limit}, 35, 'thirty-five are refused';
    is $codes->{code_wrong}, 5, 'five are compared';
    is sql('SELECT SUM(attempts) FROM otps WHERE consumed_at IS NULL
            AND id IN (SELECT id FROM (SELECT id FROM otps ORDER BY
            created_at DESC, id DESC LIMIT 8) newest)'), 5,
       'five attempts in the database';
};


subtest 'attack 6: one code over many flows' => sub {
    limits('otpreg_client_limit register=off verify=off wrong=3/h;'
           . 'otpreg_global_limit wrong=8/2h;');
    my @flows = map { signup(client(100 + $_)) } 1 .. 11;
    my $last = form();
    push @flows, signup(client(112), $last);
    my @owners = map { my $f = form(); [$f, signup(client(200), $f)] } 1 .. 3;

    my @one = map { $nginx->http(@{ verify(client(1), $_, '000000') }) }
              @flows[0 .. 5];
    is_deeply [map { $_->{json}{code} } @one],
              [('code_wrong') x 3, ('client_limit') x 3],
              'one client: three guesses, though each flow is fresh';
    cmp_ok $one[5]{headers}{'retry-after'}, '>', 3500, 'then it waits';

    sql('UPDATE otps SET expires_at = UTC_TIMESTAMP() - INTERVAL 1 HOUR
         WHERE user_id = (SELECT id FROM users WHERE username = '
        . "'$last->{username}')");
    is_deeply codes($nginx->http_many(
                  [map { verify(client(4), $flows[11], '000000') } 1 .. 5])),
              { code_expired => 3, client_limit => 2 },
              'expired ones count for the client';

    # the limit is one of wrong codes: who has the right one is not held up

    my $code = code_for("$owners[0][0]{username}\@example.com");
    is_deeply statuses($nginx->http_many(
                  [map { verify(client(2), $owners[0][1], $code) } 1 .. 3])),
              { 200 => 1, 409 => 2 }, 'a right code, posted three times';
    is_deeply codes($nginx->http_many(
                  [map { verify(client(2), $flows[6], '000000') } 1 .. 5])),
              { code_wrong => 3, client_limit => 2 },
              'was given back: there are three guesses yet';

    my $limited = 'otpreg_limited_total{limit="global",kind="wrong"}';
    is counter($limited), 0, 'six of eight in sum';

    my @many = map { $nginx->http(@{ verify(client(3), $flows[$_], '000000') })
               } 7 .. 10;
    is_deeply [map { $_->{json}{code} } @many],
              [('code_wrong') x 2, ('client_limit') x 2],
              'two more from everywhere, then one that has guessed must wait';

    my @each = map {
        my $c = client(10 + $_);
        map { $nginx->http(@{ verify($c, $flows[0], '000000') }) } 1 .. 2;
    } 1 .. 3;
    is_deeply [map { $_->{json}{code} } @each],
              [('code_wrong', 'client_limit') x 3],
              'a new client has one guess: nobody is locked out';
    cmp_ok counter($limited), '>=', 7, 'the alarm is there';
    is log_count(qr{all clients together reached the limit wrong=8/7200s}), 1,
       'and in the log, once';

    $code = code_for("$owners[1][0]{username}\@example.com");
    is $nginx->http(@{ verify(client(20), $owners[1][1], $code) })->{status},
       200, 'an owner verifies meanwhile';
    $code = code_for("$owners[2][0]{username}\@example.com");
    is $nginx->http(@{ verify(client(20), $owners[2][1], $code) })->{status},
       200, 'and again: it was not a wrong one';
};


subtest 'attack 42: dead codes are no guesses, but for who tries them' => sub {
    limits('otpreg_client_limit register=off verify=off wrong=3/h;'
           . 'otpreg_global_limit wrong=10/3h;');
    my $limited = 'otpreg_limited_total{limit="global",kind="wrong"}';
    my $before = counter($limited);
    my $late = form();
    my ($spent, $live, $expired) = map { signup(client(1), $_) }
                                       form(), form(), $late;
    sql('UPDATE otps SET expires_at = UTC_TIMESTAMP() - INTERVAL 1 HOUR
         WHERE user_id = (SELECT id FROM users WHERE username = '
        . "'$late->{username}')");

    my @five = map { $nginx->http(@{ verify(client($_), $spent, '000000') }) }
               1 .. 5;
    is_deeply [map { $_->{json}{code} } @five],
              [('code_wrong') x 4, 'code_spent'], 'five of ten guesses';

    for (["2001:db8:42", code_spent => $spent],
         ["2001:db8:43", code_expired => $expired])
    {
        my ($network, $code, $flow) = @$_;
        is_deeply codes(map { $nginx->http_many(
                      [(verify("$network:${_}00::1", $flow, '000000')) x 4])
                  } 1 .. 12), { $code => 36, client_limit => 12 },
                  "$code: three to each, thirty-six in sum";
    }

    is counter($limited), $before, 'all of it is not counted for all';
    is_deeply codes(map { $nginx->http(@{ verify(client(11), $live,
                                                 '000000') }) } 1 .. 4),
              { code_wrong => 3, client_limit => 1 },
              'so others have what is theirs, not one guess each';
    is counter($limited), $before, 'eight of ten';

    is_deeply [map { my $c = $_;
                     map { $nginx->http(@{ verify(client($c), $live,
                                                  '000000') })->{json}{code}
                     } 1 .. 2 } 12, 13],
              ['code_wrong', 'code_spent', 'code_spent', 'client_limit'],
              'two real ones more: ten, then one is left to each';
    is_deeply codes(map { $nginx->http(@{ verify(client(14), $expired,
                                                 '000000') }) } 1 .. 3),
              { code_expired => 1, client_limit => 2 },
              'which may be tried on a dead one';
    cmp_ok counter($limited), '>', $before, 'and the alarm is there';
};


subtest 'attack 42: forms without a code reach no global limit' => sub {
    limits('otpreg_client_limit register=off verify=20/h;'
           . 'otpreg_global_limit verify=10/2h;');
    my $flow = signup(client(1));
    my $try = sub { my ($c, $code) = @_;
                    my $res = $nginx->http(@{ verify(client($c), $flow,
                                                     $code) })->{json};
                    $res->{errors} ? $res->{errors}[0]{code} : $res->{code} };
    my %n;
    $n{$try->(1 + $_ % 2, $_ % 3 ? '' : 'x')}++ for 1 .. 50;
    is_deeply \%n, { required => 27, code_format => 13, client_limit => 10 },
              'forty, twenty from each client, and no more';
    is_deeply [map { $try->(3, $_) } '000000', '000000'],
              ['code_wrong', 'code_wrong'], 'another one has more than one';
};


subtest 'attack 42: forms that are refused reach no limit' => sub {
    limits('otpreg_client_limit register=2/h;'
           . 'otpreg_global_limit register=5/4h;');
    my @names = map { "otpreg_limited_total{limit=\"$_\",kind=\"register\"}" }
                qw(client network global);
    my @before = map { counter($_) } @names;
    my %refused = (
        empty => [422, json => {}],
        mistyped => [422, json => { %{ form() }, email => 'nobody' }],
        short => [422, form => { %{ form() }, password => 'short' }],
        malformed => [400, json => [1]],
        type => [415, json => [1], headers => { 'Content-Type' => 'a/b' }],
        encoding => [400, form => { 'a' => 1 }, body => 'a=%zz'],
        unsolved => [422, json => form(), headers => { 'X-Idle' => 1 }],
        foreign => [403, json => form(),
                    headers => { 'Sec-Fetch-Site' => 'cross-site' }],
    );

    for my $name (sort keys %refused) {
        my ($status, %form) = @{ $refused{$name} };
        is_deeply statuses($nginx->http_many([map {
            ['POST', '/register', from($_ % 2 ? client(1)
                                              : "2001:db8:42:${_}00::1",
                                       %form)]
        } 1 .. 40])), { $status => 40 }, "$name: forty, refused as such";
    }

    is_deeply [map { counter($_) } @names], \@before, 'none was counted';
    is_deeply statuses(map { signup(client(1)) } 1 .. 3),
              { 201 => 2, 429 => 1 }, 'who made mistakes has both sign-ups';
    is_deeply statuses(map { signup('2001:db8:42:200::1') } 1 .. 3),
              { 201 => 2, 429 => 1 }, 'with IPv6, too';
    is signup(client(2))->{status}, 201, 'the fifth of all';
    is $nginx->http('POST', '/register', from(client(3), json => {}))
       ->{status}, 422, 'now somebody has made an error';
    my $form = form();
    is signup(client(3), $form)->{status}, 201,
       'and signs up by the one that is left';
    is signup(client(3))->{status}, 429, 'not by a second';
};


subtest 'attack 42: what sends nothing reaches no global limit' => sub {
    limits('otpreg_client_limit register=5/h resend=5/h;'
           . 'otpreg_global_limit register=4/5h resend=3/5h;');
    my @names = map { "otpreg_limited_total{limit=\"global\",kind=\"$_\"}" }
                qw(register resend);
    my @before = map { counter($_) } @names;

    is_deeply codes(map { $nginx->http_many([(nothing(client($_))) x 6]) }
                    11 .. 15),
              { challenge_failed => 25, client_limit => 5 },
              'wrong solutions: five of each, twenty-five in sum';
    my $form = form();
    my ($used, $flow) = map { signup(client(1), $_) } $form, form();
    is signup(client(1))->{status}, 201, 'somebody signs up three times';
    is $nginx->http(@{ verify(client(1), $used, code_for($form->{email})) })
       ->{status}, 200, 'and verifies once';

    my $resend = sub { ['POST', '/resend-otp',
                        from(client($_[0]), json => {},
                             cookie => $_[1]{cookie})] };
    is_deeply codes(map { my $c = $_;
                          map { $nginx->http(@{ $resend->($c, $used) }) } 1 .. 6
                    } 21 .. 25),
              { code_used => 25, client_limit => 5 },
              'no code is sent: five of each, twenty-five in sum';
    is_deeply codes(map { $nginx->http(@{ $resend->(1, $flow) }) } 1 .. 3),
              { 200 => 3 }, 'somebody has three';
    is_deeply [map { counter($_) } @names], \@before,
              'none was counted for all';
    is_deeply codes(map { $nginx->http(@{ $resend->(2, $flow) }) } 1 .. 2),
              { 200 => 1, client_limit => 1 }, 'but those that were sent';
};


subtest 'looks at what became of a code' => sub {
    limits('otpreg_client_limit verify=off wrong=off status=3/h;');
    my $res = signup(client(1));
    $nginx->http_many([map { verify(client(1), $res, '000000') } 1 .. 6]);
    my $look = sub {
        my ($client) = @_;
        my $got = $nginx->http('GET', '/verify-otp', cookie => $res->{cookie},
                               from($client));
        is $got->{status}, 200, 'the page';
        return $got->{body} =~ /\[(\w*)\]/ ? $1 : undef;
    };
    my $named = 'otpreg_limited_total{limit="client",kind="status"}';
    my $before = counter($named);
    is_deeply [map { $look->(client(1)) } 1 .. 5],
              [('code_spent') x 3, '', ''],
              'attack 25: over the limit it comes without a look';
    is $look->(client(2)), 'code_spent', 'another client has its own';
    is counter($named), $before + 2, 'counted';
    ok log_count(qr/a client reached the limit status=3\/3600s/), 'and told';
};


subtest 'a global limit of sign-ups' => sub {
    limits('otpreg_client_limit register=3/h;'
           . 'otpreg_global_limit register=5/h;');
    my @res = $nginx->http_many([map { robot(client(1)) } 1 .. 4]);
    is_deeply statuses(@res), { 201 => 3, 429 => 1 }, 'one client';
    @res = $nginx->http_many([map { robot(client(2)) } 1 .. 4]);
    is_deeply statuses(@res), { 201 => 2, 429 => 2 }, 'another one';
    @res = $nginx->http_many([map { robot(client(3)) } 1 .. 4]);
    is_deeply statuses(@res), { 201 => 1, 429 => 3 }, 'a third has one yet';
    cmp_ok +(grep { $_->{status} == 429 } @res)[0]{headers}{'retry-after'},
           '>', 3500, 'and waits';

    limits('otpreg_client_limit off; otpreg_global_limit register=5/2h;');
    @res = $nginx->http_many([map { robot(client(1)) } 1 .. 9]);
    is_deeply statuses(@res), { 201 => 6, 429 => 3 },
              'with no limit of clients: five, and one';
};


# so many forms from as many clients, with the answers' statuses

sub flood {
    my ($n, $client, $form) = @_;
    my $header = $form ? '' : "X-Idle: 1\r\n";

    # a worker that exits would close the connection in the midst

    wait_until(sub { $nginx->workers(old => 1) == $nginx->workers }, 30);

    return hammer($nginx->port, 4, $n / 4, sub {
        'POST /register', "${header}X-Forwarded-For: "
                           . $client->($_[0]) }, $form);
}


subtest 'attack 25: a full zone makes room' => sub {
    my $all = 'otpreg_limit_zone 32k;'
              . 'otpreg_client_limit register=2/h resend=2/h verify=9/h'
              . '                    wrong=2/h;'
              . 'otpreg_global_limit off;';
    limits($all);
    my $early = client(9000);
    my $flow = signup($early);
    is $flow->{status}, 201, 'somebody signs up';
    is signup($early)->{status}, 201, 'twice';
    is_deeply codes($nginx->http_many(
                  [map { verify($early, $flow, '000000') } 1 .. 3])),
              { code_wrong => 2, client_limit => 1 }, 'and guesses';

    is_deeply flood(2000, sub { client($_[0]) }), { 422 => 2000 },
              'two thousand other clients';
    is_deeply flood(2000, sub { sprintf '2001:db8:%x::1', $_[0] }),
              { 422 => 2000 }, 'two thousand IPv6 networks';
    cmp_ok counter('otpreg_limit_zone_full_total'), '>', 3000,
           'more than there is room for: it is counted';
    is log_count(qr{"otpreg_limit_zone" is full, for "register"}), 1,
       'and told once a minute';

    my $res = signup(client(3000));
    is $res->{status}, 201, 'somebody new signs up as if nothing were';
    is signup('2001:db8:ffff::1')->{status}, 201, 'also by IPv6';
    is $nginx->http('POST', '/resend-otp', from(client(3001), json => {},
                    cookie => $res->{cookie}))->{status}, 200, 'and resends';
    is $nginx->http(@{ verify(client(3002), $res, '000000') })->{json}{code},
       'code_wrong', 'and types a wrong code';

    is signup($early)->{status}, 429, 'who had reached a limit has still';
    is $nginx->http(@{ verify($early, $flow, '000000') })->{json}{code},
       'client_limit', 'and may not guess';

    # the counters are kept: only the guess in sum is new

    $net--;
    ok limits("$all" =~ s/global_limit off/global_limit wrong=2\/h/r),
       'a global limit';
    my $guess = sub {
        $nginx->http(@{ verify($_[0], $flow, '000000') })->{json}{code};
    };
    is_deeply [map { $guess->(client(3100 + $_ % 3)) } 0 .. 5],
              [('code_wrong') x 2, ('code_spent') x 1, ('client_limit') x 3],
              'is counted, and leaves one guess to each';
    is_deeply flood(2000, sub { client($_[0]) }), { 422 => 2000 },
              'two thousand other clients';
    is_deeply [map { $guess->(client(3110)) } 1 .. 2],
              ['code_spent', 'client_limit'], 'it was not forgotten';
};


subtest 'attack 41: a network in a full zone does not forget itself' => sub {
    limits('otpreg_limit_zone 40k; otpreg_client_limit register=2/h;'
           . 'otpreg_global_limit off;');

    is_deeply flood(2000, sub { client($_[0]) }), { 422 => 2000 },
              'the zone is full';
    is_deeply flood(2000, sub { sprintf '2001:db8:0:%x::1', $_[0] }),
              { 422 => 32, 429 => 1968 }, 'a /48: sixteen times two';
    is_deeply flood(100, sub { sprintf '2001:db8:%x::1', 1 + $_[0] % 10 }),
              { 422 => 20, 429 => 80 }, 'others';
    is_deeply flood(2000, sub { client(2000 + $_[0]) }), { 422 => 2000 },
              'the zone is full again';
    is_deeply flood(2000, sub { sprintf '2001:db8:0:%x::1', 8000 + $_[0] }),
              { 429 => 2000 }, 'the first has no new budget';
    is signup(client(5000))->{status}, 201, 'a client with IPv4';
};


subtest 'attack 25: those whose period is over make room' => sub {
    my $short = <<'END';
location = /short {
    otpreg_register /pages/register.html;
    otpreg_client_limit register=1/s;
}
END
    limits('otpreg_limit_zone 36k; otpreg_client_limit register=1/h;',
           config => $config . $short);
    my $early = client(9000);
    is signup($early)->{status}, 201, 'somebody signs up';

    my $first = 0;
    my $full = counter('otpreg_limit_zone_full_total');
    for my $round (1 .. 8) {
        is_deeply statuses($nginx->http_many([map {
            ['POST', '/short', from(client($first + $_), idle())]
        } 1 .. 100])), { 422 => 100 }, 'a hundred others';
        $first += 100;
        select undef, undef, undef, 1.1;
    }

    is counter('otpreg_limit_zone_full_total'), $full,
       'eight hundred had room, one after the other';
    is signup($early)->{status}, 429,
       'who has reached a limit of an hour has not got a new one';
    limits('', config => $config);
};


# a machine that was slow says nothing about periods: what takes longer than
# half of one is done again, with another client

sub in_time {
    my ($period, $sub) = @_;
    my @got;
    for my $c (1 .. 5) {
        my $slow = 0;
        @got = $sub->($c, sub {
            my $begin = time;
            my @res = $_[0]->();
            $slow = 1 if time - $begin > $period / 2;
            return @res;
        });
        last if !$slow;
    }
    return \@got;
}

subtest 'a counter whose period is over begins anew' => sub {
    limits('otpreg_global_limit off; otpreg_client_limit register=2/2s;');

    # nobody else comes, for whom a counter that is over would be freed

    is_deeply in_time(2, sub {
        my ($c, $timed) = @_;
        return map {
            my @res = $timed->(sub { map { $nginx->http(@{ nothing(client($c))
                                                         }) } 1 .. 3 });
            sleep 2.1;
            (join(' ', map { $_->{status} } @res),
             $res[2]{headers}{'retry-after'} // 9);
        } 1 .. 3;
    }), [('422 422 429', 2) x 3], 'two in each of three periods';
};


# a request that is under way when a period ends counts in that period

sub begin {
    my ($method, $path, %opt) = @{ $_[0] };
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $nginx->port)
               or die "connect: $!";
    syswrite $sock, OtpReg::HTTP::build_request($method, $path, \%opt);
    return $sock;
}

sub end {
    my ($sock) = @_;
    my $raw = do { local $/; <$sock> } // '';
    return OtpReg::HTTP::parse_call({ raw => $raw, begin => 0, ended => 0,
                                      method => 'POST' })->{status};
}

subtest 'what is given back is of its own period' => sub {
    limits('otpreg_client_limit register=off verify=off wrong=2/3s;');
    my $c = client(1);
    my @form = map { form() } 1 .. 2;
    my @signup = map { signup($c, $_) } @form;
    my ($right, $wrong) = map { code_for($_->{email}) } @form;
    $wrong = sprintf '%06d', ($wrong + 1) % 1000000;

    my $locker = fork() // die "fork: $!";
    if (!$locker) {
        sql("BEGIN; SELECT id FROM otps WHERE address = '$form[0]{email}'
             FOR UPDATE; DO SLEEP(3.9); ROLLBACK");
        POSIX::_exit(0);
    }
    ok wait_until(sub { sql('SELECT COUNT(*) FROM ' . db_processlist()
                            . " WHERE info LIKE 'DO SLEEP(3.9)%'") }, 10),
       'an OTP is locked';

    my $first = begin(verify($c, $signup[0], $right));
    sleep 3.1;
    my @then = map { $nginx->http(@{ verify($c, $signup[1], $wrong) }) }
               1 .. 3;
    is join(' ', map { $_->{status} } @then), '422 422 429',
       'two wrong ones are the limit of the next period';
    waitpid $locker, 0;
    is end($first), 200, 'a right one of the period before';
    is $nginx->http(@{ verify($c, $signup[1], $wrong) })->{status}, 429,
       'and they are still two';
};


subtest 'attack 41: one IPv6 customer' => sub {
    limits('otpreg_limit_zone 1m;');
    my $full = counter('otpreg_limit_zone_full_total');

    is_deeply flood(16384, sub { sprintf '2001:db8:77:%x::1', 4 * $_[0] }),
              { 422 => 320, 429 => 16064 },
              'twice as many networks of a /48 as there is room for: 16 x 20';
    is counter('otpreg_limit_zone_full_total'), $full,
       'the others keep their room';
    cmp_ok counter('otpreg_limited_total{limit="network",kind="register"}'),
           '>=', 16064, 'it is counted';
    is log_count(qr{its multiple of the limit register=20/600s}), 1,
       'and told';

    is signup(client(1))->{status}, 201, 'somebody with IPv4 signs up';
    is signup('2001:db8:78::1')->{status}, 201, 'and the next customer';
    is signup('2001:db8:77:1234::1')->{status}, 429, 'not this one';

    # a /56 of it alone

    is_deeply flood(1000, sub { sprintf '2001:db8:79:1%02x::1', $_[0] % 256 }),
              { 422 => 80, 429 => 920 }, 'a /56: four times twenty';
    is signup('2001:db8:79:200::1')->{status}, 201, 'its neighbour';
};


subtest 'attack 41: one left, for a network as well' => sub {
    limits('otpreg_client_limit register=3/h;'
           . 'otpreg_global_limit register=10/h;');
    is_deeply flood(12, sub { client($_[0] % 4) }, $robot),
              { 201 => 10, 429 => 2 }, 'the global limit is reached';
    is_deeply flood(1000, sub { sprintf '2001:db8:77:%x::1', $_[0] }, $robot),
              { 201 => 16, 429 => 984 }, 'sixteen from a /48';
    is_deeply flood(20, sub { client(100 + $_[0] % 10) }, $robot),
              { 201 => 10, 429 => 10 }, 'one of each of ten with IPv4';
};


subtest 'attack 41: networks as they are configured' => sub {
    limits('otpreg_limit_networks /60=2 /44=3 /51=2;'
           . 'otpreg_client_limit register=10/h;');
    is_deeply flood(100, sub { sprintf '3fff:0:1:%x::1', $_[0] % 16 }),
              { 422 => 20, 429 => 80 }, 'a /60';
    is_deeply flood(100, sub { sprintf '3fff:0:2:%x::1', $_[0] * 16 }),
              { 422 => 10, 429 => 90 }, 'a /44, of which it is one';
    is_deeply flood(100, sub { sprintf '3fff:0:10:1fff:%x::1', $_[0] }),
              { 422 => 10, 429 => 90 }, 'one client';
    is_deeply flood(100, sub { sprintf '3fff:0:10:%x::1', $_[0] * 64 }),
              { 422 => 10, 429 => 90 }, 'a /51 with it';
    is_deeply flood(100, sub { sprintf '3fff:0:10:%x::1',
                               0x2000 + $_[0] * 64 }),
              { 422 => 10, 429 => 90 }, 'the next one: the /44 is full';

    $net--;
    limits('otpreg_limit_networks off; otpreg_client_limit register=10/h;');
    is_deeply flood(100, sub { sprintf '3fff:0:1:%x::1', 256 + $_[0] }),
              { 422 => 100 }, 'off';
    limits('');
};


subtest 'attack 16: the limits know no addresses' => sub {
    limits('otpreg_client_limit register=30/h wrong=off;'
           . 'otpreg_global_limit off;');
    my $owned = form();
    my $flow = signup(client(1), $owned);
    my $code = code_for("$owned->{email}");
    is $nginx->http(@{ verify(client(1), $flow, $code) })->{status}, 200,
       'an owner';
    my $pending = form();
    is signup(client(1), $pending)->{status}, 201, 'a pending one';

    my %answers;
    for my $case ([11, owned => $owned], [12, pending => $pending],
                  [13, new => form()])
    {
        my ($c, $name, $form) = @$case;
        my @res;
        $net--, limits('otpreg_client_limit register=2/h;') if $c == 11;
        push @res, signup(client($c), { %$form, username => "t$c-$_" })
            for 1 .. 3;
        $res[2]{headers}{date} = '';
        my $retry = delete $res[2]{headers}{'retry-after'};
        cmp_ok $retry, '>', 3500, "$name: it waits";
        $answers{$name} = [map({ $_->{status} } @res), $res[2]{headers},
                           $res[2]{body}];
    }
    is $answers{new}[2], 429, 'the third is refused';
    is_deeply $answers{owned}, $answers{new}, 'owned as new';
    is_deeply $answers{pending}, $answers{new}, 'pending as new';
};


subtest 'who is a client' => sub {
    limits('otpreg_client_limit register=1/h;');
    my $one = sub { $nginx->http(@{ nothing($_[0]) })->{status} };

    is $one->('2001:db8:1:2::1'), 422, 'an IPv6 address';
    is $one->('2001:db8:1:2:ffff::9'), 429, 'another one of its /64';
    is $one->('2001:db8:1:3::1'), 422, 'another /64';
    is $one->('192.0.2.1'), 422, 'an IPv4 address';
    is $one->('192.0.2.2'), 422, 'another one';
    is $one->('::ffff:192.0.2.1'), 429, 'the first, mapped';
    is $one->('64:ff9b::192.0.2.2'), 429, 'the second, translated';
    is $one->('64:ff9b::192.0.2.3'), 422, 'a third one';

    is $one->('64:ff9b:1::192.0.2.4'), 422, 'translated by a local prefix';
    is $one->('64:ff9b:1::192.0.2.5'), 422, 'not all of them are one client';
    is $one->('64:ff9b:1::192.0.2.4'), 429, 'one of them is';
    is $one->('64:ff9b:1:c000:2:400::'), 422, 'with the address before the u';
    is $one->('64:ff9b:1:c000:2:500::'), 422, 'also another one';
    is $one->('64:ff9b:2::1'), 422, 'what is next to it is IPv6';
    is $one->('64:ff9b:2::2'), 429, 'with a /64';
    is $one->('2002:c000:206:1::1'), 422, '6to4';
    is $one->('2002:c000:206:2::9'), 429, 'another network of its /48';
    is $one->('192.0.2.6'), 429, 'the same client without';
    is $one->('2001:0:cb00:7101:0:4e20:3fff:fdf8'), 422,
       'Teredo: 192.0.2.7, by one server';
    is $one->('2001:0:cb00:7102:0:4e21:3fff:fdf8'), 429, 'by another one';
    is $one->('192.0.2.7'), 429, 'and without';
    is $one->('198.51.100.1, 192.0.2.9'), 422, 'behind a proxy';
    is $one->('203.0.113.5, 192.0.2.9'), 429, 'who says what it likes';
    is $nginx->http('POST', '/register', idle())->{status}, 422,
       'without the proxy';
    is $nginx->http('POST', '/register', idle())->{status}, 429,
       'that is a client, too';
};


subtest 'the answer' => sub {
    limits('otpreg_client_limit register=1/h resend=1/h verify=1/h;');
    my $form = form();
    my $flow = signup(client(1), $form);
    is $flow->{status}, 201, 'a sign-up';

    my $res = signup(client(1));
    is $res->{status}, 429, 'JSON';
    is $res->{headers}{'content-type'}, 'application/problem+json', 'problem';
    is_deeply $res->{json}, { type => 'about:blank', status => 429,
        code => 'client_limit', detail => 'Too many requests came from your '
        . 'network. Please try again in 60 minutes.' }, 'which';
    like $res->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'Retry-After';
    ok !$res->{cookie}, 'no cookie';

    $res = $nginx->http('POST', '/register',
                        from(client(1), form => form('kept+1')));
    is $res->{status}, 429, 'a page';
    like $res->{headers}{'content-type'}, qr{^text/(?:html|plain)}, 'its type';
    like $res->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'Retry-After';
    is $res->{body}, "[client_limit]\n[Too many requests came from your "
                     . "network. Please try again in 60 minutes.]\n[kept+1]\n",
       'says it, and keeps what was typed';

    my @resend = ('POST', '/resend-otp',
                  from(client(1), cookie => $flow->{cookie}));
    is $nginx->http(@resend)->{status}, 303, 'a resend';
    $res = $nginx->http(@resend);
    is $res->{status}, 429, 'the second';
    is $res->{body}, "verify [client_limit]\n", 'on the verify page';
    like $res->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'Retry-After';

    my @verify = @{ verify(client(1), $flow, '12') };
    is $nginx->http(@verify)->{status}, 422, 'a code';
    is $nginx->http(@verify)->{json}{code}, 'client_limit', 'the second';

    is $nginx->http('GET', $_, from(client(1), cookie => $flow->{cookie}))
       ->{status}, 200, "GET $_ is not limited"
        for ('/register', '/verify-otp') x 3;
    is signup(client(2))->{status}, 201, 'nor is another client';
};


subtest 'off, and what is inherited' => sub {
    my $more = <<'END';
location = /strict {
    otpreg_register /pages/register.html;
    otpreg_client_limit register=1/h;
}
location = /free {
    otpreg_register /pages/register.html;
    otpreg_client_limit off;
}
location = /same {
    otpreg_register /pages/register.html;
}
location = /other {
    otpreg_register /pages/register.html;
    otpreg_site other;
}
location = /verify-only {
    otpreg_register /pages/register.html;
    otpreg_client_limit verify=1/h;
}
END
    limits('otpreg_client_limit register=3/2h;', config => $config . $more);
    my $n = sub {
        my ($path, $c) = @_;
        return statuses($nginx->http_many(
            [map { ['POST', $path, from(client($c), idle())] } 1 .. 9]));
    };
    is_deeply $n->('/register', 1), { 422 => 3, 429 => 6 }, 'of http';
    is_deeply $n->('/same', 1), { 429 => 9 }, 'of the same site: used up';
    is_deeply $n->('/other', 1), { 422 => 3, 429 => 6 }, 'another site';
    is_deeply $n->('/strict', 2), { 422 => 1, 429 => 8 }, 'of the location';
    is_deeply $n->('/free', 2), { 422 => 9 }, 'off in the location';
    is_deeply $n->('/verify-only', 3), { 422 => 3, 429 => 6 },
              'the other parts are inherited';

    limits('otpreg_client_limit register=off; otpreg_global_limit off;');
    is_deeply $n->('/register', 1), { 422 => 9 }, 'a part is off';

    limits('');
    is_deeply statuses($nginx->http_many([map { nothing(client(1)) }
                                          1 .. 25])),
              { 422 => 20, 429 => 5 }, 'the default is 20 in ten minutes';
    limits('', config => $config);
};


subtest 'hot' => sub {
    limits('');
    my $hot = sub { $nginx->http('GET', $_[0], from(client(1)))->{body} };
    my $post = sub { $nginx->http('POST', '/hot', from(client(1), idle(),
                                  form => $nobody, json => undef)) };
    is $hot->('/hot'), 'hot:', 'nobody was here';
    $post->() for 1 .. 2;
    is $hot->('/hot'), 'hot:', 'the half is not hot';
    is $post->()->{body}, 'hot:1', 'above it';
    is $hot->('/hot'), 'hot:1', 'also for who comes next';
    is $hot->('/elsewhere'), 'hot:', 'but not where nobody signs up';
    is $nginx->http('GET', '/hot', from(client(2)))->{body}, 'hot:',
       'nor for other clients';

    limits('otpreg_client_limit off; otpreg_global_limit register=4/3h;');
    $nginx->http(@{ robot(client(3)) }) for 1 .. 3;
    is $nginx->http('GET', '/hot', from(client(4)))->{body}, 'hot:1',
       'all together';
};


# As fast as nginx can: the workers meet in the counters.  make says for each
# of n requests of each connection its first words and a header line; the
# answers are counted by their status.

sub hammer {
    my ($port, $connections, $n, $make, $form) = @_;
    my $body = JSON::PP::encode_json($form // $nobody);
    my $len = length $body;

    my @pids = map {
        my $i = $_;
        my $pid = fork() // die "fork: $!";
        if (!$pid) {
            my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                             PeerPort => $port)
                       or POSIX::_exit(1);
            my %n;
            my @k = map { $_ * $connections + $i - 1 } 0 .. $n - 1;
            while (my @batch = splice @k, 0, 50) {
                print $sock map {
                    my ($words, $header) = $make->($_);
                    "$words HTTP/1.1\r\nHost: localhost\r\n$header\r\n"
                    . "Content-Type: application/json\r\n"
                    . "Content-Length: $len\r\n\r\n$body";
                } @batch;
                $sock->flush;
                my ($seen, $text) = (0, '');
                while ($seen < @batch) {
                    sysread $sock, $text, 65536, length $text or last;
                    while ($text =~ s{^.*?HTTP/1\.1 (\d+) .*?\r\n\r\n}{}s) {
                        $n{$1}++;
                        $seen++;
                    }
                }
            }
            spew(test_dir() . "/hammer.$i", JSON::PP::encode_json(\%n));
            POSIX::_exit(0);
        }
        $pid;
    } 1 .. $connections;
    waitpid $_, 0 for @pids;

    my %sum;
    for my $i (1 .. $connections) {
        my $n = JSON::PP::decode_json(slurp(test_dir() . "/hammer.$i"));
        $sum{$_} += $n->{$_} for keys %$n;
        unlink test_dir() . "/hammer.$i";
    }
    return \%sum;
}

subtest 'attack 24: sixty thousand of ninety thousand' => sub {
    my $fast = OtpReg::Nginx->start($config, workers => 8, log_level => 'warn',
                                    http_config => "${base}access_log off;\n"
                                    . "otpreg_client_limit verify=60000/d;\n");
    my $cookie = signup(client(1))->{cookie};
    is_deeply hammer($fast->port, 12, 7500, sub {
                  'POST /verify-otp', "Cookie: $cookie" }),
              { 422 => 60000, 429 => 30000 }, 'exactly';
    is_deeply hammer($fast->port, 4, 1000, sub {
                  'POST /verify-otp', 'Cookie: otpreg=none' }),
              { 409 => 4000 }, 'who has no sign-up is not counted';
    is_deeply [$fast->bad_log_lines], [], 'nothing bad in the log';
    $fast->stop;
};


is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';


subtest 'limits that make no sense' => sub {
    my @cases = (
        ['otpreg_client_limit register=0/h;', 'invalid parameter "register=0/h"'],
        ['otpreg_client_limit register=5;', 'invalid parameter "register=5"'],
        ['otpreg_client_limit register=5/w;', 'invalid parameter "register=5/w"'],
        ['otpreg_client_limit register=5/3d;',
         'invalid parameter "register=5/3d"'],
        ['otpreg_client_limit register=200000000/h;',
         'invalid parameter "register=200000000/h"'],
        ['otpreg_client_limit send=5/h;', 'invalid parameter "send=..."'],
        ['otpreg_client_limit wrong=5/h wrong=6/h;',
         'invalid parameter "wrong=6/h"'],
        ['otpreg_client_limit off wrong=6/h;', 'invalid parameter "off"'],
        ['otpreg_client_limit off; otpreg_client_limit off;',
         '"otpreg_client_limit" directive is duplicate'],
        ['otpreg_global_limit wrong=/h;', 'invalid parameter "wrong=/h"'],
        map({ ["otpreg_limit_networks $_;", qq{invalid parameter "$_"}] }
            '/64=2', '/15=2', '48=2', '/48', '/48=0', '/48=', '/=2', 'on',
            '/48=1000001'),
        ['otpreg_limit_networks /48=2 /48=3;', 'invalid parameter "/48=3"'],
        ['otpreg_limit_networks /56=2 /48=3 /56=3;',
         'invalid parameter "/56=3"'],
        ['otpreg_limit_networks /20=9 /24=9 /28=9 /32=9 /36=9;',
         'invalid parameter "/36=9"'],
        ['otpreg_limit_networks off; otpreg_limit_networks off;',
         '"otpreg_limit_networks" directive is duplicate'],
        ['otpreg_limit_zone 16k;', 'zone size "16k" is too small'],
        ['otpreg_limit_zone big;', 'invalid zone size "big"'],
        ['otpreg_limit_zone 1m; otpreg_limit_zone 1m;',
         '"otpreg_limit_zone" directive is duplicate'],
    );
    for my $case (@cases) {
        $nginx->{http_config} = "$base$case->[0]\n";
        $nginx->write_conf;
        my ($status, $out) = $nginx->test_config;
        is $status, 1, $case->[0];
        like $out, qr/\[emerg\].*\Q$case->[1]\E.* in .*nginx\.conf:\d+/,
             $case->[1];
    }
};

done_testing();
