# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Clients that leave, are slow, pipeline, or speak HTTP/2; a worker that is told
# to go while it works for them.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use IO::Socket::INET;
use Test::More;

my $password = 'correct horse battery staple';
my $examples = OtpReg::Env::root_dir() . '/conf-examples';
my $h2 = OtpReg::Env::free_port();
my $dir = test_dir();

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null") == 0
    or BAIL_OUT('openssl');

my $nginx = OtpReg::Nginx->start(default_config() . <<"END",
listen 127.0.0.1:$h2 ssl http2;
ssl_certificate $dir/cert.pem;
ssl_certificate_key $dir/key.pem;
client_body_timeout 2s;
location /pages/ { root $examples; }
END
    log_level => 'debug', http_config => default_http_config() . <<'END');
otpreg_password_hash memory=19m operations=6;
otpreg_resend_delay 0;
ssi on;
END

my $n = 0;

sub form {
    $n++;
    return OtpReg::HTTP::form_encode(username => "u$n",
        email => "u$n\@example.com", password => $password,
        confirm_password => $password);
}

sub request {
    my ($body, %headers) = @_;
    my $more = join '', map { "$_: $headers{$_}\r\n" } sort keys %headers;
    return "POST /register HTTP/1.1\r\nHost: localhost\r\n$more"
           . "Content-Type: application/x-www-form-urlencoded\r\n"
           . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

sub connection {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $nginx->port) || die $!;
}

sub users { sql('SELECT COUNT(*) FROM users') }

# what a connection answers until it is closed or there are $n answers

sub answers {
    my ($sock, $n) = @_;
    my $text = '';
    my $select = IO::Select->new($sock);
    while ((() = $text =~ m{^HTTP/1.1 }mg) < $n && $select->can_read(20)) {
        sysread($sock, $text, 65536, length $text) or last;
    }
    return $text =~ m{^HTTP/1.1 (\d+)}mg;
}


subtest 'clients that leave at once: their sign-ups are finished' => sub {
    my $before = users();
    for (1 .. 10) {
        my $sock = connection();
        $sock->print(request(form()));
        $sock->flush;
        close $sock;
    }
    ok wait_until(sub { users() == $before + 10 }, 30), 'ten users';
    ok wait_mail("u$n\@example.com", 20), 'and their mails';
};


subtest 'clients that leave by a reset' => sub {
    my $before = users();
    for (1 .. 5) {
        my $sock = connection();
        $sock->print(request(form()));
        $sock->flush;
        select undef, undef, undef, 0.05;
        setsockopt $sock, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
                   pack 'll', 1, 0;
        close $sock;
    }
    ok wait_until(sub { users() == $before + 5 }, 30), 'five users';
};


subtest 'a body byte by byte, one that stops, one that is too short' => sub {
    my $body = form();
    my $sock = connection();
    for (split //, request($body, Connection => 'close')) {
        $sock->print($_);
        $sock->flush;
    }
    is_deeply [answers($sock, 1)], [303], 'byte by byte';

    $sock = connection();
    $sock->print(substr request(form()), 0, -10);
    $sock->flush;
    is_deeply [answers($sock, 1)], [], 'one that stops is closed';

    $sock = connection();
    $sock->print(substr request(form()), 0, -10);
    $sock->shutdown(1);
    is_deeply [answers($sock, 1)], [], 'one that ends is, too';
};


subtest 'keepalive and pipelining' => sub {
    my $sock = connection();
    my $get = "GET /register HTTP/1.1\r\nHost: localhost\r\n\r\n";
    $sock->print(request(form()) . $get . request(form()) . $get);
    $sock->flush;
    is_deeply [answers($sock, 4)], [303, 200, 303, 200], 'four, in order';

    $sock->print(request('username=%zz') . $get
                 . "POST /resend-otp HTTP/1.1\r\nHost: localhost\r\n"
                 . "Content-Type: application/x-www-form-urlencoded\r\n"
                 . "Content-Length: 0\r\n\r\n" . $get
                 . "POST /register HTTP/1.1\r\nHost: localhost\r\n"
                 . "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
                 . $get);
    $sock->flush;
    is_deeply [answers($sock, 6)], [400, 200, 404, 200, 415, 200],
              'refused ones, too';
};


subtest 'Expect: 100-continue' => sub {
    my $sock = connection();
    my $body = form();
    my ($head) = request($body, Expect => '100-continue') =~ /^(.*\r\n\r\n)/s;
    $sock->print($head);
    $sock->flush;
    is_deeply [answers($sock, 1)], [100], 'continue';
    $sock->print($body);
    $sock->flush;
    is_deeply [answers($sock, 1)], [303], 'and see other';
};


subtest 'HTTP/2' => sub {
    my $curl = "curl -sk --http2 --max-time 30 https://localhost:$h2";
    my $body = form();
    like `$curl/register -d '$body' -i`, qr{^HTTP/2 303 \r\n.*location: /verify-otp\r\n}s,
         'a sign-up';
    my $before = users();
    my @pids;
    for (1 .. 4) {
        my $body = form();
        push @pids, OtpReg::Env::start_process({ log => "$dir/curl.log" }, 'curl', '-sk',
            '--http2', '--max-time', '0.05', "https://localhost:$h2/register",
            '-d', $body);
    }
    waitpid $_, 0 for @pids;
    is `$curl/register -o /dev/null -w '%{http_code}'`, 200,
       'streams that were reset do no harm';
    like `printf '%20000s' | $curl/register -d \@- -i`, qr{^HTTP/2 413}, 'too large';
};


subtest 'all handlers in parallel, on cut connections' => sub {
    my $res = $nginx->http('POST', '/register', body => form(), timeout => 60,
        headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
    my $cookie = $res->{cookie};
    my $before = users();
    my @socks;
    for my $i (1 .. 60) {
        my ($path, $body) = @{ (['/verify-otp', 'otp=000000'],
            ['/resend-otp', ''], ['/register', form()])[$i % 3] };
        my $sock = connection();
        $sock->print("POST $path HTTP/1.1\r\nHost: localhost\r\n"
            . "Cookie: $cookie\r\n"
            . "Content-Type: application/x-www-form-urlencoded\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
        $sock->flush;
        push @socks, $sock;
        close shift @socks if @socks > 5 && rand() < 0.7;
    }
    close $_ for @socks;
    ok wait_until(sub { users() == $before + 20 }, 60),
       'every sign-up is finished';
};


subtest 'a graceful end while requests wait' => sub {
    my $before = users();
    my @socks = map {
        my $sock = connection();
        $sock->print(request(form(), Connection => 'close'));
        $sock->flush;
        $sock;
    } 1 .. 6;
    ok wait_until(sub { users() > $before }, 30), 'they are being worked on';
    my $old = ($nginx->workers)[0];
    ok $nginx->reload(wait => 60), 'reload';
    is_deeply [map { answers($_, 1) } @socks], [(303) x 6], 'all are answered';
    is users(), $before + 6, 'and written';
};


ok $nginx->quit(30), 'ends by itself';
is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';

done_testing();
