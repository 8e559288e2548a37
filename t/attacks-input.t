# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Attacks by what is typed: addresses that only look different, addresses that
# are more than one, text that is markup elsewhere, passwords of all kinds.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Password;
use OtpReg::Provider;
use OtpReg::SignUp qw(form $Password);
use Test::Nginx::Socket 'no_plan';
use Unicode::Normalize qw(NFC NFD);

our $Http = OtpReg::default_http_config()
            . "otpreg_password_hash memory=7m operations=5;\nssi on;\n";
our $Config = OtpReg::default_config();
our $Port = provider_start();
our $Examples = OtpReg::Env::root_dir() . '/conf-examples';

sub register { http('POST', '/register', json => form(@_)) }

# a user who has verified an address, or a number by the same courier

sub owner {
    my (%form) = @_;
    my $res = register(%form);
    $res->{status} == 201 or die "no sign-up: $res->{raw}";
    my $row = (sql('SELECT HEX(o.id), m.address FROM otps o
                    JOIN messages m ON m.otp_id = o.id
                    ORDER BY o.id DESC LIMIT 1'))[0];
    my $code = code_for($row->[1], 10) // die "no code for $row->[1]";
    my $done = http('POST', '/verify-otp', cookie => $res->{cookie},
                    json => { otp => $code });
    $done->{status} == 200 or die "not verified: $done->{raw}";
}

# the code of the last field that is wrong, or the status

sub outcome {
    my ($res) = @_;
    return $res->{json}{errors} ? $res->{json}{errors}[-1]{code}
         : $res->{json}{code} // $res->{status};
}

# a sign-up of the newest OTP: whether it is a decoy, and its address

sub newest {
    return @{ (sql('SELECT decoy, address_key, address FROM otps
                    ORDER BY id DESC LIMIT 1'))[0] };
}

sub shown { $_[0] =~ s/([^ -~])/sprintf '<%X>', ord $1/ger }

worker_connections(1024);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 17: the twins of an address: one identity, or a rejection
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
owner(email => 'Bob@Example.com');
owner(email => "bob\@b\x{fc}cher.example");
owner(email => 'bob@fish.example');
owner(email => 'bob@kelvins.example');
my $n = sql('SELECT COUNT(*) FROM users WHERE is_active = 1');

my $idn = 'bob@xn--bcher-kva.example';
my @same = (
    ['bob@example.com', 'bob@example.com'],
    ['BOB@EXAMPLE.COM', 'bob@example.com'],
    ['  bob@example.com ', 'bob@example.com'],
    ["bob\@\x{ff45}xample.com", 'bob@example.com'],
    ["bob\@ex\x{ff21}mple.\x{ff43}om", 'bob@example.com'],
    ["bob\@\x{1d41e}xample.com", 'bob@example.com'],
    ["bob\@B\x{dc}CHER.example", $idn],
    ["bob\@bu\x{308}cher.example", $idn],
    ["BOB\@XN--BCHER-KVA.example", $idn],
    ["bob\@\x{fb01}sh.example", 'bob@fish.example'],
    ["bob\@\x{212a}elvin\x{17f}.example", 'bob@kelvins.example'],
);

for (@same) {
    my ($typed, $key) = @$_;
    my $res = register(email => $typed);
    is $res->{status}, 201, shown($typed) . ': the same answer as any';
    my ($decoy, $got, $to) = newest();
    is "$decoy $got", "1 $key", 'the same identity';
    unlike $to, qr/[^!-~]/, 'sent to no other spelling';
}

my @refused = (
    "bob\x{ff20}example.com", "bob\@example.com\x{ff20}evil.example",
    "bob\@evil.example\x{ff20}example.com", 'bob@example.com.',
    'bob@example.com..', "bob\@example\x{3002}com", "bob\@example\x{ff0e}com",
    "bob\@example\x{ff61}com", "b\x{43e}b\@example.com",
    "\x{ff42}\x{ff4f}\x{ff42}\@example.com", "b\x{200b}ob\@example.com",
    "bob\@exam\x{200b}ple.com", "bob\@exam\x{ad}ple.com",
    "bob\@exam\x{200d}ple.com", "bob\@example.com\x{200e}",
    "\x{feff}bob\@example.com", "bob\@\x{202e}moc.elpmaxe",
    "bob\x{a0}\@example.com", "bob\@example.com\x{a0}", '"bob"@example.com',
    '"b\\ob"@example.com', 'bob(x)@example.com', 'bob@(x)example.com',
    'bob @example.com', 'bob@ example.com', 'bob.@example.com',
    '.bob@example.com', 'b..ob@example.com', "B\x{d6}B\@example.com",
    "bo\x{308}b\@example.com", 'bob@example', 'bob@[192.0.2.1]',
    'bob@192.0.2.1', 'bob@example_.com', "bob\@ex\x{2024}ample.com",
    "bob\@xn--.example", 'bob@xn--a.example', 'mailto:bob@example.com',
    'bob%00@example.com' =~ s/%00/\0/r,
);

for my $typed (@refused) {
    my $res = register(email => $typed);
    my $code = outcome($res);
    is $typed =~ /\0/ ? 'email_invalid' : $code, 'email_invalid',
       shown($typed) . ': refused';
    is $res->{status} >= 400, 1, 'for good' if $typed =~ /\0/;
}

# a homograph is the domain of somebody else: it is written as it is sent

my $res = register(email => "bob\@ex\x{430}mple.com");
is $res->{status}, 201, 'a Cyrillic letter in a domain';
my ($decoy, $key) = newest();
is "$decoy $key", '0 bob@xn--exmple-4nf.com', 'is another domain, in ASCII';
is $res->{json}{to}, 'b***@xn--exmple-4nf.com', 'and is shown as it is';

is sql('SELECT COUNT(*) FROM users WHERE is_active = 1'), $n,
   'no twin has become a user';


=== TEST 2: attack 17: the twins of a username and of a number
--- http_config eval
"$::Http otpreg_fields username=required email=optional phone=optional;
otpreg_sms /courier/sms;"
--- config eval
"$::Config location = /courier/sms { internal;
                      proxy_pass http://127.0.0.1:$::Port/sms; }"
--- flow
owner(username => 'bob');
for (['BOB', 'username_taken'], [' bob ', 'username_taken'],
     ['bOb', 'username_taken'], ["b\x{43e}b", 'username_invalid'],
     ["bo\x{200b}b", 'username_invalid'], ["bob\x{ad}", 'username_invalid'],
     ["\x{ff42}ob", 'username_invalid'], ["bo\x{308}b", 'username_invalid'],
     ["bob\x{a0}", 'username_invalid'], ["b\x{f6}b", 'username_invalid'],
     ["\x{1d41b}ob", 'username_invalid'], ['bo b', 'username_invalid'])
{
    my ($name, $code) = @$_;
    is outcome(register(username => $name)), $code, shown($name) . ": $code";
}

my $res = register(phone => '+14155550117', email => '');
is $res->{status}, 201, 'a number';
my ($sms) = wait_until(sub { my @r = provider_requests(); @r ? \@r : 0 }, 10)
            ? map { $_->{json} } provider_requests() : ();
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => $sms->{code} })->{status}, 200, 'is verified';
for (['+1 415 555 01 17', 1], ["+1\x{a0}(415)\x{202f}555-0117", 1],
     ['+14155550117 ', 1], ['0014155550117', 0], ['14155550117', 0],
     ["+1415555011\x{ff17}", 1], ["\x{ff0b}14155550117", 1],
     ["+1415555\x{660}117", 1], ["+1415555\x{966}117", 1],
     ["+1 (0)4155550117", 1], ['+1 (04)155550117', 0],
     ["+1415555011\x{2466}", 0], ["+14155550117\x{200b}", 0],
     ['+14155550117x1', 0], ['+14155550117;ext=1', 0], ['+014155550117', 0],
     ['tel:+14155550117', 0], ['+1415555011７', 1])
{
    my ($phone, $same) = @$_;
    utf8::decode($phone) if $phone =~ /[\x80-\xff]{3}/;
    $res = register(phone => $phone, email => '');
    is outcome($res), $same ? 201 : 'phone_invalid', 'phone: '
                                                     . shown($phone);
    is join(' ', (newest())[0, 1]), '1 +14155550117', 'the same number'
        if $same;
}


=== TEST 3: attack 18: one recipient, whatever is typed
--- http_config eval: $::Http
--- config eval
"$::Config
otpreg_mail_text /text;
location = /text { internal; default_type text/plain; return 200
'Subject: \$otpreg_username: \$otpreg_code\n\n\$otpreg_code'; }"
--- flow
my $evil = 'evil@example.org';
my @refused = (
    "a\@example.com\r\nBcc: $evil", "a\@example.com\nBcc: $evil",
    "a\@example.com\rBcc: $evil", "a\r\nRCPT TO:<$evil>\r\n\@example.com",
    "a\@example.com>\r\nRCPT TO:<$evil", "a\@example.com,$evil",
    "a\@example.com;$evil", "a\@example.com $evil", "a\@example.com, $evil",
    "<a\@example.com>", "a\@example.com>,<$evil", "A <a\@example.com>",
    "\@example.org:a\@example.com", "a\@b\@example.com",
    "a\@example.com\tBcc:$evil", "a\@example.com\x{b}$evil",
    "a\@example.com\x{85}Bcc: $evil", "a\@example.com\x{2028}Bcc: $evil",
    "a\@example.com%0d%0aBcc: $evil", "a\@example.com\\r\\nBcc:$evil",
    "=?utf-8?q?a?=\@example.com,$evil", "a\@example.com SIZE=1",
    "a\@example.com> NOTIFY=SUCCESS ORCPT=rfc822;$evil",
    "a\x{ff0c}$evil", "a\@example.com\x{ff0c}$evil", "a\@exa\x{560d}mple.com");
for my $typed (@refused) {
    for my $type ('json', 'form') {
        my $res = http('POST', '/register', $type => form(email => $typed),
                       headers => { Accept => 'application/json' });
        my $ok = $res->{status} >= 400
                 || $typed =~ /\x{560d}/ && $res->{status} == 201
                    && (newest())[1] =~ /^a\@xn--[a-z0-9-]+\.com$/;
        ok $ok, "$type: " . shown($typed);
    }
}

for my $name ("n\r\nBcc: $evil", "n\nX: y", "n\0", 'n<b>', 'n"', 'n,m', 'n;m')
{
    my $res = http('POST', '/register', form => form(username => $name),
                   headers => { Accept => 'application/json' });
    is $res->{status} >= 400, 1, 'name: ' . shown($name);
}

# what is odd, but one address, goes there and nowhere else

my @odd = ('-oQ/tmp@example.com', '!#$%&\'*+/=?^_`{|}~@example.com',
           'a%example.org@example.com', 'a!b@example.com',
           '|cat@example.com', '`id`@example.com', '${jndi:x}@example.com');
pop @odd;       # a colon is none of them
is register(email => $_, username => 'a.b+c_d-' . length)->{status}, 201,
   "$_: odd, but an address" for @odd;
is outcome(register(email => '${jndi:x}@example.com')), 'email_invalid',
   'a colon is not';
ok wait_mail($_, 10), "$_: has its mail" for @odd;
wait_until(sub { sql('SELECT COUNT(*) FROM messages
                      WHERE due_at IS NOT NULL') == 0 }, 10);

my %to = map { lc($_->[0]) => 1 } sql('SELECT address FROM messages');
my @mails = mails();
is scalar(@mails), scalar(sql('SELECT COUNT(*) FROM messages
                                  WHERE channel = 1')),
   'as many mails as messages';
is_deeply [grep { @{ $_->{rcpt} } != 1 } @mails], [], 'each to one recipient';
is_deeply [grep { !$to{lc $_->{to}} } @mails], [], 'who is the right one';
is scalar(grep { $_->{raw} =~ /evil|^(?:Bcc|Cc|X):/mi } @mails), 0,
   'nothing else is in it';
like $mails[-1]{subject}, qr/^[\w.@+-]+: \d{6}$/, 'the subject is one line';
my @lines = grep { /C: RCPT/ } split /\n/, smtp_log();
is scalar(@lines), scalar(@mails), 'the server was told no other';
unlike smtp_log(), qr/evil/, 'nor had to refuse one';


=== TEST 4: attack 19: what is typed is text in the pages
--- http_config eval
"$::Http types { text/html html; text/plain txt; }
otpreg_fields username=required email=required phone=optional;
otpreg_sms /courier/mail;"
--- config eval
"$::Config location /pages/ { root $::Examples; }" =~
    s/verify\.html/verify-otp.html/r
--- flow
my @texts = ('"><script>alert(1)</script>', '"onfocus="alert(1)" autofocus="',
             '</title><img src=x onerror=alert(1)>', "'><svg/onload=alert(1)>",
             '<!--# echo var="document_root" -->', '<!--# include file="/" -->',
             '$otpreg_keys ${document_root}', '&lt;script&gt;', '{{7*7}}',
             "</textarea><script>alert(1)</script>", 'javascript:alert(1)');

for my $text (@texts) {
    my $res = http('POST', '/register', form => {
        username => $text, email => $text, phone => $text, channel => $text,
        password => $text, confirm_password => "$text!", otp => $text,
        website => '' }, headers => {
            'User-Agent' => $text, Referer => "http://localhost/?$text",
            Host => 'localhost',
            'X-Forwarded-Host' => $text, 'Accept-Language' => $text });
    is $res->{status}, 422, "$text: refused";
    my $escaped = $text =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr
                        =~ s/"/&quot;/gr;
    like $res->{body}, qr/value="\Q$escaped\E"/, 'and shown as text';
    unlike $res->{body}, qr/<script>alert|<img src=x|<svg|"onfocus=|<!--#/,
           'never as markup';
    unlike $res->{body}, qr{/conf-examples|\Q$::Examples\E},
           'nor as a command of SSI';
    my $n = () = $res->{body} =~ /\Q$escaped\E/g;
    cmp_ok $n, '<=', 3, 'in its field only: no password, no header';
}
my $res = http('POST', '/verify-otp', form => { otp => $texts[0] });
unlike $res->{body}, qr/alert\(1/, 'a code is not shown';
is http('GET', '/register?username=%3Cscript%3E&email=%3Cscript%3E')->{body}
       =~ /<script>/, '', 'arguments are nothing';


=== TEST 5: attack 19: a message knows nothing of the request
--- server_name: www.example.com
--- http_config eval
"$::Http types { text/html html; text/plain txt; } ssi_types text/plain;
otpreg_fields username=required email=optional phone=optional;
otpreg_sms /courier/sms; otpreg_sms_origin www.example.com;
otpreg_sms_text /mail/all.txt;"
--- config eval
"$::Config location = /courier/sms { internal;
                      proxy_pass http://127.0.0.1:$::Port/sms; }
otpreg_mail_text /mail/\$otpreg_template.txt;
otpreg_mail_html /mail/\$otpreg_template.html;
location = /mail/all.txt { internal; return 200 '"
    . CORE::join(' ', map { "\$$_" } qw(otpreg_code host http_host server_name
           http_user_agent http_x_forwarded_host http_referer arg_host
           http_accept_language)) . "'; }
location /mail/ { internal; alias $::Examples/mail/en/; }"
--- flow
my $before = provider_requests();
my %evil = (Host => 'evil.example', 'X-Forwarded-Host' => 'evil.example',
            'User-Agent' => 'evil.example <script>', Referer =>
            'http://evil.example/', Forwarded => 'host=evil.example',
            'Accept-Language' => 'evil');
my $to = 'host19@example.com';
is http('POST', '/register?host=evil.example', json => form(
    email => $to, username => 'host19'), headers => \%evil)->{status}, 201,
   'by mail';
my $mail = wait_mail($to, 10);
unlike $mail->{raw}, qr/evil|script/i, 'no header of the request is in it';
like $mail->{text}, qr/www\.example\.com/, 'the site is of the configuration';
like $mail->{html}, qr/www\.example\.com/, 'in HTML, too';

is http('POST', '/register?host=evil.example', json => form(
    email => '', phone => '+14155550119'), headers => \%evil)->{status}, 201,
   'by SMS';
ok wait_until(sub { provider_requests() > $before }, 10), 'it is sent';
my $sms = (provider_requests())[-1];
my $code = $sms->{json}{code};
is $sms->{json}{text}, "$code www.example.com  www.example.com"
                       . "\n\@www.example.com #$code",
   'whatever the template asks for';
unlike $sms->{body} . join(' ', map { $_ // '' } %{ $sms->{headers} }),
       qr/evil/, 'nor in the request to the provider';


=== TEST 6: attack 28: the policy of passwords, to the character
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $emoji = "\x{1f600}";
for (['1 character', 'a', 'password_too_short'],
     ['14', 'q' x 14, 'password_too_short'], ['15', 'q' x 15],
     ['64', 'q' x 64], ['65', 'q' x 65], ['128', 'q' x 128],
     ['129', 'q' x 129, 'password_too_long'],
     ['4096', 'q' x 4096, 'password_too_long'],
     ['14 emoji: 56 bytes', $emoji x 14, 'password_too_short'],
     ['32 emoji: 128 bytes', $emoji x 32],
     ['128 emoji: 512 bytes', $emoji x 128],
     ['129 emoji', $emoji x 129, 'password_too_long'],
     ['15 in NFD', "a\x{308}" x 15], ['14 in NFD, 28 code points',
     "a\x{308}" x 14, 'password_too_short'],
     ['a blank before', ' fourteen chars'], ['and behind', 'fourteen chars '],
     ['blanks alone', ' ' x 15], ['a tab', "fifteen\tchars, ok",
                                  'password_control'],
     ['a line end', "fifteen chars, ok\n", 'password_control'],
     ['no upper case, no digit', 'correct horse battery'])
{
    my ($what, $password, $code) = @$_;
    my $form = form(password => $password, confirm_password => $password);
    is outcome(http('POST', '/register', json => $form)), $code // 201,
       "$what: " . ($code // 'fine');
    next if $code;

    my $phc = sql("SELECT password FROM users
                   WHERE username = '$form->{username}'");
    ok logs_in($phc, $password), 'and it logs in';
    (my $short = $password) =~ s/\X\z//;
    ok !logs_in($phc, $short), 'not without its last character';
    (my $other = $password) =~ s/\A\X//;
    ok $other eq $short || !logs_in($phc, $other), 'nor without its first';
}

for (['NUL inside', "fifteen\0characters", 'json'],
     ['NUL at the end', "fifteen characters\0", 'json'],
     ['NUL inside', "fifteen\0characters", 'form'])
{
    my ($what, $password, $type) = @$_;
    my $form = form(password => $password, confirm_password => $password);
    my $res = http('POST', '/register', $type => $form, headers => {
                       Accept => 'application/json' });
    like $res->{status}, qr/^4/, "$what, $type: refused";
    is sql("SELECT COUNT(*) FROM users
            WHERE username = '$form->{username}'"), 0, 'nothing is cut off';
}

# and what is not UTF-8

my $bytes = 'username=latin&email=latin%40example.com'
            . join '', map { "&$_=fifteen%E4characters" }
                       qw(password confirm_password);
like http('POST', '/register', body => $bytes, headers => {
        'Content-Type' => 'application/x-www-form-urlencoded' })->{status},
     qr/^4/, 'Latin-1 is refused';
is sql("SELECT COUNT(*) FROM users WHERE username = 'latin'"), 0,
   'nothing is written';


=== TEST 7: attack 28: NFC and NFD of a password are one
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $nfc = "\x{e4}ngstlicher K\x{f6}nig \x{1e9b}\x{323} \x{1112}";
my $nfd = NFD($nfc);
isnt $nfc, $nfd, 'two spellings';
for (['nfc28', $nfc, $nfc], ['nfd28', $nfd, $nfd], ['mix28', $nfc, $nfd],
     ['xim28', $nfd, $nfc])
{
    my ($name, $password, $confirm) = @$_;
    is register(username => $name, password => $password,
                confirm_password => $confirm)->{status}, 201, "$name";
    my $phc = sql("SELECT password FROM users WHERE username = '$name'");
    ok logs_in($phc, $_ eq 'NFC' ? $nfc : $nfd), "$name: $_ logs in"
        for 'NFC', 'NFD';
    my $bytes = NFC($nfc);
    utf8::encode($bytes);
    ok logs_in_raw($phc, $bytes), "$name: what is hashed is NFC";
}
is outcome(register(password => $nfc, confirm_password => "$nfd!")),
   'password_mismatch', 'what is not the same is not';

my $phc = do {
    register(username => 'compat28', password => "\x{ff41}bcdefghijklmno",
             confirm_password => "\x{ff41}bcdefghijklmno");
    sql("SELECT password FROM users WHERE username = 'compat28'");
};
ok !logs_in($phc, 'abcdefghijklmno'), 'compatibility forms are not: no NFKC';
