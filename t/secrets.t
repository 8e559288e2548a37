# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attack 30: neither the database, nor the error log at debug level, nor the
# memory of a worker after the requests give away a password or a code.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use IO::Select;
use IO::Socket::INET;
use Test::More;

my $http = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n"
           . "otpreg_code_length 10;\nssi on;\nssi_types text/plain;\n"
           . "types { text/html html; text/plain txt; }\n";
my $examples = OtpReg::Env::root_dir() . '/conf-examples';

# ten digits, so that chance does not find one

my $nginx = OtpReg::Nginx->start(default_config() . <<"END",
otpreg_mail_text /mail/en/\$otpreg_template.txt;
otpreg_mail_html /mail/en/\$otpreg_template.html;
location /pages/ { root $examples; }
location /mail/ { internal; root $examples; }
END
    http_config => $http, log_level => 'debug');

my (@passwords, @codes);
my $n = 0;

sub password {
    push @passwords, 'pw-' . join '', map { chr 97 + rand 26 } 1 .. 30;
    return $passwords[-1];
}

# where a text stands in the memory of a process, plain, escaped or in UTF-16

sub in_memory {
    my ($pid, @texts) = @_;
    no warnings 'portable';            # of hex(), for 64 bits
    my ($re) = map { qr/$_/ } join '|', map { quotemeta } @texts;
    my %found;

    open my $maps, '<', "/proc/$pid/maps" or die "maps: $!";
    open my $mem, '<:raw', "/proc/$pid/mem" or die "mem: $!";

    for (<$maps>) {
        my ($from, $to, $mode, $name) = /^(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)/;
        next if $mode !~ /^rw/;
        ($from, $to) = (hex $from, hex $to);
        sysseek $mem, $from, 0 or next;
        sysread $mem, my $bytes, $to - $from or next;
        $found{"$& in " . ($name || 'anonymous memory')}++
            while $bytes =~ /$re/g;
    }

    my @found = sort keys %found;
    return @found;
}

sub wait_finished {
    wait_until(sub { sql('SELECT COUNT(*) FROM messages
                          WHERE due_at IS NOT NULL') == 0 }, 20);
}


for my $type (qw(form json)) {
    $n++;
    my $to = "u$n\@example.com";
    my $password = password();

    my $res = $nginx->http('POST', '/register', $type => {
        username => "u$n", email => $to, password => $password,
        confirm_password => $password });
    like $res->{status}, qr/^(?:201|303)$/, "$type: a sign-up";

    my $code = code_for($to);
    push @codes, $code;

    $nginx->http('POST', '/verify-otp', cookie => $res->{cookie},
                 $type => { otp => sprintf '%010d', ($code + 1) % 1e10 });
    $res = $nginx->http('POST', '/verify-otp', cookie => $res->{cookie},
                        $type => { otp => $code });
    like $res->{status}, qr/^(?:200|303)$/, "$type: verified";

    $password = password();
    $res = $nginx->http('POST', '/register', $type => {
        username => 'x y', email => $to, password => $password,
        confirm_password => password() });
    is $res->{status}, 422, "$type: a refused form";
    unlike $res->{raw}, qr/\Q$password\E/, "$type: without the password";
}

# chunks, a pipelined rest, a form that is cut off, a body too large

my $json = sprintf '{"username":"c","email":"c@example.com","password":"%s",'
                   . '"confirm_password":"%1$s"}', password();
$nginx->http('POST', '/register', raw => "POST /register HTTP/1.1\r\n"
    . "Host: localhost\r\nConnection: close\r\n"
    . "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    . join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
               unpack '(a40)*', $json) . "0\r\n\r\n");
push @codes, code_for('c@example.com');

is $nginx->http('POST', '/register', form => { username => 'y' x 20000,
    password => password() })->{status}, 413, 'too large';
is $nginx->http('POST', '/register', headers => {
        'Sec-Fetch-Site' => 'cross-site' }, form => { password => password()
    })->{status}, 403, 'of another site';
is $nginx->http('POST', '/register', headers => {
        'Content-Type' => 'text/plain' }, body => 'password=' . password()
    )->{status}, 415, 'of another type';

for my $i (1 .. 20) {
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $nginx->port) or die $!;
    my $body = 'password=' . password() . '&x=' . 'y' x (200 * $i);
    print $sock "POST /register HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n"
        . 'Content-Length: ' . (length($body) + 10) . "\r\n\r\n";
    $sock->flush;
    select undef, undef, undef, 0.02 if $i % 2;
    print $sock $body;
    $sock->flush;
    close $sock;
}

smtp_behave({ cmd => 'RCPT', reply => '550 no', times => 1 });
$nginx->http('POST', '/register', json => { username => 'refused',
    email => 'refused@example.com', password => password(),
    confirm_password => $passwords[-1] });
wait_finished();

is scalar(grep { /^\d{10}$/ } @codes), 3, 'three codes were sent';


# while the answer waits for its time, the password is needed no longer

{
    (my $held = $http) =~ s/otpreg_response_time off;/otpreg_response_time 10s;/;
    $nginx->reload(http_config => $held, wait => 30);
    my $password = password();
    my $body = OtpReg::HTTP::form_encode(username => 'held',
        email => 'held@example.com', password => $password,
        confirm_password => $password);
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $nginx->port) or die $!;
    print $sock "POST /register HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $sock->flush;
    ok wait_until(sub { sql('SELECT COUNT(*) FROM users
                             WHERE username = "held"') }, 8), 'written';
    my ($worker) = $nginx->workers;
    is_deeply [in_memory($worker, $password)], [],
              'attack 30: no password in memory while the answer is held';
    ok !IO::Select->new($sock)->can_read(0), 'for it was held all the while';
    push @codes, code_for('held@example.com');
    close $sock;
    $nginx->reload(http_config => $http, wait => 30);
}

my ($worker) = $nginx->workers;
wait_until(sub { !in_memory($worker, @passwords, @codes) }, 10, 0.5);
is_deeply [in_memory($worker, @passwords)], [], 'attack 30: no password in memory';
is_deeply [in_memory($worker, @codes)], [], 'attack 30: no code in memory';
ok scalar(in_memory($worker, 'noreply@example.com')),
   'what is no secret is found: the search works';

my $log = $nginx->error_log;
like $log, qr/\[debug\]/, 'the log is at debug level';
is_deeply [grep { index($log, $_) >= 0 } @passwords, @codes], [],
          'attack 30: no password and no code in the error log';

my $dump = join "\n", map { join '|', map { $_ // 'NULL' } @$_ }
           map { sql("SELECT * FROM $_") } qw(users otps messages);
like $dump, qr/u1\@example\.com/, 'the database has the users';
is_deeply [grep { index($dump, $_) >= 0 } @passwords, @codes], [],
          'attack 30: and no password and no code';

my $key = slurp($ENV{TEST_NGINX_KEY_FILE});
$key =~ s/^\S+ //;
chomp $key;
is index($log, $key), -1, 'no key in the log';
is_deeply [in_memory($worker, $key)], [], 'no key file in memory';

is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';
ok $nginx->quit(20), 'ends by itself';

done_testing();
