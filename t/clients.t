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
use OtpReg::Wire;
use IO::Socket::INET;
use Test::More;

my $password = 'correct horse battery staple';
my $examples = OtpReg::Env::root_dir() . '/conf-examples';
my $h2 = OtpReg::Env::free_port();
my $http2 = OtpReg::Env::http2();
my $dir = test_dir();

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null") == 0
    or BAIL_OUT('openssl');

my $config = default_config() =~ s{/pages/verify\.html}{/pages/verify-otp.html}r;
my $nginx = OtpReg::Nginx->start($config . <<"END",
listen 127.0.0.1:$h2 ssl$http2;
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
    is_deeply [answers($sock, 6)], [400, 200, 409, 200, 415, 200],
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
    plan skip_all => 'nginx without HTTP/2' if !$http2;

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

    # as large as the buffer, and its length is not told

    my $json = "-H 'Content-Type: application/json'";
    like `printf '%131072s' | $curl/register -X POST -T - -i $json`,
         qr{^HTTP/2 413},
         'what fills the buffer';
    unlike $nginx->error_log, qr/buffered to a temporary file/,
           'is not written to a file';
};


# Attack 27: whatever a body is, the answer is the right refusal, in the form
# that the client understands, and nothing is written.

my $form = 'application/x-www-form-urlencoded';
my $few = join '&', map { "f$_=$_" } 1 .. 50;
my $many = join '&', map { "f$_=$_" } 1 .. 1500;
my $too_many = join '&', map { "f$_=$_" } 1 .. 10_000;
my $gzip = "\x1f\x8b\x08\0\0\0\0\0\0\3" . 'x' x 200;

my @bodies = (
    ['over 16 KB', 413, body => 'a=' . 'x' x 17_000],
    ['over 128 KB', 413, body => 'a=' . 'x' x 200_000],
    ['over 128 KB, to verify', 413, body => 'a=' . 'x' x 200_000,
     path => '/verify-otp'],
    ['over 128 KB, to resend', 413, body => 'a=' . 'x' x 200_000,
     path => '/resend-otp'],
    ['over 16 KB in chunks', 413, chunks => 'a=' . 'x' x 40_000],
    ['over 128 KB in chunks', 413, chunks => 'a=' . 'x' x 200_000],
    ['a length of 1 TB', 413, length => 1e12],
    ['compressed', 415, body => $gzip, encoding => 'gzip'],
    ['compressed, as it says, in JSON', 415, body => '{}', encoding => 'br',
     type => 'application/json'],
    ['compressed, as nobody says', 400, body => "username=\x1f\0" . $gzip],
    ['50 fields', 422, body => $few],
    ['1,500 fields', 400, body => $many],
    ['10,000 fields', 413, body => $too_many],
    ['a field twice', 400, body => 'username=a&username=b'],
    ['a member twice', 400, body => '{"email":"a@b.c","email":"d@e.f"}',
     type => 'application/json'],
    ['deep JSON', 400, body => '{"a":' x 2000 . '1' . '}' x 2000,
     type => 'application/json'],
    ['an array for a member', 400, body => '{"email":["a@b.c"]}',
     type => 'application/json'],
    ['JSON as a form', 422, body => '{"email":"a@b.c"}'],
    ['a form as JSON', 400, body => 'email=a', type => 'application/json'],
    (map { ["the type $_", 415, body => 'email=a', type => $_] }
         'text/plain', 'multipart/form-data; boundary=x', 'application/xml',
         'text/plain; x=application/json', ''),
);

for my $case (@bodies) {
    my ($what, $status, %opt) = @$case;
    my $path = $opt{path} // '/register';

    subtest "attack 27: a body: $what" => sub {
        for my $accept ('application/json', 'text/html') {
            my $body = $opt{body} // '';
            my $head = join '', map { "$_\r\n" } "POST $path HTTP/1.1",
                'Host: localhost', "Accept: $accept",
                'Content-Type: ' . ($opt{type} // $form),
                $opt{encoding} ? "Content-Encoding: $opt{encoding}" : (),
                $opt{chunks} ? 'Transfer-Encoding: chunked'
                : 'Content-Length: ' . ($opt{length} // length $body);
            $body = join '', (map { sprintf "%x\r\n%s\r\n", length, $_ }
                                  unpack '(a9000)*', $opt{chunks}), "0\r\n\r\n"
                if $opt{chunks};

            my $wire = OtpReg::Wire->new($nginx->port);
            $wire->put("$head\r\n$body");
            my $res = $wire->answer('POST');

            is $res->{status}, $status, "$accept: $status" or diag explain $res;
            is $res->{headers}{'x-content-type-options'}, 'nosniff',
               'with the headers of a page';
            is $res->{headers}{'cache-control'}, 'no-store', 'not cached';
            next if $accept eq 'text/html' && ($opt{type} // '') !~ m{^application/json};
            like $res->{body}, qr/\A\{.*"status":$status,"code":"\w+"/,
                 'a problem document';
        }

        is sql("SELECT COUNT(*) FROM users
                WHERE username NOT REGEXP '^u[0-9]+\$'"), 0,
           'nothing is written';
    };
}


subtest 'attack 27: an error_page 413 of the administrator is used' => sub {
    my $own = OtpReg::Nginx->start("error_page 413 /too-large;\n"
        . "error_page 404 /none;\nlocation = /none { return 200 none; }\n"
        . "location = /too-large { return 413 mine; }\n" . default_config(),
        http_config => default_http_config());
    is $own->http('POST', '/register', json => { a => 'x' x 200_000 })->{body},
       'mine', 'and not ours';
    $own->quit;

    $own = OtpReg::Nginx->start("error_page 404 =200 /none;\n"
        . "location = /none { return 200 none; }\n" . default_config(),
        http_config => default_http_config());
    is $own->http('POST', '/register', json => { a => 'x' x 200_000 })
        ->{json}{code}, 'body_too_large', 'ours beside others that are';
    is $own->http('GET', '/courier/mail')->{body}, 'none', 'inherited';
    ok $own->quit, 'ends by itself';
};


subtest 'attack 27: HTTP/2 streams that are reset at every moment' => sub {
    plan skip_all => 'nginx without HTTP/2' if !$http2;

    my $frame = sub { pack('NCN', length($_[3] // '') << 8 | $_[0], @_[1, 2])
                      . ($_[3] // '') };
    my $field = sub { "\x10" . chr(length $_[0]) . $_[0] . chr(length $_[1])
                      . $_[1] };
    my $port = OtpReg::Env::free_port();
    my $plain = OtpReg::Nginx->start("listen 127.0.0.1:$port http2;\n"
        . default_config(), http_config => default_http_config()
        . "otpreg_password_hash memory=7m operations=5;\n");

    for my $moment (1 .. 40) {
        my $wire = OtpReg::Wire->new($port);
        my $bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . $frame->(4, 0, 0);
        for my $id (1, 3, 5) {
            my $body = form();
            $bytes .= $frame->(1, 4, $id, join '', map { $field->(@$_) }
                [':method', 'POST'], [':path', '/register'],
                [':scheme', 'http'], [':authority', 'localhost'],
                ['content-type', $form], ['content-length', length $body])
                . $frame->(0, $moment % 2, $id, substr $body, 0,
                           $moment % 2 ? length $body : 20)
                . ($moment % 3 ? $frame->(3, 0, $id, pack 'N', 8) : '');
        }
        $wire->put($bytes);
        select undef, undef, undef, 0.002 * ($moment % 10);
        $wire->put($frame->(3, 0, $_, pack 'N', 8)) for 1, 3, 5;
        $wire->end;
    }

    is $plain->http('GET', '/register')->{status}, 404, 'it answers';
    ok $plain->quit(30), 'and ends by itself';
    is_deeply [$plain->bad_log_lines], [], 'with nothing bad in the log';
    is sql('SELECT COUNT(*) FROM users WHERE email_verified_at IS NOT NULL'), 0,
       'nobody is verified';
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
