# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A list of breached passwords, which a stand-in plays.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Provider;
use Digest::SHA qw(sha1_hex);
use Encode qw(encode_utf8);
use Test::Nginx::Socket 'no_plan';

our $Port = provider_start();
spew(test_dir() . '/blocklist', "a very common password\n");
our $Password = 'correct horse battery staple';

our $Http = OtpReg::default_http_config() . <<"EOC";
ssi on;
proxy_cache_path $ENV{TEST_NGINX_TEST_DIR}/ranges keys_zone=ranges:1m;
EOC
our $Config = OtpReg::default_config() . <<"EOC";
location = /status { otpreg_status; }

location = /breach {
    internal;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Add-Padding true;
    proxy_pass http://127.0.0.1:$Port/range/\$otpreg_password_prefix;
}
EOC
our $Page = ">>> pages/register.html\n"
    . join ' ', map { qq{$_=[<!--# echo var="otpreg_$_" encoding="entity"}
                      . qq{ default="" -->]} }
                qw(error_code error_password email);

sub fields {
    my ($password, %more) = @_;
    state $n = 0;
    $n++;
    return { username => "u$n", email => "u$n\@example.com",
             password => $password, confirm_password => $password, %more };
}

sub post {
    my ($path, $password, %more) = @_;
    return http('POST', $path, json => fields($password, %more),
                timeout => 30);
}

sub errors { [map { "$_->{field} $_->{code}" } @{ $_[0]{json}{errors} }] }
sub hash { uc sha1_hex(encode_utf8($_[0])) }
sub users { sql('SELECT COUNT(*) FROM users') }
sub asked { scalar provider_requests() }

# an answer with $n others, the password itself $count times, and padding

sub range {
    my ($password, $count, $n, %more) = @_;
    srand 1;
    my @lines = map { sprintf '%s:%d', uc(substr sha1_hex($_), 5), $_ }
                1 .. $n // 900;
    push @lines, map { uc(substr sha1_hex("x$_"), 5) . ':0' } 1 .. 30;
    splice @lines, @lines / 2, 0, substr(hash($password), 5) . ":$count"
        if defined $count;
    return { status => 200, body => join("\r\n", @lines), %more };
}

sub metric {
    my ($result) = @_;
    http('GET', '/status')->{body}
        =~ /^otpreg_breach_checks_total\{result="$result"\} (\d+)$/m;
    return $1;
}

# the example, with the stand-in for the service

sub example {
    my ($name) = @_;
    my $conf = slurp("conf-examples/breach/$name.conf");
    $conf =~ s{proxy_pass https}{proxy_pass http};
    $conf =~ s{^    server \S+:443}{    server 127.0.0.1:$Port}m;
    $conf =~ s{ /var/cache(?=/otpreg_hibp )}{ $ENV{TEST_NGINX_TEST_DIR}}
        or $name !~ /http/ or die 'no folder that every machine has';
    return $conf;
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 29: a breached password
--- http_config eval: $::Http
--- config eval: "$::Config\notpreg_password_breach_check /breach;"
--- user_files eval: $::Page
--- flow
my $asked = asked();
provider_behave(range($::Password, 3));
my $res = post('/register', $::Password);
is $res->{status}, 422, 'refused';
is_deeply errors($res), ['password password_breached'], 'and why';
is users(), 0, 'nothing is stored';

my $req = (provider_requests())[-1];
is $req->{method}, 'GET', 'by GET';
is $req->{path}, '/range/' . substr(hash($::Password), 0, 5),
   'attack 29: nothing but 20 bits are told';
is $req->{headers}{'add-padding'}, 'true', 'padded';
is $req->{body}, '', 'no body';

my $fields = fields($::Password);
$res = http('POST', '/register', form => $fields);
is $res->{status}, 422, 'a form';
like $res->{body}, qr/error_password=\[This password has appeared in a data/,
     'in words, at the field';
like $res->{body}, qr/email=\[\Q$fields->{email}\E\]/, 'what was typed stays';

provider_behave(range($::Password, 0));
is post('/register', $::Password)->{status}, 201, 'zero times is padding';
provider_behave(range($::Password));
is post('/register', $::Password)->{status}, 201, 'not among them';
is metric('breached'), 2, 'counted';
is metric('clean'), 2, 'counted';

my $hash = hash($::Password);
my $suffix = substr $hash, 5;
unlike error_log_text(), qr/\Q$suffix\E/i,
       'attack 29: the hash is in no log at any level';


=== TEST 2: it is the password in its normal form that is looked up
--- http_config eval: $::Http
--- config eval: "$::Config\notpreg_password_breach_check /breach;"
--- user_files eval: $::Page
--- flow
my $nfc = "d\x{e9}j\x{e0} vu, encore une fois";
my $nfd = "de\x{301}ja\x{300} vu, encore une fois";
provider_behave(range($nfc, 1));
is_deeply errors(post('/register', $nfd)), ['password password_breached'],
          'found';
is ((provider_requests())[-1]{path}, '/range/' . substr(hash($nfc), 0, 5),
    'asked for');


=== TEST 3: who is asked only about a form without errors
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_password_breach_check /breach;
otpreg_password_blocklist $ENV{TEST_NGINX_TEST_DIR}/blocklist;"
--- user_files eval: $::Page
--- flow
my $asked = asked();
provider_behave(range('a very common password', 5));
is_deeply errors(post('/register', 'a very common password')),
          ['password password_common'], 'attack 29: a common one, by our list';
is_deeply errors(post('/register', 'short')), ['password password_too_short'],
          'a short one';
is_deeply errors(post('/register', 'u77-is-at-example.com', username =>
                      'u77-is-at-example.com')),
          ['password password_personal'], 'attack 29: one of the context';
is asked(), $asked, 'nobody was asked';


=== TEST 4: attack 29: the list is away: open, and closed
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_password_breach_check /breach timeout=1s;
location = /closed {
    otpreg_password_breach_check /breach timeout=1s fail=closed;
    otpreg_register /pages/register.html;
}"
--- user_files eval: $::Page
--- flow
my $whole = range($::Password, 7)->{body};
my $half = substr $whole, 0, length($whole) / 3;
my @bad = (
    [500, 'an error'], [429, 'too many'], [404, 'none'], [204, 'nothing'],
    [{ status => 200, body => '' }, 'an empty list'],
    [{ status => 200, body => '<html>sign in</html>' }, 'a portal'],
    [{ status => 500, body => $whole }, 'a list with an error'],
    [{ status => 200, size => 2e6 }, 'too much'],
    [{ close => 1 }, 'no answer'], [{ reset => 1 }, 'a reset'],
    [{ status => 200, body => $whole, delay => 30 }, 'too late'],
    [{ status => 200, headers => { 'Content-Length' => length $whole },
       endless => 1, body => $half }, 'cut off'],
    [{ status => 200, headers => { 'Transfer-Encoding' => 'chunked' },
       endless => 1, body => sprintf("%x\r\n%s\r\n", length $half, $half) },
     'cut off'],
);
for my $bad (@bad) {
    my ($answer, $name) = @$bad;
    provider_behave($answer);
    my $users = users();
    is post('/register', $::Password)->{status}, 201, "$name: open: accepted";
    is users(), $users + 1, "$name: stored";
    my $res = post('/closed', $::Password);
    is $res->{status}, 503, "$name: closed: 503";
    is $res->{json}{code}, 'password_unchecked', "$name: why";
    is $res->{headers}{'retry-after'}, 5, "$name: when";
    is users(), $users + 1, "$name: nothing is stored";
}
is metric('unavailable'), 2 * @bad, 'counted';

provider_stop();
is post('/register', $::Password)->{status}, 201, 'nobody there: open';
is post('/closed', $::Password)->{status}, 503, 'closed';
provider_start();
provider_behave(range($::Password, 1));
is_deeply errors(post('/closed', $::Password)), ['password password_breached'],
          'back again';
--- error_log
otpreg: password not looked up by /breach, status 0
otpreg: password not looked up by /breach, status 500
--- timeout: 60


=== TEST 5: from a cache, without buffering, chunked, in one long answer
--- http_config eval
"$::Http
gzip on;
gzip_types text/plain;
gzip_min_length 1;"
--- config eval
"$::Config
sendfile on;
tcp_nopush on;
location = /cached {
    internal;
    proxy_cache ranges;
    proxy_cache_key \$otpreg_password_prefix;
    proxy_cache_valid 1h;
    proxy_pass http://127.0.0.1:$::Port/range/\$otpreg_password_prefix;
}
location = /raw {
    internal;
    proxy_buffering off;
    proxy_http_version 1.1;
    proxy_pass http://127.0.0.1:$::Port/range/\$otpreg_password_prefix;
}
location = /by-cache { otpreg_password_breach_check /cached fail=closed
                                                                timeout=10s;
    otpreg_register /p; }
location = /by-raw { otpreg_password_breach_check /raw fail=closed timeout=10s;
    otpreg_register /p; }"
--- user_files eval: $::Page
--- flow
provider_behave(range($::Password, 1, 20000));
my $asked = asked();
is_deeply errors(post('/by-cache', $::Password)),
          ['password password_breached'], "from a cache ($_)" for 1 .. 4;
is asked(), $asked + 1, 'which asked once';
is_deeply errors(post('/by-raw', $::Password)),
          ['password password_breached'], 'unbuffered';

my $other = 'another horse, another battery';
provider_behave(range($other, undef, 20000));
is post('/by-cache', $other)->{status}, 201, "another, from a cache ($_)"
    for 1 .. 3;
is post('/by-raw', $other)->{status}, 201, 'another, unbuffered';

# a file that is cut off by a full disk is no list without the password

my @cached = glob "$ENV{TEST_NGINX_TEST_DIR}/ranges/*";
is scalar @cached, 2, 'both are in the cache';
truncate $_, (-s $_) / 2 for @cached;
is post('/by-cache', $other)->{status}, 503, 'from a file that is cut off';

my $body = range($::Password, 1)->{body};
my $chunked = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
              unpack('(a7)*', $body), '';
provider_behave({ status => 200, headers => { 'Transfer-Encoding' => 'chunked' },
                  endless => 1, body => $chunked });
is_deeply errors(post('/by-raw', $::Password)),
          ['password password_breached'], 'in chunks of seven bytes';


=== TEST 6: an answer that never ends
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_password_breach_check /endless timeout=2s;
location = /endless {
    internal;
    limit_rate 100;
    proxy_limit_rate 200;
    proxy_pass http://127.0.0.1:$::Port/range/x;
}"
--- user_files eval: $::Page
--- flow
provider_behave(range($::Password, undef, 900));
is post('/register', $::Password)->{status}, 201, 'broken off';


=== TEST 7: after a challenge, for robots, and with clients that leave
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_password_breach_check /breach timeout=5s;
otpreg_challenge /passed;
location = /passed { internal; return 200 '{\"success\":true}'; }"
--- user_files eval: $::Page
--- flow
my $asked = asked();
provider_behave(range($::Password, 1));
is post('/register', $::Password)->{json}{code}, 'challenge_required',
   'no solution';
is asked(), $asked, 'no question';
is_deeply errors(post('/register', $::Password, challenge => 'x')),
          ['password password_breached'], 'a solution';
is_deeply errors(post('/register', $::Password, challenge => 'x',
                      homepage => 'x')),
          ['password password_breached'], 'the same for a robot';

my $users = users();
provider_behave(range($::Password, undef, 900, delay => 0.5));
http('POST', '/register', json => fields($::Password, challenge => 'x'),
     timeout => 0.2) for 1 .. 5;
ok wait_until(sub { users() == $users + 5 }, 30), 'who left has signed up';
my %status;
$status{$_->{status}}++ for http_many([map {
    ['POST', '/register', json => fields($::Password, challenge => 'x'),
     timeout => 60]
} 1 .. 20]);
is_deeply \%status, { 201 => 20 }, 'all are answered';


=== TEST 8: the example
--- http_config eval
OtpReg::default_http_config() . ::example('hibp-http')
--- config eval
OtpReg::default_config() . ::example('hibp')
--- flow
provider_behave(range($::Password, 1));
my $asked = asked();
is_deeply errors(post('/register', $::Password)),
          ['password password_breached'], 'found' for 1, 2;
is asked(), $asked + 1, 'by one question';
my $req = (provider_requests())[-1];
is $req->{path}, '/range/' . substr(hash($::Password), 0, 5), 'the path';
is $req->{headers}{host}, 'api.pwnedpasswords.com', 'the host';
is $req->{headers}{'add-padding'}, 'true', 'padded';
