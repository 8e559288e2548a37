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
our $Http = "$http\notpreg_password_hash memory=7m operations=5;\nssi on;\n";
our $Config = OtpReg::default_config();
our $Password = 'correct horse battery staple';

sub form {
    my ($to) = @_;
    state $n = 0;
    $n++;
    return { username => "l$n", email => $to, password => $Password,
             confirm_password => $Password };
}

sub register { http('POST', '/register', json => form($_[0])) }

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
        ['POST', '/register', timeout => 60, json => form($to)]
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
is http('POST', '/resend-otp', cookie => $res->{cookie},
        json => {})->{status}, 200, "resend $_" for 2 .. 5;
my $again = http('POST', '/resend-otp', cookie => $res->{cookie}, json => {});
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
is $res->{body}, "Too many codes were requested for this address. Please try "
                 . "again later.\n", 'says why';


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
--- http_config eval
"$::Http set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;"
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
                               json => form($to)] } 1 .. 12]))
{
    $n{$res->{status}}++;
    push @cookies, $res->{cookie} if $res->{cookie};
}
is_deeply \%n, { 201 => 5, 429 => 7 }, 'five flows of twelve';
is http('POST', '/resend-otp', cookie => $_, json => {})->{status}, 429,
   'none has a second code' for @cookies;

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
