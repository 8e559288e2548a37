# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# SMS pumping: how many SMS go out in all and to one prefix, the cut-off of a
# prefix whose codes nobody types, and numbers that get none: every refusal
# comes before the provider is asked, is counted and said in the log.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Nginx;
use OtpReg::Provider;
use Test::Nginx::Socket 'no_plan';

our $Port = provider_start();
our $Password = 'correct horse battery staple';
(our $Defaults = OtpReg::default_http_config()) =~ s/otpreg_sms_\w+ off;//g;
our $More = <<'EOC';
otpreg_password_hash memory=7m operations=5;
otpreg_fields username=optional phone=optional email=optional;
otpreg_channel sms;
otpreg_resend_delay 0;
otpreg_sms /courier/sms;
ssi on;
EOC
our $Http = OtpReg::default_http_config() . $More;
our $Config = OtpReg::default_config() . <<"EOC";
location = /courier/sms {
    internal;
    proxy_pass http://127.0.0.1:$Port/sms;
}
location = /status { otpreg_status; }
EOC

our $Again = $Config . <<'EOC';
location = /resend-prefix {
    otpreg_resend;
    otpreg_sms_limit off;
    otpreg_sms_prefix_limit 7/h;
}
location = /resend-total {
    otpreg_resend;
    otpreg_sms_limit 7/h;
    otpreg_sms_prefix_limit off;
}
EOC

# what default_http_config() switches off, with other limits

sub limits {
    my ($limits) = @_;
    my $http = $Http;
    for my $line (split /(?<=;)\s*/, $limits) {
        my ($name) = $line =~ /^(\w+)/;
        $http =~ s/$name off;/$line/ or $http .= "$line\n";
    }
    return $http;
}

sub form {
    my ($phone) = @_;
    return { phone => $phone, password => $Password,
             confirm_password => $Password };
}

sub register { http('POST', '/register', json => form($_[0])) }

# sign-ups to numbers that follow each other

sub registers {
    my ($from, $n) = @_;
    return map { register('+' . ($from + $_)) } 0 .. $n - 1;
}

sub statuses { join ' ', map { $_->{status} } @_ }

sub verify {
    my ($res, $phone) = @_;
    return http('POST', '/verify-otp', cookie => $res->{cookie},
                json => { otp => (sms_to($phone))[-1]{json}{code} });
}

# the SMS to numbers with a prefix, when there are $n of them, or as they are

sub sms_to {
    my ($prefix, $n) = @_;
    my @sms;
    wait_until(sub {
        @sms = grep { index($_->{json}{to} // '', $prefix) == 0 }
               provider_requests();
        @sms >= ($n // 1);
    }, 20);
    return @sms;
}

# how many the provider was asked to send, once nothing is on its way

sub asked {
    my ($prefix, $n) = @_;
    sms_to($prefix, $n);
    wait_until(sub { sql("SELECT COUNT(*) FROM messages WHERE sent_at IS NULL
                          AND address LIKE '$prefix%'") == 0 }, 20)
        or return 'some are on their way';
    return scalar sms_to($prefix, $n);
}

# how much of what there may be about numbers with a prefix is in a table

sub rows {
    my ($prefix) = @_;
    return join ' ', map { scalar sql($_) }
        "SELECT COUNT(*) FROM users WHERE phone LIKE '$prefix%'",
        "SELECT COUNT(*) FROM otps WHERE address LIKE '$prefix%'",
        "SELECT COUNT(*) FROM messages WHERE address LIKE '$prefix%'",
        "SELECT COUNT(*) FROM sms_sends s JOIN otps o ON o.id = s.otp_id
         WHERE o.address LIKE '$prefix%'";
}

# as if all that was sent to a prefix had been sent earlier

sub later {
    my ($prefix, $interval) = @_;
    sql("UPDATE sms_sends s JOIN otps o ON o.id = s.otp_id
         SET s.sent_at = s.sent_at - INTERVAL $interval
         WHERE o.address LIKE '$prefix%'");
}

# the same for all that a site has sent: it is summed by the minute

sub later_in_all {
    my ($interval) = @_;
    sql("UPDATE sms_totals SET began_at =
             began_at - INTERVAL $interval - INTERVAL 1 MINUTE
         ORDER BY began_at");
}

sub total {
    return sql("SELECT SUM(sent) FROM sms_totals WHERE site = '$_[0]'");
}

# nothing was sent

sub forget { sql('DELETE FROM sms_sends; DELETE FROM sms_totals') }

sub warnings { grep { /\[warn\].*no SMS to/ } split /\n/, error_log_text() }

sub metric {
    my ($scope) = @_;
    my ($n) = http('GET', '/status')->{body}
              =~ /^otpreg_sms_refused_total\{scope="$scope"\} (\d+)$/m;
    return $n;
}

worker_connections(1024);
no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 23: sequential numbers of a prefix
--- http_config eval: main::limits('otpreg_sms_prefix_limit 3/h 5/d;')
--- config eval: $::Config
--- flow
is statuses(registers('14155550100', 3)), '201 201 201', 'three an hour';
my $res = register('+14155550103');
is $res->{status}, 429, 'the fourth is refused';
is $res->{json}{code}, 'sms_limit', 'and told so';
like $res->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'for the rest of the hour';
ok !$res->{cookie}, 'without a cookie';
is statuses(registers('14155550104', 20)), join(' ', (429) x 20),
   'and all that follow';

is asked('+1415555', 3), 3, 'the provider was asked for three';
is rows('+14155550'), '3 3 3 3', 'three were written and counted';
is sql("SELECT COUNT(*) FROM budgets WHERE address_key = '+14155550103'"), 0,
   'what was refused left nothing';
is register('+14155560100')->{status}, 201, 'the next prefix is free';

is scalar(warnings()), 1, 'one line in the log for all of them';
like +(warnings())[0], qr/no SMS to \+1415555\*\*\* of site "default": "otpreg_sms_prefix_limit" is reached/,
     'it names the prefix and the limit';
unlike join("\n", warnings()), qr/0103/, 'but not the number';
is metric('prefix'), 21, 'and each is counted';

later('+1415555', '1 HOUR');
is statuses(registers('14155550200', 3)), '201 201 429',
   'an hour later: five a day';
$res = register('+14155550202');
cmp_ok $res->{headers}{'retry-after'}, '>', 80000, 'waits for the next day';
later('+1415555', '1 DAY');
is register('+14155550203')->{status}, 201, 'a day later';


=== TEST 2: attack 23: the limits hold across two nodes and fifty at once
--- http_config eval
main::limits('otpreg_sms_limit 12/d; otpreg_sms_prefix_limit 3/h;'
             . 'otpreg_site busy;')
--- config eval: $::Config
--- flow
my $node = OtpReg::Nginx->start($::Config, http_config =>
    limits('otpreg_sms_limit 12/d; otpreg_sms_prefix_limit 3/h;'
           . 'otpreg_site busy;'));

my $at_once = sub {
    my (@to) = @_;
    my %n;
    $n{$_->{status}}++ for http_many([map {
        ['POST', '/register', timeout => 60, json => form($to[$_]),
         ($_ % 2) ? (port => $node->port) : ()]
    } 0 .. $#to]);
    return \%n;
};

# five prefixes might have three each, but twelve are all

my @to = map { my $k = $_; map { "+120255${_}01$k" } 1 .. 5 } 10 .. 19;
is_deeply $at_once->(@to), { 201 => 12, 429 => 38 }, 'twelve in all';
is asked('+120255', 12), 12, 'the provider was asked for twelve';
is_deeply [sql("SELECT 1 FROM sms_sends WHERE site = 'busy' GROUP BY prefix
                HAVING COUNT(*) > 3")], [], 'no prefix has more than three';
is total('busy'), 12, 'the counter is right';

forget();
is_deeply $at_once->(map { "+12026660$_" } 100 .. 149),
          { 201 => 3, 429 => 47 }, 'three to one prefix';
is asked('+1202666', 3), 3, 'the provider was asked for three';
is_deeply [$node->bad_log_lines], [], 'nothing bad in the log';
ok $node->stop, 'the second node ends';


=== TEST 3: attack 23: and sixty resends at once, which nothing slows down
--- http_config eval
main::limits('otpreg_sms_limit 1000/d; otpreg_sms_prefix_limit 1000/h;'
             . 'otpreg_site busy;')
--- config eval: $::Again
--- flow
my $node = OtpReg::Nginx->start($::Again, http_config =>
    limits('otpreg_sms_limit 1000/d; otpreg_sms_prefix_limit 1000/h;'
           . 'otpreg_site busy;'));
my @res = registers('12027770100', 20);
is statuses(@res), join(' ', (201) x 20), 'twenty sign-ups';

for my $path ('/resend-prefix', '/resend-total') {
    my %n;
    forget();
    $n{$_->{status}}++ for http_many([map {
        ['POST', $path, timeout => 60, cookie => $res[$_ % 20]{cookie},
         json => {}, ($_ % 2) ? (port => $node->port) : ()]
    } 0 .. 59]);
    is_deeply \%n, { 200 => 7, 429 => 53 }, "$path: seven";
}
is sql("SELECT COUNT(*) FROM messages WHERE address LIKE '+1202777%'"), 34,
   'so many messages';
is asked('+1202777', 34), 34, 'and the provider was asked for them';
is_deeply [$node->bad_log_lines], [], 'nothing bad in the log';
ok $node->stop, 'the second node ends';


=== TEST 4: attack 23: the budget of the site, by the hour and the day
--- http_config eval: main::limits('otpreg_sms_limit 2/h 3/d;')
--- config eval
$::Config . 'location = /other { otpreg_site other; otpreg_register /x; }'
--- flow
forget();
is register($_)->{status}, 201, "an SMS to $_" for '+442079460001',
                                                   '+33199000001';
my $res = register('+4930901820');
is $res->{status} . $res->{json}{code}, '429sms_limit', 'no third one';
like $res->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'in that hour';
is http('POST', '/register', json => { email => 'a@example.com',
        password => $::Password, confirm_password => $::Password })->{status},
   201, 'mails are sent';
is http('POST', '/other', json => form('+442079460001'))->{status}, 201,
   'another site has its own budget';
is asked('+33', 1) + asked('+4930', 0), 1, 'no SMS was sent more';
is metric('total'), 1, 'counted';
like +(warnings())[0], qr/no SMS to \+493090\*\*\* of site "default": "otpreg_sms_limit"/,
     'and said';

later_in_all('1 HOUR');
is statuses(register('+442079460002'), register('+4930901820')), '201 429',
   'an hour later: three a day';
is total('default') . total('other'), 31, 'the counters are right';
is asked('+44', 3), 3, 'and the messages are those';


=== TEST 5: attack 23: a prefix whose codes nobody types is cut off
--- http_config eval: main::limits('otpreg_sms_verified_share 50% of=4;')
--- config eval: $::Config
--- flow
my @res = registers('14165550100', 6);
is statuses(@res), join(' ', (201) x 6), 'those on their way do not count';
is verify($res[$_], '+1416555010' . $_)->{status}, 200, "verified: $_"
    for 0, 4, 5;

# the first four are old enough now, one of them was verified

sub age { my ($from, $to, $min) = @_;
    sql("UPDATE sms_sends s JOIN otps o ON o.id = s.otp_id
         SET s.sent_at = s.sent_at - INTERVAL $min MINUTE
         WHERE o.address BETWEEN '+1416555010$from' AND '+1416555010$to'") }
age(0, 3, 10);

my $res = register('+14165550110');
is $res->{status} . $res->{json}{code}, '429sms_limit', 'one of four';
cmp_ok $res->{headers}{'retry-after'}, '>', 86000, 'until the day is over';
is statuses(registers('14165550111', 5)), '429 429 429 429 429',
   'no more to that prefix';
is register('+14165560110')->{status}, 201, 'but to others';
is asked('+1416555', 6), 6, 'the provider was asked before only';
is metric('share'), 6, 'counted';
like +(warnings())[0], qr/no SMS to \+1416555\*\*\* of site "default": fewer codes are verified than "otpreg_sms_verified_share"/,
     'and said';

age(4, 5, 10);
is register('+14165550110')->{status}, 201,
   'two of the newest four: it has recovered';

sql("UPDATE otps SET consumed_at = NULL WHERE address LIKE '+1416555%'");
is register('+14165550112')->{status}, 429, 'none of four';
age(0, 9, 1440);
is register('+14165550112')->{status}, 201, 'until the day is over';


=== TEST 6: attack 23: what is sent again counts
--- http_config eval: main::limits('otpreg_sms_prefix_limit 3/h;')
--- config eval: $::Config
--- user_files
>>> pages/verify.html
<!--# echo var="otpreg_error" encoding="entity" default="" -->
--- flow
my $res = register('+14175550100');
is http('POST', '/resend-otp', cookie => $res->{cookie},
        json => {})->{status}, 200, "resend $_" for 2, 3;
my $again = http('POST', '/resend-otp', cookie => $res->{cookie}, json => {});
is $again->{status} . $again->{json}{code}, '429sms_limit', 'no fourth SMS';
like $again->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'in that hour';

$again = http('POST', '/resend-otp', cookie => $res->{cookie}, form => {});
is $again->{status}, 429, 'a browser gets';
like $again->{body}, qr/^We cannot send more text messages right now\./,
     'a page that says so';

# a code that is over is renewed by the same rule

sql("UPDATE otps SET expires_at = NOW(6) WHERE address = '+14175550100'");
is http('POST', '/resend-otp', cookie => $res->{cookie},
        json => {})->{status}, 429, 'nor a new code';
sql("UPDATE otps SET expires_at = NOW(6) + INTERVAL 9 MINUTE
     WHERE address = '+14175550100'");

is asked('+14175550100', 3), 3, 'the provider was asked for three';
is rows('+14175550100'), '1 1 3 3', 'and three are counted';
is verify($res, '+14175550100')->{status}, 200,
   'the code that was sent works';
is metric('prefix'), 3, 'the refusals are counted';

later('+14175550100', '1 HOUR');
$res = register('+14175550101');
sql("UPDATE otps SET expires_at = NOW(6) WHERE address = '+14175550101'");
is http('POST', '/resend-otp', cookie => $res->{cookie},
        json => {})->{status}, 200, 'a new code';
is sql("SELECT COUNT(DISTINCT s.otp_id) FROM sms_sends s
        JOIN otps o ON o.id = s.otp_id
        WHERE o.address = '+14175550101'"), 2, 'is counted as itself';


=== TEST 7: attack 16, 23: an owned number is limited in the same way
--- http_config eval
main::limits('otpreg_sms_prefix_limit 8/h; otpreg_sms_verified_share 50% of=4;'
             . 'otpreg_code_lifetime 1s;')
--- config eval: $::Config
--- flow
sql("INSERT INTO users (phone, phone_key, password, is_active,
                        phone_verified_at, verified_at, created_at)
     SELECT CONCAT('+1418555010', seq - 1),
            CONCAT('+1418555010', seq - 1), 'x', 1,
            NOW(6), NOW(6), NOW(6) FROM " . db_seq(10));
my @owned = registers('14185550100', 4);
my @free = registers('14195550100', 4);
is rows('+1418555'), '14 4 4 4', 'decoys are counted as messages are';
is sql("SELECT GROUP_CONCAT(DISTINCT template) FROM messages
        WHERE address LIKE '+1418%'"), 'taken', 'their owners are told';

wait_until(sub { sql('SELECT COUNT(*) FROM sms_sends
                      WHERE sent_at > NOW(6) - INTERVAL 1 SECOND') == 0 }, 10);
push @owned, registers('14185550104', 3);
push @free, registers('14195550104', 3);
is statuses(@owned), '201 201 201 201 429 429 429', 'and cut off';
is statuses(@free), statuses(@owned), 'as others are';


=== TEST 8: attack 23: forbidden countries and premium ranges
--- http_config eval
"$::Http otpreg_sms_countries !+4470 +447005 +44 +1;"
--- config eval: $::Config
--- flow
for (['+442079460001' => 201], ['+447700900001' => 201],
     ['+447012345678' => 422], ['+447005123456' => 201],
     ['+19005550100' => 201], ['+8821655550100' => 422])
{
    my ($phone, $status) = @$_;
    my $res = register($phone);
    is $res->{status}, $status, $phone;
    is $res->{json}{errors}[0]{code}, 'phone_country', '... and why'
        if $status == 422;
}

is rows($_), '0 0 0 0', 'nothing is written' for '+447012345678', '+882';
is sms_to($_, 0), 0, 'nothing is sent' for '+447012345678', '+882';
is metric('country'), 2, 'both are counted';
is scalar(warnings()), 1, 'one is said';
like +(warnings())[0], qr/no SMS to \+4470123\*\*\* of site "default": "otpreg_sms_countries" excludes it/,
     'without the number in full';


=== TEST 9: only what is excluded
--- http_config eval: "$::Http otpreg_sms_countries !+1900;"
--- config eval: $::Config
--- flow
is register('+19005550101')->{status}, 422, 'a premium number';
is register('+14205550101')->{status}, 201, 'any other';
is register('+4930901821')->{status}, 201, 'from anywhere';


=== TEST 10: a short number is not in the log in full
--- http_config eval
main::limits('otpreg_sms_prefix_limit digits=12 1/h;')
--- config eval: $::Config
--- flow
is statuses(register('+2905123'), register('+2905123')), '201 429', 'one';
like +(warnings())[0], qr/no SMS to \+290\*\*\* /, 'its end is hidden';


=== TEST 11: attack 23: limited by default
--- http_config eval: $::Defaults . $::More
--- config eval: $::Config
--- user_files
>>> pages/register.html
<!--# echo var="otpreg_error" encoding="entity" default="" -->
--- flow
my $all = statuses(registers('14215550100', 22));
is $all, join(' ', (201) x 20, 429, 429), 'twenty to a prefix in an hour';
my $res = http('POST', '/register', form => form('+14215550130'));
is $res->{status}, 429, 'a browser gets';
is $res->{body}, 'We cannot send more text messages right now. Please try '
                 . 'again later, or use your email address if the form asks '
                 . "for one.\n", 'a page that says so';
ok $res->{headers}{'retry-after'}, 'and when';
is asked('+1421555', 20), 20, 'the provider was asked for twenty';

sub sent { sql("INSERT INTO sms_totals (site, began_at, sent)
                VALUES ('default', NOW() - INTERVAL $_[1] MINUTE, $_[0])") }
forget();
sent(199, 5);
is statuses(registers('14225550100', 2)), '201 429', '200 in an hour';
forget();
sent(400, 70);
sent(400, 600);
sent(199, 1430);
is statuses(registers('14235550100', 2)), '201 429', '1000 in a day';
is metric('total'), 2, 'both are counted';

forget();
sub old { sql("INSERT INTO sms_sends (site, prefix, otp_id, sent_at)
               SELECT 'default', '+1424555', REPEAT(0, 16),
                      NOW(6) - INTERVAL 3 HOUR FROM " . db_seq($_[0])) }
old(19);
is register('+14245550100')->{status}, 201, 'nineteen tell nothing';
old(1);
is register('+14245550101')->{status}, 429, 'none of twenty is verified';
is metric('share'), 1, 'that was the share';


=== TEST 12: off
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
forget();
is statuses(registers('14245550200', 25)), join(' ', (201) x 25), 'no limit';
is sql('SELECT COUNT(*) FROM sms_sends') . (total('default') // ''), '0',
   'and nothing is counted';


=== TEST 13: attack 23, 36: a changed address counts as any other
--- http_config eval
main::limits('otpreg_sms_prefix_limit 1/h;otpreg_sms_countries +1 +44 !+4470;')
--- config eval: $::Config
--- flow
my $res = register('+14295550100');
is $res->{status}, 201, 'a sign-up';

sub change { http('POST', '/resend-otp', cookie => $_[0]{cookie},
                  json => { phone => $_[1] }) }
my $changed = change($res, '+14295550101');
is $changed->{status} . $changed->{json}{code}, '429sms_limit',
   'to the next number of a prefix';
like $changed->{headers}{'retry-after'}, qr/^3[56]\d\d$/, 'not in that hour';
$changed = change($res, '+447012345678');
is $changed->{json}{errors}[0]{code}, 'phone_country', 'to a premium number';

my $mail = http('POST', '/register', json => { email => 'c@example.com',
    channel => 'email', password => $::Password,
    confirm_password => $::Password });
is $mail->{status}, 201, 'a sign-up by mail';
is change($mail, '+14295550102')->{status}, 429, 'to such a number';
is asked('+1429555', 1), 1, 'the provider was asked for the first';
is sms_to('+4470123', 0), 0, 'and not for the premium number';
is metric('prefix') . metric('country'), '21', 'all are counted';
like +(warnings())[0], qr/no SMS to \+1429555\*\*\* of/, 'and said';
is verify($res, '+14295550100')->{status}, 200, 'the first code works';


=== TEST 14: otpreg_sms_limit without a period
--- http_config
otpreg_sms_limit 200;
--- config

--- must_die
--- error_log
invalid parameter "200" in


=== TEST 15: otpreg_sms_limit of nothing
--- http_config
otpreg_sms_limit 0/h;
--- config

--- must_die
--- error_log
invalid parameter "0/h" in


=== TEST 16: otpreg_sms_limit for longer than is kept
--- http_config
otpreg_sms_limit 10/h 20/3d;
--- config

--- must_die
--- error_log
invalid parameter "20/3d" in


=== TEST 17: otpreg_sms_limit twice
--- http_config
otpreg_sms_limit off;
otpreg_sms_limit 1/h;
--- config

--- must_die
--- error_log
"otpreg_sms_limit" directive is duplicate in


=== TEST 18: otpreg_sms_prefix_limit with too many digits
--- http_config
otpreg_sms_prefix_limit digits=16 20/h;
--- config

--- must_die
--- error_log
invalid parameter "digits=16" in


=== TEST 19: otpreg_sms_prefix_limit without a limit
--- http_config
otpreg_sms_prefix_limit digits=7;
--- config

--- must_die
--- error_log
invalid parameter "digits=7" in


=== TEST 20: otpreg_sms_prefix_limit off and on
--- http_config
otpreg_sms_prefix_limit off 20/h;
--- config

--- must_die
--- error_log
invalid parameter "off" in


=== TEST 21: otpreg_sms_prefix_limit twice
--- http_config
otpreg_sms_prefix_limit off;
otpreg_sms_prefix_limit off;
--- config

--- must_die
--- error_log
"otpreg_sms_prefix_limit" directive is duplicate in


=== TEST 22: otpreg_sms_verified_share that is none
--- http_config
otpreg_sms_verified_share 10;
--- config

--- must_die
--- error_log
invalid parameter "10" in


=== TEST 23: otpreg_sms_verified_share of more than all
--- http_config
otpreg_sms_verified_share 101%;
--- config

--- must_die
--- error_log
invalid parameter "101%" in


=== TEST 24: otpreg_sms_verified_share of nothing
--- http_config
otpreg_sms_verified_share 10% of=0;
--- config

--- must_die
--- error_log
invalid parameter "of=0" in


=== TEST 25: otpreg_sms_verified_share twice
--- http_config
otpreg_sms_verified_share off;
otpreg_sms_verified_share off;
--- config

--- must_die
--- error_log
"otpreg_sms_verified_share" directive is duplicate in


=== TEST 26: otpreg_sms_countries with an exclusion of nothing
--- http_config
otpreg_sms_countries +44 !;
--- config

--- must_die
--- error_log
invalid parameter "!" in


=== TEST 27: otpreg_sms_limit for less than a minute
--- http_config
otpreg_sms_limit 100/h 10/30s;
--- config

--- must_die
--- error_log
invalid parameter "10/30s" in
