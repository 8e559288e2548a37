# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_language and $otpreg_lang: what people are told, in their language.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg;
use Test::Nginx::Socket 'no_plan';

my $dir = test_dir();

spew("$dir/de.txt", <<'END');
# German, as far as it is needed here

code_wrong Der Code ist falsch.
password_too_short	Mindestens {n} Zeichen.
invalid_fields Bitte prüfen Sie Ihre Angaben.
END
spew("$dir/unknown.txt", "code_wrong ok\nnonsense x\n");
spew("$dir/twice.txt", "busy a\nbusy b\n");
spew("$dir/none.txt", "busy\n");
spew("$dir/latin1.txt", "busy f\xfcr\n");

our $Languages = "otpreg_language en;\notpreg_language de $dir/de.txt;\n"
                 . "otpreg_language zh;\n";
our $Http = OtpReg::default_http_config() . $Languages . "ssi on;\n";
our $Config = OtpReg::default_config();
our $Page = <<'END';
>>> pages/register.html
lang=[<!--# echo var="otpreg_lang" encoding="entity" default="" -->]
error=[<!--# echo var="otpreg_error" encoding="entity" default="" -->]
password=[<!--# echo var="otpreg_error_password" encoding="entity" default="" -->]
email=[<!--# echo var="otpreg_error_email" encoding="entity" default="" -->]
END

sub post {
    my ($accept) = @_;
    return http('POST', '/register', headers => {
        'Accept-Language' => $accept }, form => { username => 'a',
        email => 'x', password => 'short', confirm_password => 'short' });
}

no_shuffle();
run_tests();

__DATA__

=== TEST 1: by Accept-Language
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
is post('de-CH, en;q=0.5')->{body}, <<'END', 'German; English for what lacks';
lang=[de]
error=[Bitte prüfen Sie Ihre Angaben.]
password=[Mindestens 15 Zeichen.]
email=[Enter a valid email address.]
END
like post('fr, zh-TW;q=0.1')->{body}, qr/^lang=\[zh\]\nerror=\[Please/,
     'a language without sentences';
like post('fr')->{body}, qr/^lang=\[en\]/, 'the first is the default';
like post(undef)->{body}, qr/^lang=\[en\]/, 'also without a header';
like http('GET', '/register', headers => { 'Accept-Language' => 'de' })
     ->{body}, qr/^lang=\[de\]/, 'the form, too';


=== TEST 2: problem documents
--- http_config eval: $::Http
--- config eval: $::Config
--- flow
my $res = http('POST', '/register', headers => { 'Accept-Language' => 'de' },
               json => { password => 'short' });
is $res->{json}{detail}, "Bitte pr\x{fc}fen Sie Ihre Angaben.", 'detail';
is $res->{json}{code}, 'invalid_fields', 'codes stay';


=== TEST 3: by the configuration
--- http_config eval: $::Http
--- config eval
my $config = $::Config;
$config =~ s/otpreg_register /set \$otpreg_lang \$arg_lang;\n otpreg_register /;
$config
--- user_files eval: $::Page
--- flow
for my $lang (qw(de en zh)) {
    like http('GET', "/register?lang=$lang", headers => {
                  'Accept-Language' => 'zh' })->{body},
         qr/^lang=\[$lang\]/, $lang;
}
my $res = http('POST', '/register?lang=de', form => { password => 'short' });
like $res->{body}, qr/error=\[Bitte/, 'sentences follow';


=== TEST 4: none configured
--- http_config eval: OtpReg::default_http_config() . "ssi on;\n"
--- config eval: $::Config
--- user_files eval: $::Page
--- flow
like post('de')->{body}, qr/^lang=\[\]\nerror=\[Please/, 'English';


=== TEST 5: what a file lacks is said
--- http_config eval: $::Http
--- config eval: $::Config
--- user_files eval: $::Page
--- request
GET /register
--- response_body_like: ^lang=\[en\]


=== TEST 6: a code that does not exist
--- http_config
otpreg_language en $TEST_NGINX_TEST_DIR/unknown.txt;
--- config
--- must_die
--- error_log
unknown code in line 2 of "


=== TEST 7: a code twice
--- http_config
otpreg_language en $TEST_NGINX_TEST_DIR/twice.txt;
--- config
--- must_die
--- error_log
a second sentence for a code in line 2 of "


=== TEST 8: a code without a sentence
--- http_config
otpreg_language en $TEST_NGINX_TEST_DIR/none.txt;
--- config
--- must_die
--- error_log
no sentence in line 1 of "


=== TEST 9: not UTF-8
--- http_config
otpreg_language en $TEST_NGINX_TEST_DIR/latin1.txt;
--- config
--- must_die
--- error_log
text that is not UTF-8 in line 1 of "


=== TEST 10: a language twice, a tag that is none
--- http_config
otpreg_language en;
otpreg_language EN;
--- config
--- must_die
--- error_log
"otpreg_language" directive is duplicate in


=== TEST 11: a tag that is none
--- http_config
otpreg_language ../en;
--- config
--- must_die
--- error_log
invalid parameter "../en" in
