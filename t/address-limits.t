# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_address_limit: how many codes are sent to one address, whoever asks,
# from wherever, at once or one after the other.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use Test::Nginx::Socket 'no_plan';

(my $http = OtpReg::default_http_config()) =~ s/otpreg_address_limit off;//;
our $Http = "$http\notpreg_password_hash memory=7m operations=5;\nssi on;\n"
            . "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Real-IP;\n";
our $Config = OtpReg::default_config();
our $Password = 'correct horse battery staple';

sub form {
    my ($to) = @_;
    state $n = 0;
    $n++;
    return { username => "l$n", email => $to, password => $Password,
             confirm_password => $Password };
}

# everybody who asks is another client, but where one is named

sub from {
    my ($ip) = @_;
    state $n = 0;
    $n++;
    $ip //= sprintf '198.18.%d.%d', $n / 250, 1 + $n % 250;
    return headers => { 'X-Real-IP' => $ip };
}

sub register {
    my ($to, $ip) = @_;
    return http('POST', '/register', json => form($to), from($ip));
}

sub resend {
    my ($res, $ip) = @_;
    return http('POST', '/resend-otp', cookie => $res->{cookie}, json => {},
                from($ip));
}

sub sends {
    return sql("SELECT COUNT(*) FROM sends WHERE address_key = '$_[0]'");
}

# as if what was sent had been sent earlier

sub later {
    my ($to, $interval) = @_;
    sql("UPDATE sends SET sent_at = sent_at - INTERVAL $interval
         WHERE address_key = '$to'");
}

worker_connections(1024);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 5: five an hour, ten a day
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'five@example.com';
is register($to)->{status}, 201, "sign-up $_" for 1 .. 4;
my $last = register('Five@Example.com');
is $last->{status}, 201, 'the fifth, spelt in another way';

my $res = register($to);
is $res->{status}, 429, 'the sixth is refused';
is $res->{headers}{'retry-after'}, 3600, 'for an hour';
is $res->{json}{code}, 'address_limit', 'and told so';
ok !$res->{cookie}, 'it gets no cookie';
is register('other@example.com')->{status}, 201, 'another address is free';

ok wait_mail($to, 10, 5), 'five mails';
is sends($to), 5, 'five were counted';
is sql("SELECT COUNT(*) FROM users WHERE email_key = '$to'"), 5,
   'and five users written';

later($to, '30 MINUTE');
is register($to)->{headers}{'retry-after'}, 3600,
   'attack 16: half an hour later it does not tell when others asked';

my $code = code_for($to);
is http('POST', '/verify-otp', cookie => $last->{cookie},
        json => { otp => code_for($to, 5, 5) })->{status} =~ /^(200|422)$/, 1,
   'a code that was sent is still heard';

later($to, '30 MINUTE');
is register($to)->{status}, 201, "an hour later: $_" for 6 .. 10;
$res = register($to);
is $res->{status}, 429, 'the eleventh of a day';
is $res->{headers}{'retry-after'}, 86400, 'waits for a day';
later($to, '1 DAY');
is register($to)->{status}, 201, 'a day later';


=== TEST 2: attack 24: exactly five of fifty at once
--- main_config
thread_pool otpreg_hash threads=8;
thread_pool otpreg_database threads=16;
thread_pool otpreg_mail threads=2;
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
for my $to (map { "$_\@example.com" } qw(one two three four fifty)) {
    my %n;
    $n{$_->{status}}++ for http_many([map {
        ['POST', '/register', timeout => 60, json => form($to), from()]
    } 1 .. 50]);
    is_deeply \%n, { 201 => 5, 429 => 45 }, "$to: five";
    is sends($to), 5, 'five are counted';
}


=== TEST 3: a resend counts, a refused sign-up does not
--- http_config eval: "$::Http otpreg_resend_delay 0;"
--- config eval: $::Config
--- flow
my $to = 'again@example.com';
my $res = register($to);
is resend($res)->{status}, 200, "resend $_" for 2 .. 5;
my $again = resend($res);
is $again->{status}, 429, 'the sixth message';
is $again->{json}{code}, 'address_limit', 'is over the limit';
is register($to)->{status}, 429, 'a sign-up, too';
is sends($to), 5, 'five are counted';
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => code_for($to) })->{status}, 200,
   'the code that was sent works';


=== TEST 4: attack 16: an owned address is limited in the same way
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'owner@example.com';
my $res = register($to);
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => code_for($to) })->{status}, 200, 'an owner';
my @owned = map { register($to)->{status} } 1 .. 6;
my @free = map { register('free@example.com')->{status} } 1 .. 7;
is_deeply ['201', @owned], \@free, 'the answers are the same';


=== TEST 5: a page
--- http_config eval: "$::Http otpreg_address_limit 1/m;"
--- config eval: $::Config
--- user_files
>>> pages/register.html
<!--# echo var="otpreg_error" encoding="entity" default="" -->
--- flow
is http('POST', '/register', form => form('page@example.com'))->{status}, 303,
   'the first';
my $res = http('POST', '/register', form => form('page@example.com'));
is $res->{status}, 429, 'the second';
is $res->{body}, "Too many codes were requested for this email address or "
                 . "phone number. Please try again later.\n", 'says why';


=== TEST 6: it survives a reload and holds across nodes: it is in the database
--- http_config eval: "$::Http otpreg_address_limit 6/30m;"
--- config eval: $::Config
--- flow
is register('fifty@example.com')->{status}, 201, 'a sixth, by another limit';
is register('fifty@example.com')->{status}, 429, 'but no seventh';


=== TEST 7: off
--- http_config eval: "$::Http otpreg_address_limit off;"
--- config eval: $::Config
--- flow
is register('fifty@example.com')->{status}, 201, 'no limit';


=== TEST 8: attack 22: a thousand client addresses and one mailbox
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'victim@example.com';
my $own = register($to);
is $own->{status}, 201, 'the owner of the address signs up';
my $code = code_for($to);

my (%n, %clients);
for my $part (0 .. 19) {
    my @ip = map { "203.0.$part.$_" } 1 .. 50;
    @clients{@ip} = ();
    $n{$_->{status}}++ for http_many([map {
        ['POST', '/register', timeout => 60, json => form($to),
         headers => { 'X-Real-IP' => $_ }]
    } @ip]);
}
is scalar(keys %clients), 1000, 'a thousand clients';
is_deeply \%n, { 201 => 4, 429 => 996 }, 'have four more mails sent to it';
ok wait_mail($to, 10, 5), 'these come';
is sends($to), 5, 'five are counted';
is sql("SELECT COUNT(*) FROM messages WHERE address_key = '$to'"), 5,
   'and no more will';

is http('POST', '/verify-otp', cookie => $own->{cookie},
        json => { otp => $code })->{status}, 200,
   'the code that the owner had before still works';
is sql("SELECT COUNT(*) FROM users WHERE email_owner = '$to'"), 1,
   'for one user';


=== TEST 9: attack 5: many flows for one address: 25 guesses, not one more
--- http_config eval: "$::Http otpreg_resend_delay 0;"
--- config eval: $::Config
--- flow
my $to = 'guessed@example.com';
my (@cookies, %n);
for my $res (http_many([map { ['POST', '/register', timeout => 60,
                               json => form($to), from()] } 1 .. 12]))
{
    $n{$res->{status}}++;
    push @cookies, $res->{cookie} if $res->{cookie};
}
is_deeply \%n, { 201 => 5, 429 => 7 }, 'five flows of twelve';
is resend({ cookie => $_ })->{status}, 429, 'none has a second code'
    for @cookies;

my $guess = 0;
my @res = http_many([map { my $cookie = $_; map {
    ['POST', '/verify-otp', timeout => 60, cookie => $cookie,
     json => { otp => sprintf '%06d', $guess++ }]
} 1 .. 9 } @cookies]);
my $right = grep { $_->{status} == 200 } @res;
is $right, 0, 'no guess was right' if !$right;      # one in 40,000 runs is
is sql("SELECT SUM(attempts) FROM otps WHERE address = '$to'"), 25,
   '25 guesses' if !$right;


=== TEST 10: limits that make no sense
--- http_config
otpreg_address_limit 5/w;
--- config
--- must_die
--- error_log
invalid parameter "5/w" in


=== TEST 11: none at all
--- http_config
otpreg_address_limit 0/h;
--- config
--- must_die
--- error_log
invalid parameter "0/h" in


=== TEST 12: longer than is kept
--- http_config
otpreg_address_limit 5/3d;
--- config
--- must_die
--- error_log
invalid parameter "5/3d" in


=== TEST 13: attack 43: one client gets two of five, and the owner a code and another
--- http_config eval: "$::Http otpreg_resend_delay 0;"
--- config eval: $::Config
--- flow
my $to = 'besieged@example.com';
my ($eve, $owner) = ('203.0.113.7', '198.51.100.9');

my $first = register($to, $eve);
is $first->{status}, 201, 'somebody else signs up with the address';
is resend($first, $eve)->{status}, 200, 'and has a code sent again';
my $more = resend($first, $eve);
is $more->{status}, 429, 'but no third message';
is $more->{json}{code}, 'address_limit', 'by the limit of the address';
is $more->{headers}{'retry-after'}, 3600, 'for an hour';
is register($to, $eve)->{status}, 429, 'nor by another sign-up';
is sends($to), 2, 'two were counted';

my $own = register($to, $owner);
is $own->{status}, 201, 'the owner signs up';
is resend($own, $owner)->{status}, 200, 'and has a code sent again';
is resend($own, $owner)->{status}, 429, 'and no third one';
is register($to, $eve)->{status}, 429, 'the other one has had his share';
is register($to, '::ffff:198.51.100.9')->{status}, 429, 'mapped it is the same';
is register($to, '192.0.2.1')->{status}, 201, 'a third client gets the fifth';
is register($to, '192.0.2.2')->{status}, 429, 'nobody gets a sixth';
is sends($to), 5, 'five were counted';

is http('POST', '/verify-otp', cookie => $own->{cookie},
        json => { otp => code_for($to, 10, 4) })->{status} =~ /^(200|422)$/, 1,
   'what was sent is heard';


=== TEST 14: attack 43: exactly two of fifty at once, and two of another client's
--- main_config
thread_pool otpreg_hash threads=8;
thread_pool otpreg_database threads=16;
thread_pool otpreg_mail threads=2;
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
for my $to (map { "$_\@race.example.com" } 1 .. 4) {
    for my $ip ('203.0.113.7', '198.51.100.9') {
        my %n;
        $n{$_->{status}}++ for http_many([map {
            ['POST', '/register', timeout => 60, json => form($to), from($ip)]
        } 1 .. 30]);
        is_deeply \%n, { 201 => 2, 429 => 28 }, "$to: two for $ip";
    }
    is sends($to), 4, 'four are counted';
}


=== TEST 15: attack 43: the networks of one IPv6 customer leave two of five, too
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'six@example.com';
is_deeply [map { register($to, $_)->{status} }
           '2001:db8:1:1::1', '2001:db8:1:1::2', '2001:db8:1:1:ffff::3',
           '2001:db8:1:2::1', '2001:db8:1:ff00::1'],
          [201, 201, 429, 201, 429],
          'two for a /64, three for the /48 around it';
is_deeply [map { register($to, $_)->{status} }
           '2001:db8:2::1', '2001:db8:3::1', '2001:db8:4::1'],
          [201, 201, 429], 'and two for others';


=== TEST 16: attack 43: with an owner or without, the answers are the same
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $to = 'owned@example.com';
my $res = register($to);
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => code_for($to) })->{status}, 200, 'an owner';
register('unowned@example.com');

my %told;
for my $address ($to, 'unowned@example.com') {
    for my $ip (('203.0.113.7') x 3, ('198.51.100.9') x 3, '192.0.2.1') {
        my $res = register($address, $ip);
        push @{ $told{$address} },
             join ' ', map { $_ // '' } $res->{status}, $res->{json}{code},
                                        $res->{headers}{'retry-after'};
    }
}
is_deeply $told{$to}, $told{'unowned@example.com'}, 'attack 16: word for word';
is_deeply [map { /^(\d+)/ } @{ $told{$to} }],
          [201, 201, 429, 201, 201, 429, 429], 'as the shares are';


=== TEST 17: attack 43: what is kept of a client is no address, and another one for each
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my @to = map { "kept$_\@example.com" } 1, 2;
is register($_, '203.0.113.7')->{status}, 201, $_ for @to, $to[0];
is sql("SELECT COUNT(DISTINCT client) FROM sends WHERE address_key = '$to[0]'
        AND LENGTH(client) = 16 AND client = network"), 1,
   'one client of one address, and all of its network';
is sql("SELECT COUNT(DISTINCT client) FROM sends
        WHERE address_key IN ('$to[0]', '$to[1]')"), 2,
   'of two addresses nobody sees that it was one';


=== TEST 18: shares: of a larger limit, none, and not less than two
--- http_config eval: "$::Http otpreg_address_limit client=50% 8/h;"
--- config eval
"$::Config location = /off { otpreg_register /pages/register.html;
 otpreg_address_limit client=off 3/h; }
 location = /few { otpreg_register /pages/register.html;
 otpreg_address_limit client=1% 3/h; }"
--- flow
my $sent = sub {
    my ($uri, $to) = @_;
    return scalar grep { $_->{status} == 201 } map {
        http('POST', $uri, json => form($to), from('203.0.113.7'))
    } 1 .. 9;
};
is $sent->('/register', 'half@example.com'), 4, 'half of eight';
is $sent->('/off', 'all@example.com'), 3, 'all of three';
is $sent->('/few', 'few@example.com'), 2, 'two, however little it is';


=== TEST 19: a share that makes no sense
--- http_config
otpreg_address_limit client=101% 5/h;
--- config
--- must_die
--- error_log
invalid parameter "client=101%" in


=== TEST 20: a share of nothing
--- http_config
otpreg_address_limit client=40%;
--- config
--- must_die
--- error_log
invalid parameter "client=40%" in
