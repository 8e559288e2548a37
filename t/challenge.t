# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# A challenge, checked by a service that a stand-in plays.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Provider;
use Test::Nginx::Socket 'no_plan';

our $Port = provider_start();
our $Password = 'correct horse battery staple';

our $Http = OtpReg::default_http_config() . "ssi on;\n";
our $Config = OtpReg::default_config() . <<"EOC";
location = /status { otpreg_status; }

location = /challenge {
    internal;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Content-Type application/x-www-form-urlencoded;
    proxy_set_body "secret=hush&response=\$otpreg_challenge_token";
    proxy_pass http://127.0.0.1:$Port/siteverify;
}
EOC
our $Page = ">>> pages/register.html\n"
    . join ' ', map { qq{$_=[<!--# echo var="otpreg_$_" encoding="entity"}
                      . qq{ default="" -->]} }
                qw(error error_code challenge email form_token);

our %Answer = (
    yes => { status => 200, body => '{"success":true,"hostname":"a"}' },
    no => { status => 200, body => '{"success":false,"error-codes":'
                                   . '["timeout-or-duplicate"]}' },
);

sub fields {
    my (%more) = @_;
    state $n = 0;
    $n++;
    return { username => "u$n", email => "u$n\@example.com",
             password => $Password, confirm_password => $Password, %more };
}

sub answers { provider_behave(map { $Answer{$_} // $_ } @_) }
sub users { sql('SELECT COUNT(*) FROM users') }
sub asked { scalar provider_requests() }
sub post { http('POST', $_[0], json => fields(challenge => 'tok-1', @_[1..$#_]),
                timeout => 30) }

sub metric {
    my ($result) = @_;
    http('GET', '/status')->{body}
        =~ /^otpreg_challenges_total\{result="$result"\} (\d+)$/m;
    return $1;
}

# an example, with the stand-in for the provider

sub example {
    my ($name, $scheme) = @_;
    my $conf = slurp("conf-examples/challenge/$name.conf");
    my $dir = test_dir();
    mkdir "$dir/otpreg";
    spew("$dir/otpreg/$name.secret", "old\n", 0644);
    provider_secret($conf, "$dir/otpreg", "hush-$name");
    (stat "$dir/otpreg/$name.secret")[2] % 512 == 0600
        or die "others may read $name.secret";
    $conf =~ s{include (?=otpreg/$name.secret)}{include $dir/}
        or die 'no secret';
    $conf =~ s{proxy_pass https://[^/]+}{proxy_pass $scheme://127.0.0.1:$Port}
        or die 'no proxy_pass';
    return $conf;
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: asked for always: needed, checked, and refused
--- http_config eval: $::Http
--- config eval: "$::Config\notpreg_challenge /challenge;"
--- user_files eval: $::Page
--- flow
my $asked = asked();
answers('yes');
like http('GET', '/register')->{body}, qr/ challenge=\[1\]/, 'the page knows';

my $res = http('POST', '/register', json => fields());
is $res->{status}, 422, 'without a solution';
is $res->{json}{code}, 'challenge_required', 'one is needed';
$res = http('POST', '/register', form => fields(challenge => ''));
like $res->{body}, qr/error_code=\[challenge_required\]/, 'for forms, too';
like $res->{body}, qr/email=\[u\d+\@example.com\]/, 'what was typed stays';
is asked(), $asked, 'nobody was asked';

for my $name (qw(challenge cf-turnstile-response h-captcha-response
                 g-recaptcha-response))
{
    is http('POST', '/register', form => fields($name => "tok.$name"))
       ->{status}, 303, "$name: accepted";
    my $req = (provider_requests())[-1];
    is $req->{body}, "secret=hush&response=tok.$name", "$name: was asked";
    is $req->{method}, 'POST', "$name: by POST";
    ok !defined $req->{headers}{cookie}, "$name: without a cookie";
}

is http('POST', '/register', json => fields('h-captcha-response' => 'one',
        'g-recaptcha-response' => 'one'))->{status}, 201, 'both of hCaptcha';

answers('no');
my $users = users();
$res = post('/register');
is $res->{status}, 422, 'attack 38: a solution that was used before';
is $res->{json}{code}, 'challenge_failed', 'is refused';
is users(), $users, 'nothing is stored';
is metric('passed'), 5, 'counted';
is metric('refused'), 1, 'counted';
--- error_log
otpreg: challenge refused by /challenge: "timeout-or-duplicate"


=== TEST 2: what cannot be a solution is not sent on
--- http_config eval: $::Http
--- config eval: "$::Config\notpreg_challenge /challenge fail=open;"
--- user_files eval: $::Page
--- flow
my $asked = asked();
answers('yes');
for my $evil ('a&secret=x', 'a b', "a\r\nX: y", '"', "\xc3\xa4", 'a' x 8193,
              '{}', 'a%26b')
{
    my $res = http('POST', '/register', form => fields(challenge => $evil));
    like $res->{body}, qr/error_code=\[challenge_failed\]/, 'refused';
}
is asked(), $asked, 'nobody was asked';


=== TEST 3: a service that is away: closed, and open
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_challenge /challenge timeout=1s;
location = /open {
    otpreg_challenge /challenge timeout=1s fail=open;
    otpreg_register /pages/register.html;
}"
--- user_files eval: $::Page
--- flow
my %n = (closed => 0, open => 0);
my @bad = (
    [500, 'an error'], [503, 'another'], [429, 'too many'], [301, 'elsewhere'],
    [{ status => 200, body => 'gone fishing' }, 'no JSON'],
    [{ status => 200, body => '{"success":"true"}' }, 'not a boolean'],
    [{ status => 200, body => '' }, 'nothing'],
    [{ status => 500, body => '{"success":true}' }, 'an error that is well'],
    [{ status => 200, size => 20000 }, 'too much'],
    [{ status => 200, size => 3e6 }, 'much too much'],
    [{ close => 1 }, 'no answer'], [{ reset => 1 }, 'a reset'],
    [{ status => 200, body => '{"success":true}', delay => 30 }, 'too late'],
    [{ status => 200, headers => { 'Content-Length' => 999 }, endless => 1,
       body => '{"success":true}' }, 'cut off'],
    [{ status => 200, headers => { 'Transfer-Encoding' => 'chunked' },
       endless => 1, body => "10\r\n{\"success\":true}\r\n" }, 'cut off'],
);
for my $bad (@bad) {
    my ($answer, $name) = @$bad;
    answers($answer);
    my $users = users();
    my $res = post('/register');
    is $res->{status}, 503, "$name: closed: 503";
    is $res->{json}{code}, 'challenge_unavailable', "$name: why";
    is $res->{headers}{'retry-after'}, 5, "$name: when";
    is users(), $users, "$name: nothing is stored";
    is post('/open')->{status}, 201, "$name: open: accepted";
    is users(), $users + 1, "$name: stored";
}

is metric('unavailable'), 2 * @bad, 'counted';

for my $status (400, 403, 404, 413) {
    answers({ status => $status, body => '<html>' });
    is post('/open')->{json}{code}, 'challenge_failed',
       "$status: what a client may bring about opens nothing";
}

answers('no');
is post('/open')->{json}{code}, 'challenge_failed', 'a refusal is one';
answers({ status => 400, body => '{"success":false,"error-codes":'
                                 . '["invalid-input-secret"]}' });
is post('/open')->{json}{code}, 'challenge_failed', 'with any status';
answers({ status => 200, body => '{"success":false,"error-codes":'
                                 . '["invalid-keys"]}' });
is post('/open')->{json}{code}, 'challenge_failed', 'keys that are wrong';

answers({ status => 200, body => '{"success":false,"error-codes":'
                                 . '["internal-error"]}' });
is post('/register')->{json}{code}, 'challenge_unavailable',
   'a service that could not check';
is post('/open')->{status}, 201, 'and where that opens';

provider_stop();
is post('/register')->{json}{code}, 'challenge_unavailable', 'nobody there';
is post('/open')->{status}, 201, 'open';
provider_start();
answers('yes');
is post('/register')->{status}, 201, 'back again';
--- error_log
otpreg: challenge not checked by /challenge, status 0
otpreg: challenge not checked by /challenge, status 500
otpreg: challenge refused by /challenge: "invalid-input-secret"
otpreg: challenge not checked by /challenge, status 200, codes internal-error
--- timeout: 60


=== TEST 4: without buffering, from a cache, from nginx itself
--- http_config eval
"$::Http
proxy_cache_path $ENV{TEST_NGINX_TEST_DIR}/cache keys_zone=cache:1m;
gzip on;
gzip_types application/json;
gzip_min_length 1;"
--- config eval
"$::Config
sendfile on;
location = /unbuffered { internal; proxy_buffering off;
    proxy_pass http://127.0.0.1:$::Port/; }
location = /cached { internal; proxy_cache cache; proxy_cache_methods POST;
    proxy_cache_key x; proxy_cache_valid 1h;
    proxy_pass http://127.0.0.1:$::Port/; }
location = /return { internal; default_type application/json;
    return 200 '{\"success\":true}'; }
location = /refuse { internal; return 444; }
location = /limited { internal; return 204; }
location = /by-unbuffered { otpreg_challenge /unbuffered;
    otpreg_register /p; }
location = /by-cached { otpreg_challenge /cached; otpreg_register /p; }
location = /by-return { otpreg_challenge /return; otpreg_register /p; }
location = /by-refuse { otpreg_challenge /refuse; otpreg_register /p; }
location = /by-204 { otpreg_challenge /limited; otpreg_register /p; }
location = /by-none { otpreg_challenge /none; otpreg_register /p; }"
--- user_files eval
"$::Page
"
--- flow
answers('yes');
is post('/by-unbuffered')->{status}, 201, 'unbuffered';
my $asked = asked();
is post('/by-cached')->{status}, 201, 'into a cache' for 1;
is post('/by-cached')->{status}, 201, 'from it' for 1 .. 3;
is asked(), $asked + 1, 'which was asked once';
is post('/by-return')->{status}, 201, 'by nginx itself';
is post('/by-refuse')->{status}, 422, 'a location that refuses';
is post('/by-204')->{status}, 503, 'a location that says nothing';
is post('/by-none')->{status}, 422, 'a location that is not there';


=== TEST 5: asked for only when it must be
--- http_config eval
"$::Http
map \$http_x_country \$risky { elsewhere 1; zero 0; default ''; }"
--- config eval: "$::Config\notpreg_challenge /challenge when=\$risky;"
--- user_files eval: $::Page
--- flow
answers('no');
my $asked = asked();
for my $country ('home', 'zero') {
    my %more = (headers => { 'X-Country' => $country });
    like http('GET', '/register', %more)->{body}, qr/ challenge=\[\]/,
         "$country: the page does not ask";
    is http('POST', '/register', json => fields(), %more)->{status}, 201,
       "$country: none needed";
}
is asked(), $asked, 'nobody was asked';
my %more = (headers => { 'X-Country' => 'elsewhere' });
like http('GET', '/register', %more)->{body}, qr/ challenge=\[1\]/, 'it does';
is http('POST', '/register', json => fields(), %more)->{json}{code},
   'challenge_required', 'needed';


=== TEST 6: asked for only while there are many
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_client_limit register=6/h;
otpreg_challenge /challenge when=hot;"
--- user_files eval: $::Page
--- flow
answers('yes');
like http('GET', '/register')->{body}, qr/ challenge=\[\]/, 'not at first';
my ($n, $res) = (0);
do { $res = http('POST', '/register', json => fields()); $n++ }
    while $res->{status} == 201 && $n < 10;
is $res->{json}{code}, 'challenge_required', "after $n";
like http('GET', '/register')->{body}, qr/ challenge=\[1\]/, 'the page asks';
is post('/register')->{status}, 201, 'a solution is accepted';


=== TEST 7: only a form without errors uses up a solution
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_challenge /challenge;
otpreg_form_time 1ms;"
--- user_files eval: $::Page
--- flow
answers('yes');
my $asked = asked();
is post('/register', email => 'x')->{json}{code}, 'invalid_fields', 'a field';
is asked(), $asked, 'nobody was asked';
my $users = users();
is post('/register', homepage => 'x')->{status}, 201, 'a robot';
is asked(), $asked + 1, 'attack 38: is asked as everybody';
is users(), $users, 'and stored nowhere';


=== TEST 8: clients that leave, and many at once
--- http_config eval: $::Http
--- config eval: "$::Config\notpreg_challenge /challenge timeout=15s;"
--- user_files eval: $::Page
--- flow
answers({ %{ $::Answer{yes} },
          delay => 0.5 });
my $users = users();
for my $i (1 .. 5) {
    http('POST', '/register', json => fields(challenge => "gone$i"),
         timeout => 0.2);
}
ok wait_until(sub { users() == $users + 5 }, 30), 'who left has signed up';
my %status;
$status{$_->{status}}++ for http_many([map {
    ['POST', '/register', json => fields(challenge => "tok$_"), timeout => 60]
} 1 .. 20]);
is_deeply \%status, { 201 => 20 }, 'all are answered';
is http('GET', '/challenge')->{status}, 404, 'nobody else gets there';


=== TEST 9: the example for turnstile
--- http_config eval: OtpReg::default_http_config()
--- config eval
OtpReg::default_config() . ::example('turnstile', 'http') . "
location /pages/ { root $ENV{PWD}/conf-examples; ssi on; }
location = /pages/challenge.html {
    alias $ENV{PWD}/conf-examples/challenge/turnstile.html;
}"
--- flow
answers('yes');
my $res = http('POST', '/register',
               form => fields('cf-turnstile-response' => 'tok.1-_'),
               headers => { Cookie => 'a=b', 'User-Agent' => 'Netscape' });
is $res->{status}, 303, 'accepted';
my $req = (provider_requests())[-1];
is $req->{method}, 'POST', 'by POST';
is $req->{path}, '/turnstile/v0/siteverify', 'the path';
is $req->{body}, 'secret=hush-turnstile&response=tok.1-_', 'the body';
is $req->{headers}{host}, 'challenges.cloudflare.com', 'the host';
is $req->{headers}{'content-type'}, 'application/x-www-form-urlencoded',
   'the type';
ok !(grep { /Netscape|a=b/ } values %{ $req->{headers} }),
   'nothing of the client';
answers('no');
is http('POST', '/register', form => fields('cf-turnstile-response' => 'x'))
   ->{status}, 422, 'refused';
$res = http('GET', '/register');
like $res->{body}, qr/<div class="[a-z-]+ field" data-sitekey="YOUR_SITE_KEY">/,
     'the widget';
my ($script) = $res->{body} =~ m{<script src="(https://[^"/]+)};
like $res->{headers}{'content-security-policy'},
     qr{script-src 'self'[^;]*(?:$script|\Q*.hcaptcha.com\E)}, 'is allowed';


=== TEST 10: the example for hcaptcha
--- http_config eval: OtpReg::default_http_config()
--- config eval
OtpReg::default_config() . ::example('hcaptcha', 'http') . "
location /pages/ { root $ENV{PWD}/conf-examples; ssi on; }
location = /pages/challenge.html {
    alias $ENV{PWD}/conf-examples/challenge/hcaptcha.html;
}"
--- flow
answers('yes');
my $res = http('POST', '/register',
               form => fields('h-captcha-response' => 'tok.1-_'),
               headers => { Cookie => 'a=b', 'User-Agent' => 'Netscape' });
is $res->{status}, 303, 'accepted';
my $req = (provider_requests())[-1];
is $req->{method}, 'POST', 'by POST';
is $req->{path}, '/siteverify', 'the path';
is $req->{body}, 'secret=hush-hcaptcha&response=tok.1-_&sitekey=10000000-ffff-ffff-ffff-000000000001', 'the body';
is $req->{headers}{host}, 'api.hcaptcha.com', 'the host';
is $req->{headers}{'content-type'}, 'application/x-www-form-urlencoded',
   'the type';
ok !(grep { /Netscape|a=b/ } values %{ $req->{headers} }),
   'nothing of the client';
answers('no');
is http('POST', '/register', form => fields('h-captcha-response' => 'x'))
   ->{status}, 422, 'refused';
$res = http('GET', '/register');
like $res->{body}, qr/<div class="[a-z-]+ field" data-sitekey="YOUR_SITE_KEY">/,
     'the widget';
my ($script) = $res->{body} =~ m{<script src="(https://[^"/]+)};
like $res->{headers}{'content-security-policy'},
     qr{script-src 'self'[^;]*(?:$script|\Q*.hcaptcha.com\E)}, 'is allowed';


=== TEST 11: the example for recaptcha
--- http_config eval: OtpReg::default_http_config()
--- config eval
OtpReg::default_config() . ::example('recaptcha', 'http') . "
location /pages/ { root $ENV{PWD}/conf-examples; ssi on; }
location = /pages/challenge.html {
    alias $ENV{PWD}/conf-examples/challenge/recaptcha.html;
}"
--- flow
answers('yes');
my $res = http('POST', '/register',
               form => fields('g-recaptcha-response' => 'tok.1-_'),
               headers => { Cookie => 'a=b', 'User-Agent' => 'Netscape' });
is $res->{status}, 303, 'accepted';
my $req = (provider_requests())[-1];
is $req->{method}, 'POST', 'by POST';
is $req->{path}, '/recaptcha/api/siteverify', 'the path';
is $req->{body}, 'secret=hush-recaptcha&response=tok.1-_', 'the body';
is $req->{headers}{host}, 'www.google.com', 'the host';
is $req->{headers}{'content-type'}, 'application/x-www-form-urlencoded',
   'the type';
ok !(grep { /Netscape|a=b/ } values %{ $req->{headers} }),
   'nothing of the client';
answers('no');
is http('POST', '/register', form => fields('g-recaptcha-response' => 'x'))
   ->{status}, 422, 'refused';
$res = http('GET', '/register');
like $res->{body}, qr/<div class="[a-z-]+ field" data-sitekey="YOUR_SITE_KEY">/,
     'the widget';
my ($script) = $res->{body} =~ m{<script src="(https://[^"/]+)};
like $res->{headers}{'content-security-policy'},
     qr{script-src 'self'[^;]*(?:$script|\Q*.hcaptcha.com\E)}, 'is allowed';


=== TEST 12: the examples verify whom they ask
--- http_config eval: OtpReg::default_http_config()
--- config eval
OtpReg::default_config() . ::example('turnstile', 'https')
--- flow
answers('yes');
my $asked = asked();
is http('POST', '/register', json => fields(challenge => 'x'))->{json}{code},
   'challenge_unavailable', 'no TLS';
is asked(), $asked, 'the secret is not sent';
