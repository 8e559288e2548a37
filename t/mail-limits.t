# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Mail bombs: sub-addresses are one mailbox, and otpreg_mail_limit and
# otpreg_mail_domain_limit bound what a site sends in all and to one domain.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use Test::Nginx::Socket 'no_plan';

our $Http = OtpReg::default_http_config()
            . "otpreg_password_hash memory=7m operations=5;\nssi on;\n"
            . "otpreg_resend_delay 0;\n"
            . "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Real-IP;\n";
(our $Address = $Http) =~ s/otpreg_address_limit off;//;
our $Config = OtpReg::default_config() . <<'END';
location = /status { otpreg_status; }
location = /other {
    otpreg_site other;
    otpreg_register /pages/register.html;
}
END
our $Password = 'correct horse battery staple';

# everybody who asks is another client

sub post {
    my ($path, $json, %opt) = @_;
    state $n = 0;
    $n++;
    return http('POST', $path, json => $json, %opt, headers =>
                { 'X-Real-IP' => sprintf '198.18.%d.%d', $n / 250, $n % 250 });
}

sub register {
    my ($to, $path) = @_;
    state $n = 0;
    $n++;
    return post($path // '/register',
                { username => "m$n", email => $to, password => $Password,
                  confirm_password => $Password });
}

sub told { return $_[0]{status} . ($_[0]{json}{code} // '') }

sub metric {
    return http('GET', '/status')->{body}
           =~ /^otpreg_mail_refused_total\{scope="$_[0]"\} (\d+)$/m ? $1 : undef;
}


sub forget { sql('DELETE FROM mail_totals') }

no_shuffle();
run_tests();

__DATA__

=== TEST 1: attack 45: sub-addresses are one mailbox
--- http_config eval: $::Address
--- config eval: $::Config
--- flow
is told(register("bomb+$_\@example.com")), 201, "bomb+$_" for 1 .. 3;
is told(register('Bomb@example.com')), 201, 'bomb itself';
is told(register('bomb+x+y@example.com')), 201, 'the fifth';
for my $to (qw(bomb+6 bomb BOMB+7 bomb+)) {
    is told(register("$to\@example.com")), '429address_limit', "$to: no sixth";
}
is told(register($_)), 201, "$_ is another mailbox"
    for 'bombard@example.com', '+bomb@example.com', 'bomb+1@example.org';
ok code_for('bomb+x+y@example.com'), 'the code goes to the address that was typed';

my $res = register('ann@example.com');
is told(post('/resend-otp', { email => 'bomb+8@example.com' },
             cookie => $res->{cookie})), '429address_limit',
   'nor by a change of address';


=== TEST 2: attack 45: with an owner or without, the answers are the same
--- http_config eval: $::Address
--- config eval: $::Config
--- flow
my $res = register('owner+a@example.com');
is http('POST', '/verify-otp', cookie => $res->{cookie}, json =>
        { otp => code_for('owner+a@example.com') })->{status}, 200, 'an owner';
register('nobody+a@example.com');
my @told = map {
    my $name = $_;
    join ' ', map { told(register("$name+$_\@example.com")) } 'a' .. 'g';
} qw(owner nobody);
is $told[0], $told[1], 'attack 16: the same';
is $told[0], join(' ', (201) x 4, ('429address_limit') x 3), 'and bounded';


=== TEST 3: attack 45: mails of a site
--- http_config eval: "$::Http otpreg_mail_limit 4/h 5/d;"
--- config eval: $::Config
--- flow
forget();
my @res = map { register("all$_\@d$_.example.com") } 1 .. 3;
is told($_), 201, 'a mail' for @res;
is told(post('/resend-otp', { email => 'all4@example.org' },
             cookie => $res[0]{cookie})), 200, 'a changed address counts';
my $res = register('all5@example.com');
is told($res), '429mail_limit', 'no fifth in an hour';
like $res->{headers}{'retry-after'}, qr/^(?:3[5-9]\d\d|4[0-2]\d\d)$/,
     'Retry-After';
is told(post('/resend-otp', {}, cookie => $res[1]{cookie})), '429mail_limit',
   'nor by a resend';
is told(register('all1@d1.example.com')), '429mail_limit',
   'nor to a person who was sent one';
is sql("SELECT COUNT(*) FROM users WHERE email LIKE 'all5%'"), 0,
   'nothing was written';
is told(register('all5@example.com', '/other')), 201,
   'another site has its own';
is sql('SELECT SUM(sent) FROM mail_totals WHERE site = "default"'), 4,
   'what was refused is not counted';
is metric('total'), 3, 'the metric';
ok wait_until(sub {
    error_log_text() =~ /no mail to \*\*\*\@example\.com of site "default": "otpreg_mail_limit" is reached/
}, 10), 'the log, without the name of the mailbox';

sql('UPDATE mail_totals SET began_at = began_at - INTERVAL 80 MINUTE');
is told(register('all6@example.com')), 201, 'an hour later';
is told(register('all7@example.com')), '429mail_limit', 'five a day';


=== TEST 4: attack 45: mails to a domain
--- http_config eval: "$::Http otpreg_mail_domain_limit 2/h;"
--- config eval: $::Config
--- flow
forget();
is told(register("$_\@victim.example")), 201, $_ for qw(a b);
my $res = register('c@Victim.EXAMPLE');
is told($res), '429mail_limit', 'no third mailbox of it';
is told(register("$_\@example.com")), 201, 'other domains' for 'd', 'e';
is metric('domain'), 1, 'the metric';
is metric('total'), 0, 'of its own';
is sql('SELECT COUNT(*) FROM mail_totals WHERE domain = ""'), 0,
   'nothing is counted without a limit';


=== TEST 5: at once: no more than a few too many, and none is lost
--- http_config eval: "$::Http otpreg_mail_limit 10/h;"
--- config eval: $::Config
--- flow
forget();
my @res = http_many([map {
    ['POST', '/register', json => { username => "r$_",
     email => "r$_\@example.com", password => $::Password,
     confirm_password => $::Password }]
} 1 .. 40]);
my $sent = grep { $_->{status} == 201 } @res;
is scalar(grep { $_->{status} == 429 } @res), 40 - $sent, 'sent or refused';
cmp_ok $sent, '>=', 10, 'all that may be sent';
cmp_ok $sent, '<', 10 + 4, 'not more too many than there are threads';
is sql('SELECT SUM(sent) FROM mail_totals'), $sent, 'each was counted';


=== TEST 6: off is the default
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
forget();
is told(register("off$_\@example.com")), 201, 'a mail' for 1 .. 3;
is sql('SELECT COUNT(*) FROM mail_totals'), 0, 'nothing is counted';


=== TEST 7: a period that is too short
--- http_config
otpreg_mail_limit 10/5m;
--- config
--- must_die
--- error_log
invalid parameter "10/5m" in


=== TEST 8: otpreg_mail_domain_limit twice
--- http_config
otpreg_mail_domain_limit 10/h;
otpreg_mail_domain_limit off;
--- config
--- must_die
--- error_log
"otpreg_mail_domain_limit" directive is duplicate in
