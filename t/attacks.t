# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attacks on the way from a sign-up to its verification, by their numbers in
# the list of attacks (docs/attacks.md): those on codes, flows,
# browsers and the table of users that are not tested where their subject is.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Nginx;
use OtpReg::Password;
use OtpReg::SignUp;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config()
            . "otpreg_password_hash memory=7m operations=5;\nssi on;\n";
our $Config = OtpReg::default_config();
our $Evil = 'the password of an attacker';
our $Page = ">>> pages/register.html\n"
    . qq{[<!--# echo var="otpreg_error_code" default="" -->]\n}
    . ">>> pages/verify.html\n"
    . qq{[<!--# echo var="otpreg_error_code" default="" -->]}
    . qq{ <!--# echo var="otpreg_error" encoding="entity" default="" -->\n};

worker_connections(1024);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 1: guesses by every way there is are counted together
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my $signup = signup();
my $code = code($signup);
my $form = { otp => wrong($code) };
my @ways = (
    [form => $form], [json => $form],
    [form => { otp => join ' - ', split //, wrong($code) }],
    [raw => join "\r\n", 'POST /verify-otp HTTP/1.1', 'Host: localhost',
     'Connection: close', "Cookie: $signup->{cookie}",
     'Transfer-Encoding: chunked', 'Content-Type: application/json', '', '10',
     '{"otp":"' . wrong($code) . '"}', '0', '', ''],
    [json => { otp => wrong($code), code => $code, OTP => $code }]);

for my $way (0 .. $#ways) {
    my $res = http('POST', '/verify-otp', cookie => $signup->{cookie},
                   @{ $ways[$way] }, headers => {
                       'User-Agent' => "browser $way",
                       'X-Forwarded-For' => "192.0.2.$way" });
    is $res->{status}, 422, "way $way: refused";
    is otp($signup, 'attempts'), $way + 1, "way $way: counted";
}
is try_code($signup, $code)->{json}{code}, 'code_spent',
   'the right code is too late';
is http('POST', '/verify-otp', cookie => $signup->{cookie},
        form => { otp => $code })->{status}, 422, 'by a form, too';
is http('GET', "/verify-otp?otp=$code", cookie => $signup->{cookie})->{status},
   200, 'a GET is only the page';
is user($signup, 'is_active'), 0, 'inactive';


=== TEST 2: attack 4: neither a resend nor a new sign-up refills the guesses
--- http_config eval
(my $http = $::Http) =~ s/otpreg_address_limit off/otpreg_address_limit 2\/h/;
$http
--- config eval: $::Config
--- flow
my $signup = signup();
my $code = code($signup);
my $old = { %$signup };
is try_code($signup, wrong($code, $_))->{json}{attempts_left}, 4 - $_,
   "guess $_" for 0 .. 3;
later($signup);
my $res = resend($signup);
is $res->{status}, 200, 'a resend';
$signup->{cookie} = $res->{cookie};
is code($signup, 2), $code, 'of the same code';
is try_code($signup, wrong($code))->{json}{code}, 'code_spent',
   'has one attempt left';
is try_code($_, $code)->{json}{code}, 'code_spent', 'and then none'
    for $signup, $old;

later($signup);
$res = resend($signup);
is $res->{status}, 429, 'a third message to the address';
is $res->{json}{code}, 'address_limit', 'is over its budget';
$res = http('POST', '/register', json => form(email => uc $signup->{to}));
is $res->{json}{code}, 'address_limit', 'by a new sign-up, too';
is sql("SELECT SUM(attempts) FROM otps WHERE address = '$signup->{to}'"), 5,
   'five guesses in all';
is sql("SELECT COUNT(*) FROM sends WHERE address_key = '$signup->{to}'"), 2,
   'and two messages';


=== TEST 3: attack 7: a second before and after, by the database's clock
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
SKIP: {
    skip 'ASan must be loaded first', 1 if $ENV{ASAN_OPTIONS};
    skip 'it is slow', 1 if $ENV{TEST_NGINX_USE_VALGRIND};

    for my $skew (7200, -7200) {
        my $shim = test_dir() . "/skew$skew.so";
        is system('cc', '-shared', '-fPIC', '-O1', "-DSKEW=($skew)", '-o',
                  $shim, OtpReg::Env::root_dir() . '/t/lib/skew.c'), 0, 'cc';
        local $ENV{TEST_NGINX_LD_PRELOAD} = $shim;
        my $node = OtpReg::Nginx->start($::Config, http_config => $::Http);
        my $via = sub { $node->http(@_) };
        my $post = sub { $node->http('POST', $_[0], json => $_[2] // {},
                                     cookie => $_[1]{cookie}) };

        my ($date) = $node->http('GET', '/verify-otp')->{headers}{date}
                     =~ /(\d\d):\d\d:\d\d/;
        isnt $date, (gmtime)[2], "a node whose clock is $skew s off";

        my @flows = map { signup(via => $via) } 1 .. 3;
        my @codes = map { code($_) } @flows;
        is otp($flows[0], 'expires_at BETWEEN NOW(6) + INTERVAL 500 SECOND
                           AND NOW(6) + INTERVAL 600 SECOND'), 1,
           'ten minutes by the database';
        sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 1 SECOND
             WHERE address = '$flows[0]{to}'");
        sql("UPDATE otps SET expires_at = NOW(6) WHERE address =
             '$flows[1]{to}'");
        sql("UPDATE otps SET expires_at = NOW(6) + INTERVAL 90 SECOND
             WHERE address = '$flows[2]{to}'");

        my @res = map { $post->('/verify-otp', $flows[$_],
                                { otp => $codes[$_] }) } 0 .. 2;
        is $res[0]{json}{code}, 'code_expired', 'a second after: expired';
        is $res[1]{json}{code}, 'code_expired', 'at that moment, too';
        is $res[2]{status}, 200, 'before: not yet';
        is user($flows[0], 'is_active'), 0, 'inactive';

        is $post->('/resend-otp', signup(via => $via))->{json}{code},
           'resend_too_soon', 'a resend is too soon';
        is $post->('/resend-otp', $flows[2])->{json}{code}, 'code_used',
           'and none is sent for nothing';
        ok $node->quit, 'ends';
    }
}

# a node that is ahead has sealed the cookie, one that is right opens it

my $signup = signup();
is try_code($signup, code($signup))->{status}, 200, 'no skew';


=== TEST 4: attack 8: double submit, back button, replay
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
my ($signup, $other) = (signup(), signup());
my $code = code($signup);
my $post = ['POST', '/verify-otp', cookie => $signup->{cookie},
            form => { otp => $code }];
my (%n, @used);
for my $res (http_many([($post) x 5])) {
    $n{$res->{status}}++;
    push @used, $res if $res->{status} != 303;
}
is_deeply \%n, { 303 => 1, 409 => 4 }, 'a form that is sent five times';
like $_->{body}, qr/^\[code_used\] .*you can log in/, 'the page says so'
    for @used;
is join('', map { @{ $_->{set_cookie} } } @used), '', 'and sets no cookie';

my $then = user($signup, 'CONCAT(verified_at, email_verified_at, password)');
is http(@$post)->{status}, 409, 'a replay';
is http('GET', '/verify-otp', cookie => $signup->{cookie})->{status}, 200,
   'the back button shows the page';
is resend($signup)->{json}{code}, 'code_used', 'no resend';
is http('POST', '/resend-otp', cookie => $signup->{cookie},
        json => { email => 'evil@example.com' })->{json}{code}, 'code_used',
   'no other address';
is user($signup, 'CONCAT(verified_at, email_verified_at, password)'), $then,
   'nothing has changed';

is http('POST', '/verify-otp', json => { otp => $code })->{json}{code},
   'no_signup', 'another browser, without a cookie';
is try_code($other, $code)->{json}{code}, 'code_wrong', 'with one of its own';
is user($other, 'is_active'), 0, 'has nothing from it';
is mail_count($signup->{to}), 1, 'one mail in all';

sql("UPDATE users SET is_active = 0 WHERE username = '$signup->{name}'");
is http(@$post)->{status}, 409, 'a user whom the administrator switched off';
is user($signup, 'is_active'), 0, 'stays off';


=== TEST 5: attack 9: a code is good for its flow, address, channel, purpose
--- http_config eval
"$::Http otpreg_fields username=required email=optional phone=optional;
otpreg_sms /courier/mail;"
--- config eval
"$::Config otpreg_sms_text /text; location = /text { internal; return 200
'\$otpreg_code'; }"
--- flow
my $mail = signup();
my $code = code($mail);
my $sms = signup(email => $mail->{to}, phone => '+14155550100',
                 channel => 'sms');
is otp($sms, 'channel'), 2, 'the same person, by SMS';
is try_code($sms, $code)->{json}{code}, 'code_wrong', 'another channel';
is user($sms, 'is_active') . user($mail, 'is_active'), '00', 'both inactive';

my $again = signup(email => $mail->{to});
is try_code($again, $code)->{json}{code}, 'code_wrong',
   'another flow of the same address';
my $new = code($again, 2);
is try_code($mail, $new)->{json}{code}, 'code_wrong', 'the other way round';
is user($again, 'is_active') . user($mail, 'is_active'), '00', 'inactive';

sql("UPDATE otps SET purpose = 2 WHERE address = '$mail->{to}'");
isnt try_code($mail, $code)->{status}, 200, 'another purpose';
isnt try_code($again, $new)->{status}, 200, 'nor this one';
is resend($mail)->{status}, 409, 'nor is it sent again';
is sql("SELECT COUNT(*) FROM users WHERE email = '$mail->{to}'
        AND is_active = 1"), 0, 'inactive';
sql("UPDATE otps SET purpose = 1 WHERE address = '$mail->{to}'");

sql("UPDATE users SET email = 'moved\@example.com',
     email_key = 'moved\@example.com' WHERE username = '$mail->{name}'");
isnt try_code($mail, $code)->{status}, 200,
     'a user who has another address by now';
is user($mail, 'is_active'), 0, 'inactive';
is try_code($again, $new)->{status}, 200, 'all that is right is right';


=== TEST 6: attack 10: the address was registered by an attacker before
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'victim10@example.com';
my $evil = signup(email => $to, username => 'evil10', password => $::Evil);
my $first = code($evil);
my $victim = signup(email => $to, username => 'victim10');
my $code = code($victim, 2);

is try_code($evil, $code)->{json}{code}, 'code_wrong',
   "the victim's code is not the attacker's";
is try_code($victim, $code)->{status}, 200, 'the victim verifies';
is_deeply [active($to)], ['victim10'], 'one account';
my $phc = user($victim, 'password');
ok logs_in($phc, $::Password), "the victim's password works";
ok !logs_in($phc, $::Evil), "the attacker's does not";

isnt try_code($evil, $first)->{status}, 200,
     'not with the code of the first mail either';
is resend($evil)->{status} == 200 ? user($evil, 'is_active') : 0, 0,
   'nor by a resend';
is http('POST', '/register', json => form(email => $to, password => $::Evil,
        username => 'evil10b'))->{status}, 201, 'nor by one more sign-up';
is_deeply [active($to)], ['victim10'], 'one account';
is user($victim, 'password'), $phc, 'with its password';


=== TEST 7: attack 10: the attacker changes his address to the victim's
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'victim7@example.com';
my $evil = signup(password => $::Evil, username => 'evil7');
my $victim = signup(email => $to, username => 'victim7');
my $code = code($victim);
my $res = http('POST', '/resend-otp', cookie => $evil->{cookie},
               json => { email => $to });
is $res->{status}, 200, 'a change';
my $mail = code({ to => $to }, 2);
is try_code($victim, $mail)->{json}{code}, 'code_wrong',
   'the code of that mail is nothing in the page of the victim';
is try_code($victim, $code)->{status}, 200, 'his own is';
ok logs_in(user($victim, 'password'), $::Password), 'with his password';
is user($evil, 'is_active'), 0, 'the attacker has nothing';


=== TEST 8: attack 11: the address is registered again by an attacker
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'victim11@example.com';
my $victim = signup(email => $to, username => 'victim11');
my $code = code($victim);
my @evil = map { signup(email => $_, username => 'evil11' . /[A-Z]/,
                        password => $::Evil) } $to, uc $to;
ok wait_mail($to, 10, 2), 'more codes come';
is try_code($victim, $code)->{status}, 200, "the victim's own code works";
my $phc = user($victim, 'password');
ok logs_in($phc, $::Password), "the victim's password wins";
ok !logs_in($phc, $::Evil), "the attacker's is nothing";
is sql("SELECT COUNT(*) FROM users WHERE email_key = '$to'
        AND (is_active = 1 OR verified_at IS NOT NULL)"), 1, 'one account';
is sql("SELECT email_owner FROM users WHERE is_active = 1
        AND email_key = '$to'"), $to, 'which owns the address';

# the same name: whoever verifies first has it, with his own password

$victim = signup(email => 'name11@example.com', username => 'name11');
my $evil = signup(email => 'evil11@example.com', username => 'NAME11',
                  password => $::Evil);
is try_code($victim, code($victim))->{status}, 200, 'verified';
is try_code($evil, code($evil))->{json}{code}, 'username_proved', 'too late';
ok logs_in(scalar sql("SELECT password FROM users
                       WHERE username_owner = 'name11'"), $::Password), 'the password is of the one who has it';


=== TEST 9: attack 12: the victim types the code of a stranger's sign-up
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'victim12@example.com';
my $evil = signup(email => $to, username => 'evil12', password => $::Evil);
my $code = code($evil);
my $before = otp($evil, 'CONCAT_WS(" ", attempts, sends, consumed_at,
                                   last_attempt, superseded_by, expires_at)');

is http('POST', '/verify-otp', json => { otp => $code })->{json}{code},
   'no_signup', 'without a sign-up of his own';
my $victim = signup(email => $to, username => 'victim12');
is try_code($victim, $code)->{json}{code}, 'code_wrong', 'in his own sign-up';
is otp($victim, 'attempts'), 1, 'it is counted there';
is otp($evil, 'CONCAT_WS(" ", attempts, sends, consumed_at, last_attempt,
                         superseded_by, expires_at)'), $before,
   "nothing has happened to the attacker's";
is user($evil, 'is_active'), 0, 'which is inactive';
is try_code($victim, code($victim, 2))->{status}, 200, 'his own code works';
is user($evil, 'is_active'), 0, 'and the other one is inactive';


=== TEST 10: attack 35: twenty verified flows of one address at once
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'race35@example.com';
my @flows = map { signup(email => $to, username => "race$_") } 1 .. 20;
ok wait_mail($to, 20, 20), 'all have a code';
my %code;
for my $mail (mails($to)) {
    my ($code) = $mail->{text} =~ /\b(\d{6})\b/;
    $code{ substr $mail->{headers}{'message-id'}, 1, 32 } = $code;
}
my %by_otp = map { $_->[0] => $code{$_->[1]} }
             sql("SELECT HEX(otp_id), LOWER(HEX(id)) FROM messages
                  WHERE address_key = '$to'");

my (%n, %codes, %sizes);
for my $res (http_many([map {
    ['POST', '/verify-otp', timeout => 60, cookie => $_->{cookie},
     json => { otp => $by_otp{ otp($_, 'HEX(id)') } }]
} @flows])) {
    $n{$res->{status}}++;
    next if $res->{status} == 200;
    $codes{$res->{json}{code}}++;
    $sizes{$res->{body}}++;
}
is_deeply \%n, { 200 => 1, 409 => 19 }, 'one wins';
is_deeply \%codes, { address_proved => 19 }, 'the others are told to log in';
is scalar(keys %sizes), 1, 'all in the same way';
my @owners = sql("SELECT username FROM users WHERE email_key = '$to'
                  AND (is_active = 1 OR email_owner IS NOT NULL)");
is scalar(@owners), 1, 'one owner';
is sql("SELECT COUNT(*) FROM otps WHERE address_key = '$to'
        AND consumed_at IS NULL"), 0, 'no code of it lives';

# and one name, at two addresses

@flows = map { signup(username => 'same35') } 1 .. 8;
my @res = http_many([map { ['POST', '/verify-otp', cookie => $_->{cookie},
                            json => { otp => code($_) }] } @flows]);
is_deeply [sort map { $_->{json}{code} // $_->{status} } @res],
          [200, ('username_proved') x 7], 'one has the name';
is sql("SELECT COUNT(*) FROM users WHERE username_owner = 'same35'"), 1,
   'in the table, too';


=== TEST 11: attack 37: ten thousand sign-ups that nobody verifies
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'owner37@example.com';
sql("INSERT INTO users (username, username_key, email, email_key, password,
                        created_at)
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
                              WHERE i < 100)
     SELECT 'owner37', 'owner37', '$to', '$to', 'squat',
            NOW(6) FROM n a, n b");
sql("INSERT INTO otps (id, purpose, user_id, channel, address, address_key,
                       key_name, digits, created_at, sent_at, expires_at)
     SELECT UNHEX(LEFT(SHA2(id, 256), 32)), 1, id, 1, email, email_key, 'k1',
            6, created_at, created_at, created_at + INTERVAL 1 HOUR
     FROM users WHERE password = 'squat'");
is sql("SELECT COUNT(*) FROM users u JOIN otps o ON o.user_id = u.id
        WHERE u.password = 'squat'"), 10000, 'ten thousand';
sql("UPDATE otps SET created_at = created_at - INTERVAL 30 HOUR,
            sent_at = sent_at - INTERVAL 30 HOUR,
            expires_at = expires_at - INTERVAL 30 HOUR
     WHERE user_id IN (SELECT id FROM users WHERE password = 'squat');
     UPDATE users SET created_at = created_at - INTERVAL 30 HOUR
     WHERE password = 'squat'");     # from now on a purge may take them

# what may not go: not from a sign-up; verified; of today

sql("INSERT INTO users (username, username_key, email, email_key, password,
                        is_active, verified_at, created_at)
     VALUES ('imported37', 'imported37', NULL, NULL, 'x', 0, NULL,
             NOW(6) - INTERVAL 9 DAY),
            ('verified37', 'verified37', NULL, NULL, 'x', 0, NOW(6),
             NOW(6) - INTERVAL 9 DAY)");

my $owner = signup(email => $to, username => 'owner37');
is try_code($owner, code($owner))->{status}, 200,
   'the owner registers meanwhile';
is sql('SELECT COUNT(*) FROM users WHERE username_owner = "owner37"'), 1,
   'with the name they wanted';
signup(email => $to, username => 'waited37');

my $node = OtpReg::Nginx->start($::Config, http_config => $::Http,
                                log_level => 'info');
ok wait_until(sub { sql("SELECT COUNT(*) FROM users WHERE password = 'squat'")
                    == 0 }, 60, 0.2),
   'they are gone: no ten minutes for each thousand';
$node->quit;
is_deeply [map { $_->[0] } sql("SELECT username FROM users
                                WHERE username LIKE '%d37'
                                AND password <> 'squat' ORDER BY username")],
          [qw(imported37 verified37 waited37)], 'the others stay';
is_deeply [active($to)], ['owner37'], 'the owner is active';
