# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_response_time: answers that are held, and what may come to pass
# meanwhile.  Times are compared with "not before" only.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Env qw(free_port start_process);
use OtpReg::Nginx;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

my $password = 'correct horse battery staple';
my $h2 = free_port();
my $http2 = OtpReg::Env::http2();
my $dir = test_dir();

(my $http = default_http_config()) =~ s/otpreg_response_time off;//;
my $config = default_config() . <<"END";
listen 127.0.0.1:$h2 ssl$http2;
ssl_certificate $dir/cert.pem;
ssl_certificate_key $dir/key.pem;
location = /pages/register.html { return 200 "register"; }
location = /pages/verify.html { return 200 "verify"; }
END

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -keyout $dir/key.pem -out $dir/cert.pem 2>$dir/openssl.log") == 0
    or BAIL_OUT('openssl');

# longer than any stall of the machine that the test shall survive

sub config {
    my ($time) = @_;
    return (log_level => 'info', http_config => <<"END");
$http
otpreg_response_time $time;
otpreg_password_hash memory=7m operations=5;
otpreg_resend_delay 0;
END
}

my $nginx = OtpReg::Nginx->start($config, config('2s'));
my $n = 0;

sub form {
    my (%more) = @_;
    $n++;
    return { username => "r$n", email => "r$n\@example.com",
             password => $password, confirm_password => $password, %more };
}

sub raw {
    my ($path, $form, $more) = @_;
    my $body = OtpReg::HTTP::form_encode(%$form);
    return "POST $path HTTP/1.1\r\nHost: localhost\r\n" . ($more // '')
           . "Content-Type: application/x-www-form-urlencoded\r\n"
           . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

sub connection {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', Timeout => 10,
                                 PeerPort => $nginx->port) || die "$!\n";
}

# what comes until $pattern is in it, or the end

sub read_until {
    my ($sock, $pattern) = @_;
    my $raw = '';
    while ($raw !~ $pattern && IO::Select->new($sock)->can_read(60)) {
        sysread $sock, $raw, 65536, length $raw or last;
    }
    return $raw;
}

sub written { sql("SELECT COUNT(*) FROM users WHERE username = '$_[0]'") }


subtest 'the answer waits, its message does not' => sub {
    my $form = form();
    my $begin = time;
    my $sock = connection();
    print $sock raw('/register', $form);
    ok code_for($form->{email}, 30), 'the mail comes';
    ok !IO::Select->new($sock)->can_read(0), 'no answer yet';
    like read_until($sock, qr/\r\n\r\n/), qr{^HTTP/1.1 303 }, 'then it comes';
    cmp_ok time - $begin, '>=', 2, 'not before its time';
};


subtest 'all that the database was asked for' => sub {
    my $res = $nginx->http('POST', '/register', json => form());
    my $cookie = $res->{cookie};
    cmp_ok $res->{time}, '>=', 2, 'a sign-up';
    is_deeply [@{ $res->{json} }{qw(expires_in resend_in)}], [600, 0],
              'its seconds begin with the answer';
    my @asked = (
        [201, 'POST', '/register', json => form()],
        [422, 'POST', '/verify-otp', json => { otp => '000000' },
         cookie => $cookie],
        [200, 'POST', '/resend-otp', json => {}, cookie => $cookie],
        [200, 'GET', '/verify-otp', cookie => $cookie],
        [200, 'HEAD', '/verify-otp', cookie => $cookie],
    );
    my @res = $nginx->http_many([map { [@$_[1 .. $#$_]] } @asked]);
    for my $i (0 .. $#asked) {
        is $res[$i]{status}, $asked[$i][0], "$asked[$i][1] $asked[$i][2]";
        cmp_ok $res[$i]{time}, '>=', 2, 'was held';
    }
};


subtest 'a client that leaves is let go' => sub {
    my $form = form();
    my $sock = connection();
    print $sock raw('/register', $form);
    ok wait_until(sub { written($form->{username}) }, 30), 'it was written';
    close $sock;
    ok wait_until(sub { $nginx->access_log =~ m{"POST /register \S+" 499 } },
                  30), 'logged as one that left';
    ok code_for($form->{email}, 30), 'the mail is sent all the same';
};


# a table is locked by a client that waits for its input to end

sub with_lock {
    my ($table, $while) = @_;
    my $marker = "SELECT COUNT(*) FROM " . db_processlist()
                 . " WHERE info LIKE '%SLEEP(60)%' AND info NOT LIKE 'SELECT C%'";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>', '/dev/null';
        sql("LOCK TABLES $table WRITE; SELECT SLEEP(60)");
        POSIX::_exit(0);
    }
    ok wait_until(sub { sql($marker) }, 30), "$table: locked";
    $while->();
    sql('KILL QUERY ' . sql('SELECT id FROM ' . db_processlist()
                            . " WHERE info LIKE 'SELECT SLEEP(60)%'"));
    waitpid $pid, 0;
    return;
}

# so many of our statements wait for a table

sub blocked {
    my ($n) = @_;
    return wait_until(sub {
        sql('SELECT COUNT(*) FROM ' . db_processlist()
            . " WHERE state LIKE 'Waiting for table%'") == $n
    }, 30);
}

sub left { scalar(() = $nginx->access_log =~ /\Q$_[0]\E \S+" 499 /g) }

subtest 'who leaves while the database works is not held' => sub {
    $nginx->reload(config('10s'), wait => 30);
    my $form = form();
    my $before = left('POST /register');
    with_lock(users => sub {
        my $sock = connection();
        print $sock raw('/register', $form);
        ok blocked(1), 'the database works';
        close $sock;
        is $nginx->http('GET', '/register')->{status}, 200, 'and it is noticed';
    });
    ok wait_until(sub { written($form->{username}) }, 30),
       'a sign-up that had begun is written';
    ok wait_until(sub { left('POST /register') > $before }, 8),
       'and let go before its time';
};


subtest 'who leaves before the database works is not served' => sub {
    $nginx->reload(config('off'), wait => 30, main_config => join '', map {
        "thread_pool otpreg_$_ threads=1 max_queue=1000;\n"
    } qw(hash database mail));

    my @cookies = map {
        $nginx->http('POST', '/register', json => form())->{cookie}
    } 1 .. 5;
    my $verified = sub { scalar sql("SELECT SUM(attempts) FROM otps") };
    my ($attempts, $resent) = ($verified->(),
                               scalar sql("SELECT SUM(sends) FROM otps"));

    with_lock(otps => sub {
        my @socks = map { connection() } 0 .. 4;
        for my $i (0 .. 4) {
            my $path = ('/resend-otp', '/verify-otp')[$i % 2];
            my $sock = $socks[$i];
            print $sock raw($path, { otp => '000000' },
                            "Cookie: $cookies[$i]\r\n");
            ok blocked(1), 'the first one has the thread' if $i == 0;
        }
        is $nginx->http('GET', '/register')->{status}, 200, 'all were read';
        close $_ for @socks;
        is $nginx->http('GET', '/register')->{status}, 200, 'all have left';
    });
    ok wait_until(sub { left('POST /resend-otp') + left('POST /verify-otp')
                        == 5 }, 30), 'all are let go';

    is $nginx->http('POST', '/register', json => form())->{status}, 201,
       'the next is served';
    is $verified->(), $attempts, 'no code was tried';
    is sql('SELECT SUM(sends) FROM otps') - $resent, 2,
       'and sent was that of the first, whose work had begun, and the next';
};


# request and departure come in one piece: no event follows that would tell

subtest 'who has left before his request is read is not served' => sub {
    my @cookies = map {
        $nginx->http('POST', '/register', json => form())->{cookie}
    } 1 .. 4;
    my $attempts = sql('SELECT SUM(attempts) FROM otps');
    my $before = left('POST /verify-otp');
    my ($worker) = $nginx->workers;
    my $try = sub {
        my ($cookie) = @_;
        my $sock = connection();
        print $sock raw('/verify-otp', { otp => '000000' },
                        "Cookie: $cookie\r\n");
        $sock->flush;
        return $sock;
    };

    with_lock(otps => sub {
        my $first = $try->(shift @cookies);
        ok blocked(1), 'the first one has the thread';
        kill 'STOP', $worker;
        close $try->($_) for @cookies;
        kill 'CONT', $worker;
        is $nginx->http('GET', '/register')->{status}, 200, 'all were read';
        close $first;
    });
    ok wait_until(sub { left('POST /verify-otp') == $before + 4 }, 30),
       'all are let go';
    cmp_ok sql('SELECT SUM(attempts) FROM otps') - $attempts, '<=', 1,
           'none of their codes was tried';
};


subtest 'a short time is not held up by a long one' => sub {
    my %config = config('4s');
    $nginx->reload(%config, wait => 30, config => "$config
        location = /soon { otpreg_register /p; otpreg_response_time 100ms; }");
    my @res = $nginx->http_many([map { ['POST', $_, json => form()] }
                                 '/register', '/soon']);
    is "@$_{status}", 201, 'signed up' for @res;
    cmp_ok $res[1]{time}, '<', $res[0]{time} - 1, 'the second is the first';
};


subtest 'who stops a page and sends its form once more' => sub {
    my %config = config('off');
    $config{http_config} =~ s/memory=7m operations=5/memory=64m operations=9/;
    $config{http_config} .= "otpreg_form_time 1ms;\n";
    $nginx->reload(%config, wait => 30, config => $config
        =~ s/return 200 "register"/return 200 "[\$otpreg_form_token]"/r);

    my ($token) = $nginx->http('GET', '/register')->{body} =~ /\[(\S+)\]/;
    my $form = form(form_token => $token);
    select undef, undef, undef, 0.01;
    my $sock = connection();
    print $sock raw('/register', $form);
    is $nginx->http('GET', '/register')->{status}, 200, 'it was read';
    close $sock;

    my $res = $nginx->http('POST', '/register', form => $form, timeout => 60);
    is $res->{status}, 303, 'the second is answered';
    is written($form->{username}), 1, 'but it is one sign-up';
    is $nginx->http('POST', '/verify-otp', cookie => $res->{cookie},
                    json => { otp => code_for($form->{email}, 30) })->{status},
       200, 'whose code is right';
};


subtest 'keepalive and pipelining' => sub {
    $nginx->reload(config('2s'), wait => 30);
    my $sock = connection();
    my @forms = map { form() } 1 .. 3;
    my $begin = time;
    print $sock map { raw('/register', $_) } @forms;
    my $raw = read_until($sock, qr/(?:303.*?){3}\r\n\r\n$/s);
    my @statuses = $raw =~ m{^HTTP/1.1 (\d+)}mg;
    is "@statuses", '303 303 303', 'three answers on a connection';
    cmp_ok time - $begin, '>=', 6, 'one after the other';
    is written($_->{username}), 1, 'written' for @forms;
};


subtest 'HTTP/2' => sub {
    plan skip_all => 'nginx without HTTP/2' if !$http2;

    my $url = "https://localhost:$h2/register";
    my @bodies = map { OtpReg::HTTP::form_encode(%{ form() }) } 1 .. 3;
    my $begin = time;
    my $curl = "-sk --http2 -o $dir/out -w '%{http_version} %{http_code}\n'";
    my $out = `curl $curl -d '$bodies[0]' $url --next $curl -d '$bodies[1]' $url`;
    is $out, "2 303\n2 303\n", 'two on a connection';
    cmp_ok time - $begin, '>=', 4, 'each held';

    my $before = () = $nginx->access_log =~ / 499 /g;
    my $pid = start_process({ log => "$dir/curl.log" }, 'curl', '-sk',
        '--http2', '-d', $bodies[2], $url);
    ok wait_until(sub { written("r$n") }, 30), 'a third is written';
    kill 'KILL', $pid;
    waitpid $pid, 0;
    ok wait_until(sub { (() = $nginx->access_log =~ / 499 /g) > $before }, 30),
       'and let go when its client is gone';
};


subtest 'work that is longer than the time' => sub {
    $nginx->reload(config('1s'), wait => 30);
    my $form = form();
    my $sock = connection();
    my $lock = fork() // die "fork: $!\n";
    if (!$lock) {
        sql("LOCK TABLES users WRITE; SELECT SLEEP(1.5)");
        POSIX::_exit(0);
    }
    ok wait_until(sub { sql("SELECT COUNT(*) FROM " . db_processlist() . "
                             WHERE info LIKE 'SELECT SLEEP%'") }, 30),
       'the table is locked';
    my $begin = time;
    print $sock raw('/register', $form);
    waitpid $lock, 0;
    my $unlocked = time - $begin;
    like read_until($sock, qr/\r\n\r\n/), qr{^HTTP/1.1 303 }, 'it succeeds';
    cmp_ok time - $begin, '>=', POSIX::ceil($unlocked - 0.25),
           "work of $unlocked s ends at the next whole multiple";
    cmp_ok time - $begin, '>=', 1, 'and never before the first';
};


subtest 'the default is half a second' => sub {
    my %config = config('2s');
    $config{http_config} =~ s/otpreg_response_time 2s;//;
    $nginx->reload(%config, wait => 30);
    cmp_ok $nginx->http('POST', '/register', json => form())->{time}, '>=',
           0.5, 'not before that';
};


subtest 'answers that tell nothing do not wait' => sub {
    $nginx->reload(config('10s'), wait => 30);
    is $nginx->http('GET', '/register', timeout => 8)->{status}, 200, 'a form';
    is $nginx->http('POST', '/register', timeout => 8,
                    json => form(email => 'x'))->{status}, 422, 'a field';
    is $nginx->http('POST', '/register', timeout => 8, json => form(),
                    headers => { Origin => 'https://evil.example' })
       ->{status}, 403, 'another site';
    is $nginx->http('POST', '/resend-otp', timeout => 8, json => {})
       ->{status}, 409, 'no sign-up';
};


subtest 'a worker that shuts down answers first' => sub {
    $nginx->reload(config('2s'), wait => 30);
    my $form = form();
    my $sock = connection();
    print $sock raw('/register', $form);
    ok wait_until(sub { written($form->{username}) }, 30), 'it was written';
    kill 'QUIT', $nginx->pid;
    ok wait_until(sub { $nginx->error_log =~ /gracefully shutting down/ }, 30),
       'the worker shall end';
    like read_until($sock, qr/\r\n\r\n/), qr{^HTTP/1.1 303 }, 'the answer';
    ok $nginx->quit(60), 'then it ends';
};

is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
