# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Sign-up by SMS: phone numbers, fields, channels, countries, the text, and two
# couriers one after the other.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use OtpReg::Provider;
use Test::Nginx::Socket 'no_plan';

our $Port = provider_start();
our $Password = 'correct horse battery staple';
our $Http = OtpReg::default_http_config() . "ssi on;\n"
            . "otpreg_sms /courier/sms;\notpreg_sms_origin www.example.com;\n";
our $Sms = "location = /courier/sms { internal;\n"
           . "proxy_pass http://127.0.0.1:$Port/sms; }\n";
our $Config = OtpReg::default_config() . $Sms;

sub register {
    state $n = 0;
    $n++;
    return http('POST', '/register', json => { password => $Password,
        confirm_password => $Password, username => "s$n", @_ });
}

sub codes {
    return { map { $_->{field} => $_->{code} }
             @{ $_[0]{json}{errors} // [] } };
}

# the newest SMS to a number, as soon as there are $n

sub sms_to {
    my ($to, $n) = @_;
    my @sms;
    wait_until(sub { @sms = grep { ($_->{json}{to} // '') eq $to }
                            provider_requests(); @sms >= ($n // 1) }, 10);
    return $sms[-1]{json};
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: a sign-up by phone number
--- http_config eval: "$::Http otpreg_fields username=required phone=required;"
--- config eval: $::Config
--- flow
my $res = register(phone => '+1 (415) 555-0100', username => 'anna');
is $res->{status}, 201, 'created';
is_deeply $res->{json}, { next => '/verify-otp', channel => 'sms',
                          to => '+1***00', expires_in => 600,
                          resend_in => 60 }, 'channel and masked number';

my $sms = sms_to('+14155550100');
is $sms->{channel}, 'sms', 'to the SMS courier';
is $sms->{subject} . $sms->{html}, '', 'a text and no more';
my ($code) = $sms->{text} =~ /\b(\d{6})\b/;
is $sms->{code}, $code, 'the code';
is $sms->{text}, "Your verification code is $code. Never tell it to anybody."
                 . "\n\@www.example.com #$code",
   'the domain-bound line is the last';

is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => $code })->{status}, 200, 'verified';
is_deeply [sql('SELECT username, email, phone, is_active,
                phone_verified_at IS NOT NULL, email_verified_at,
                phone_owner FROM users WHERE username = "anna"')],
          [['anna', undef, '+14155550100', 1, 1, undef, '+14155550100']],
          'the number is proved, and owned';


=== TEST 2: attack 19: the host of a request is not in the message
--- http_config eval: "$::Http otpreg_fields username=required phone=required;"
--- config eval: $::Config
--- flow
my $res = http('POST', '/register', headers => { Host => 'evil.example' },
               json => { username => 'host', phone => '+14155550101',
                         password => $::Password,
                         confirm_password => $::Password });
like sms_to('+14155550101')->{text}, qr/\n\@www\.example\.com #\d{6}\z/,
     'it is of the configuration';


=== TEST 3: an owned number looks like any other
--- http_config eval: "$::Http otpreg_fields username=required phone=required;"
--- config eval: $::Config
--- flow
my $res = register(phone => '+14155550102');
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => sms_to('+14155550102')->{code} })->{status}, 200,
   'an owner';
my $again = register(phone => '+1-415-555-0102');
is $again->{status}, 201, 'the answer says nothing';
is length $again->{cookie}, length $res->{cookie}, 'nor does the cookie';
my $sms = sms_to('+14155550102', 2);
is $sms->{template}, 'taken', 'the owner is told';
unlike $sms->{text}, qr/\d{6}/, 'without a code';


=== TEST 4: what is no number, and other countries
--- http_config eval
"$::Http otpreg_fields username=required phone=required;
otpreg_sms_countries +1415 +44;"
--- config eval: $::Config
--- flow
for (['+14155550103' => undef], ['+442079460018' => undef],
     ['+44 (0)20 7946 0019' => undef],
     ['+44 (020) 7946 0020' => 'phone_invalid'],
     ["+\x{664}\x{664}2079460018" => undef],
     ["+\x{664}\x{669}30901820" => 'phone_country'],
     ['+13035550100' => 'phone_country'], ['+4930901820' => 'phone_country'],
     ['4155550103' => 'phone_invalid'], ['+1415555O103' => 'phone_invalid'],
     ["+14155550103\r\nX: 1" => 'phone_invalid'], ['' => 'required'])
{
    my ($phone, $code) = @$_;
    my $res = register(phone => $phone);
    (my $shown = $phone) =~ s/[^ -~]/?/g;
    is $code ? codes($res)->{phone} : $res->{status}, $code // 201,
       "$shown: " . ($code // 'fine');
}
is sql("SELECT COUNT(*) FROM users WHERE phone = '+442079460019'"), 1,
   'without the zero that is dialled within the country';
is sql("SELECT COUNT(*) FROM users WHERE phone LIKE '+1303%'
        OR phone LIKE '+49%'"), 0, 'nothing of it was written';


=== TEST 5: both, and a choice
--- http_config eval
"$::Http otpreg_fields email=optional phone=optional;"
--- config eval: $::Config
--- flow
my @both = (username => undef, email => 'both@example.com',
            phone => '+14155550105');
is register(@both)->{json}{channel}, 'email', 'mail is the default';
is register(@both, channel => 'sms')->{json}{channel}, 'sms', 'SMS is chosen';
is register(@both, channel => 'email')->{json}{channel}, 'email', 'mail, too';
is codes(register(@both, channel => 'fax'))->{channel}, 'channel_invalid',
   'there is no other';
is register(@both, email => '')->{json}{channel}, 'sms',
   'without an address it is SMS';
is register(@both, phone => '')->{json}{channel}, 'email',
   'without a number it is mail';
is_deeply codes(register(@both, email => '', phone => '')),
          { email => 'required' }, 'one of them there must be';
is_deeply codes(register(@both, email => '', phone => '030')),
          { phone => 'phone_invalid' }, 'a wrong number is not called missing';
is_deeply codes(register(@both, phone => '', channel => 'sms')),
          { phone => 'required' }, 'the chosen one';

my $res = register(@both, channel => 'sms');
is http('POST', '/verify-otp', cookie => $res->{cookie}, json => {
        otp => sms_to('+14155550105', 3)->{code} })->{status}, 200, 'verified';
is_deeply [sql('SELECT username, email_owner, phone_owner FROM users
                WHERE is_active = 1 AND phone = "+14155550105"')],
          [[undef, undef, '+14155550105']],
          'the address that was not proved is not owned';


=== TEST 6: fields that a form does not have are ignored
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = register(email => 'only@example.com', phone => 'nonsense',
                   channel => 'email');
is $res->{status}, 201, 'no phone field';
is sql("SELECT phone FROM users WHERE email = 'only\@example.com'"), undef,
   'nothing of it is kept';
is codes(register(email => 'only@example.com', phone => '+14155550106',
                  channel => 'sms'))->{channel}, 'channel_invalid',
   'and none can be chosen';


=== TEST 7: a page
--- http_config eval
"$::Http otpreg_fields username=optional email=optional phone=required;
otpreg_channel sms;"
--- config eval: $::Config
--- user_files
>>> pages/register.html
<!--# echo var="otpreg_field_username" default="" --> <!--# echo var="otpreg_field_email" default="" --> <!--# echo var="otpreg_field_phone" default="" --> <!--# echo var="otpreg_channel" default="" --> [<!--# echo var="otpreg_phone" encoding="entity" default="" -->] <!--# echo var="otpreg_error_phone" encoding="entity" default="" -->
--- flow
is http('GET', '/register')->{body}, "optional optional required sms [] \n",
   'which fields there are';
is http('POST', '/register', form => { phone => '<1>' })->{body},
   "optional optional required sms [&lt;1&gt;] Enter a phone number with its "
   . "country code, for example +44 7700 900018.\n", 'what was typed';


=== TEST 8: resend, and a message in the language of the sign-up
--- http_config eval
"$::Http otpreg_fields username=required phone=required;
otpreg_language en; otpreg_language de;
otpreg_resend_delay 0;
otpreg_sms_text /text/\$otpreg_lang/\$otpreg_template;"
--- config eval
"$::Config
location = /text/de/otp { internal; return 200 'Ihr Code: \$otpreg_code \n'; }"
--- flow
my $res = http('POST', '/register', headers => { 'Accept-Language' => 'de' },
               json => { username => 'hans', phone => '+14155550108',
                         password => $::Password,
                         confirm_password => $::Password });
my $sms = sms_to('+14155550108');
is $sms->{text}, "Ihr Code: $sms->{code}\n\@www.example.com #$sms->{code}",
   'German';
is http('POST', '/resend-otp', cookie => $res->{cookie},
        json => {})->{json}{channel}, 'sms', 'again';
is sms_to('+14155550108', 2)->{text}, $sms->{text}, 'the same';


=== TEST 9: a second courier when the first fails
--- http_config eval
(my $http = $::Http) =~ s/otpreg_sms \/courier\/sms;/otpreg_sms \/courier\/bad \/courier\/sms;/;
"$http otpreg_fields username=required phone=required;"
--- config eval
my $port = $::Port;
"$::Config
location = /courier/bad { internal; proxy_pass http://127.0.0.1:$port/bad; }"
--- flow
my $n = 9;
for (['503' => 2], ['429' => 2], ['401' => 2], ['402' => 2], ['403' => 2],
     ['404' => 2], ['420' => 2], ['400' => 1], ['202' => 1])
{
    my ($status, $requests) = @$_;
    my $phone = '+1415555020' . $n--;
    my $before = provider_requests();
    provider_behave($status, 200);
    register(phone => $phone);
    ok wait_until(sub { sql("SELECT due_at IS NULL FROM messages
                             WHERE address = '$phone'") }, 10),
       "$status: finished";
    my @new = (provider_requests())[$before .. provider_requests() - 1];
    is_deeply [map { $_->{path} } @new],
        [('/bad', '/sms')[0 .. $requests - 1]],
        "$status: " . ($requests == 2 ? 'the second one sends it'
                                      : 'the first one is heard');
    is sql("SELECT attempts FROM messages WHERE address = '$phone'"), 1,
       "$status: in one attempt";
}
provider_behave();
like error_log_text(), qr/message \w{32} not sent by \/courier\/bad: the courier answered 503; \/courier\/sms is next/,
     'logged';


=== TEST 10: no courier, no form
--- http_config eval
OtpReg::default_http_config() . "otpreg_fields phone=required;"
--- config eval: OtpReg::default_config()
--- must_die
--- error_log
no "otpreg_sms" is defined for the location in


=== TEST 11: fields that make no sense
--- http_config
otpreg_fields username=required;
--- config
--- must_die
--- error_log
must have "email" or "phone": a code is sent there in


=== TEST 12: a field that does not exist
--- http_config
otpreg_fields fax=required email=required;
--- config
--- must_die
--- error_log
invalid parameter "fax=required" in


=== TEST 13: a country that is none
--- http_config
otpreg_sms_countries +1 44;
--- config
--- must_die
--- error_log
invalid parameter "44" in


=== TEST 14: an origin that is none
--- http_config
otpreg_sms_origin https://example.com;
--- config
--- must_die
--- error_log
invalid parameter "https://example.com" in


=== TEST 15: a channel that is none
--- http_config
otpreg_channel fax;
--- config
--- must_die
--- error_log
invalid value "fax" in


=== TEST 16: a message that was given up: the page of that browser says so
--- http_config eval: "$::Http otpreg_fields username=required phone=required;"
--- config eval: $::Config
--- user_files
>>> pages/register.html
[<!--# echo var="otpreg_username" encoding="entity" default="" -->] [<!--# echo var="otpreg_phone" encoding="entity" default="" -->] [<!--# echo var="otpreg_masked_to" encoding="entity" default="" -->]
>>> pages/verify.html
[<!--# echo var="otpreg_error_code" encoding="entity" default="" -->]
--- flow
provider_behave(400);
my $res = register(phone => '+14155550116', username => 'lost');
my $page;
ok wait_until(sub { $page = http('GET', '/verify-otp',
                                 cookie => $res->{cookie});
                    $page->{body} eq "[undeliverable]\n" }, 10), 'it says so';
is $page->{status}, 200, 'the page itself is no error';
is http('GET', '/verify-otp', cookie => $res->{cookie}, headers => {
            Accept => 'application/json' })->{json}{code}, 'undeliverable',
   'to a program, too';
is http('GET', '/register', cookie => $res->{cookie})->{body},
   "[lost] [+14155550116] []\n", 'the form has what was typed';
is http('GET', '/register')->{body}, "[] [] []\n", 'for nobody else';

provider_behave();
my $good = register(phone => '+14155550117');
ok sms_to('+14155550117'), 'another is sent';
is http('GET', '/verify-otp', cookie => $good->{cookie})->{body}, "[]\n",
   'and says nothing';


=== TEST 26: a courier's own statuses
--- http_config eval
(my $http = $::Http) =~ s/otpreg_sms \/courier\/sms;/otpreg_sms \/courier\/own \/courier\/sms;/;
"$http otpreg_fields username=required phone=required;"
--- config eval
my $port = $::Port;
"$::Config
location = /courier/own { internal; proxy_pass http://127.0.0.1:$port/own;
    otpreg_courier_status next 422 400;
    otpreg_courier_status refused 404;
    otpreg_courier_status later 409; }"
--- flow
my $n = 9;
for (['422' => 2], ['400' => 2], ['409' => 2], ['404' => 1], ['406' => 1],
     ['503' => 2])
{
    my ($status, $requests) = @$_;
    my $phone = '+1415555030' . $n--;
    my $before = provider_requests();
    provider_behave($status, 200);
    register(phone => $phone);
    ok wait_until(sub { sql("SELECT due_at IS NULL FROM messages
                             WHERE address = '$phone'") }, 10),
       "$status: finished";
    my @new = (provider_requests())[$before .. provider_requests() - 1];
    is_deeply [map { $_->{path} } @new],
        [('/own', '/sms')[0 .. $requests - 1]],
        "$status: " . ($requests == 2 ? 'the second one sends it'
                                      : 'the first one is heard');
    is sql("SELECT attempts FROM messages WHERE address = '$phone'"), 1,
       "$status: in one attempt";
}
provider_behave();


=== TEST 27: a courier's own statuses, and no other courier
--- http_config eval
"$::Http otpreg_fields username=required phone=required;"
--- config eval
my $port = $::Port;
OtpReg::default_config() . "
location = /courier/sms { internal; proxy_pass http://127.0.0.1:$port/own;
    error_page 409 /elsewhere;
    otpreg_courier_status next 422;
    otpreg_courier_status later 409;
    otpreg_courier_status refused 500; }
location = /elsewhere { internal; return 400; }"
--- flow
my $n = 9;
for (['422' => undef], ['409' => ''], ['500' => undef]) {
    my ($status, $due) = @$_;
    my $phone = '+1415555031' . $n--;
    provider_behave($status, 200);
    register(phone => $phone);
    ok wait_until(sub { sql("SELECT last_error IS NOT NULL FROM messages
                             WHERE address = '$phone'") }, 10),
       "$status: answered";
    is sql("SELECT IF(due_at IS NULL, 'given up', 'waits') FROM messages
            WHERE address = '$phone'"),
       defined $due ? 'waits' : 'given up', "$status: what it means";
    is sql("SELECT last_error FROM messages WHERE address = '$phone'"),
       "the courier answered $status", "$status: the reason";
}
provider_behave();


=== TEST 28: a message that is claimed is that of its channel, purpose and template
--- http_config eval
"$::Http otpreg_fields username=required phone=required;"
--- config eval: $::Config
--- flow
my $phone = '+14155550410';
provider_behave(503, 200);
my $res = register(phone => $phone);
ok wait_until(sub { sql("SELECT last_error IS NOT NULL FROM messages
                         WHERE address = '$phone'") }, 10), 'it waits';
ok wait_until(sub { sql("UPDATE messages SET due_at = NOW(6), lease = NULL
                         WHERE address = '$phone' AND due_at IS NOT NULL
                         AND lease IS NULL");
                    sql("SELECT sent_at IS NOT NULL FROM messages
                         WHERE address = '$phone'") }, 20),
   'claimed, and sent';
my ($first, $second) = map { $_->{json} }
    grep { ($_->{json}{to} // '') eq $phone } provider_requests();
is $second->{channel}, 'sms', 'by the courier of its channel';
is $second->{template}, 'otp', 'by its template';
is $second->{code}, $first->{code}, 'the same code';
is $second->{text}, $first->{text}, 'the same text';
is http('POST', '/verify-otp', cookie => $res->{cookie},
        json => { otp => $second->{code} })->{status}, 200, 'which is right';
provider_behave();
