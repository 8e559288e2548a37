#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The texts of conf-examples are the same in every language: the sentences of
# the module, those of the pages, the mails and text messages.  nginx renders
# them; maps stand in for the variables of the module, under names of their own,
# for it may be linked into this nginx.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, -nosmtp, -nodb, -nomodule;
use OtpReg::Env qw(root_dir free_port);
use OtpReg::HTTP;
use OtpReg::Nginx;
use Encode qw(decode encode);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use Test::More;

my $Examples = root_dir() . '/conf-examples';
my @Languages = map { m{([^/]+)\.txt$} } glob "$Examples/lang/*.txt";
my @Pages = grep { $_ ne 'site' }               # only what the others show
            map { m{([^/]+)\.html$} } glob "$Examples/pages/*.html";
my @Messages = qw(mail/otp.html mail/otp.txt mail/taken.html mail/taken.txt
                  sms/otp.txt sms/taken.txt);

my $Site = 'www.example.com';
my $Name = 'The-Books-of-Example';
my $Code = '123456';
my $To = 'somebody@example.net';

# the basic table of GSM 03.38, and its extension, whose characters count twice
my $Gsm = "\@\x{a3}\$\x{a5}\x{e8}\x{e9}\x{f9}\x{ec}\x{f2}\x{c7}\n\x{d8}\x{f8}\r"
          . "\x{c5}\x{e5}\x{394}_\x{3a6}\x{393}\x{39b}\x{3a9}\x{3a0}\x{3a8}"
          . "\x{3a3}\x{398}\x{39e}\x{c6}\x{e6}\x{df}\x{c9} !\"#\x{a4}%&'()*+,"
          . "-./0123456789:;<=>?\x{a1}ABCDEFGHIJKLMNOPQRSTUVWXYZ\x{c4}\x{d6}"
          . "\x{d1}\x{dc}\x{a7}\x{bf}abcdefghijklmnopqrstuvwxyz\x{e4}\x{f6}"
          . "\x{f1}\x{fc}\x{e0}";
my $Gsm_extension = "^{}\\[~]|\x{20ac}";

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);


# ----- files

# a file of text; every one of them is valid UTF-8 without a BOM

sub text_of {
    my ($file) = @_;

    my $bytes = slurp("$Examples/$file") // do {
        fail("$file is there");
        return '';
    };
    my $text = eval { decode('UTF-8', $bytes, Encode::FB_CROAK) };
    ok defined $text && $text !~ /\x{feff}|\r/, "$file: plain UTF-8"
        or return '';
    return $text;
}

# code => sentence, as the module has them

sub table {
    my $source = slurp(root_dir() . '/src/flow/ngx_http_otpreg_outcome.c');
    my ($rows) = $source =~ /ngx_http_otpreg_answers\[\w+\]\s*=\s*(\{.*?\n\})/s
                 or die "no table of answers\n";
    my $string = qr/"((?:[^"\\]|\\.)*)"/;
    my %sentence;

    while ($rows =~ /\d+,\ ngx_string\($string\),\s*
                     ngx_string\(((?:\s*$string)+)\)/gx)
    {
        my ($code, $parts) = ($1, $2);
        $sentence{$code} = join '', $parts =~ /$string/g;
    }

    my $rows_of_all = () = $rows =~ /\[OTPREG_/g;
    is scalar keys %sentence, $rows_of_all - 1, 'all rows of the table';
    return \%sentence;
}

sub sentences {
    my ($language) = @_;
    my $file = "lang/$language.txt";
    my %sentence;

    for (split /\n/, text_of($file)) {
        next if /^(?:#|$)/;
        /^([a-z0-9_]+) (\S.*\S)$/ or fail("$file: $_"), next;
        ok !$sentence{$1}, "$file: $1 is there once";
        $sentence{$1} = $2;
    }

    return \%sentence;
}

sub page_texts {
    my ($language) = @_;
    my $file = "pages/text/$language.html";
    my %value;

    # each command ends in the line of the next, so that none leaves a line

    for (split /\n/, text_of($file) =~ s/^-->//gmr) {
        /^<!--# set var="t_(\w+)" value="([^"\\]+)"$/
            or fail("$file: $_"), next;
        ok !$value{$1}, "$file: t_$1 is there once";
        cmp_ok length encode('UTF-8', $2), '<', 250, "$file: t_$1 is short";
        $value{$1} = $2;
    }

    return \%value;
}

sub same_names {
    my ($got, $expected, $name) = @_;
    return is_deeply [sort keys %$got], [sort keys %$expected], $name;
}

# what must be in every translation of a text: {n} and variables

sub placeholders { join ' ', sort $_[0] =~ /(\{n\}|\$\w*)/g }


# ----- sentences of the module

my $Table = table();

is_deeply sentences('en'), $Table, 'lang/en.txt is what the module says';

for my $language (@Languages) {
    my $sentences = sentences($language);

    same_names($sentences, $Table, "lang/$language.txt has every code");
    is placeholders($sentences->{$_} // ''), placeholders($Table->{$_}),
       "lang/$language.txt: $_: numbers"
        for sort keys %$Table;
}


# ----- texts of the pages

my $English = page_texts('en');
my %used;

for my $page (@Pages) {
    my $text = text_of("pages/$page.html");
    $used{$1}++ while $text =~ /\bt_(\w+)/g;
    unlike $text, qr/<!--\#\ *echo\ (?!var="\w+"\ encoding="entity"\ )/x,
           "$page.html: every echo is escaped";
    $text =~ s/(<!--# if expr="\$never"\n-->).*?(?=<!--# endif\n)/$1/s;
    unlike $text =~ s/<!--.*?-->//gsr =~ s/<code>.*?<\/code>//gsr,
           qr/>[^<]*[A-Za-z]{2}[^<]*</, "$page.html: no text of its own";
}

same_names(\%used, $English, 'the pages use every text');

for my $language (@Languages) {
    my $texts = page_texts($language);

    same_names($texts, $English, "pages/text/$language.html has every text");
    is placeholders($texts->{$_} // ''), placeholders($English->{$_}),
       "pages/text/$language.html: t_$_: numbers"
        for sort keys %$English;

    # "otpreg_username_address off" is the default

    unlike $texts->{username_hint}, qr/\@/,
           "pages/text/$language.html: no sign that is refused is offered";
    unlike sentences($language)->{username_invalid}, qr/\@/,
           "lang/$language.txt: nor after an error";
}

for my $folder (qw(pages/text mail sms)) {
    my @there = map { m{([^/]+?)(?:\.html)?$} } glob "$Examples/$folder/*";
    is_deeply \@there, \@Languages, "$folder: the languages of lang";
}


# ----- rendered

my $Port = free_port();
my $Root = test_dir() . '/examples';

for my $file (glob join ' ', map { "$Examples/{pages,mail,sms}$_" }
              qw(/*.html /*/*.html /*/*.txt))
{
    my $copy = $file =~ s/^\Q$Examples\E/$Root/r;
    make_path(dirname($copy));
    spew($copy, slurp($file) =~ s/\botpreg_/shown_/gr);
}

# "map" and not "set": an included page would set them anew

my $Maps = join '', map { "map \$arg_$_ \$shown_$_ { default \$arg_$_; }\n" }
    qw(lang field_username field_email field_phone channel username email phone
       error error_code error_username error_email error_phone error_channel
       error_password error_confirm_password error_otp code_length
       attempts_left expires_in expires_minutes resend_in password_min
       site_name to);
$Maps .= join '', map { "map \$arg_$_ \$$_ { default \$arg_$_; }\n" }
    qw(login_link recover_link);

my $Nginx = OtpReg::Nginx->start('', http_config => <<"EOC");
types { text/html html; text/plain txt; }
charset utf-8;
map_hash_bucket_size 128;
variables_hash_max_size 4096;
$Maps
map 1 \$shown_code { default $Code; }

server {
    listen 127.0.0.1:$Port;
    server_name $Site;
    root $Root;
    ssi on;
    ssi_types text/plain;
}
EOC

sub rendered {
    my ($file, %arg) = @_;

    my $args = join '&', map { "$_=$arg{$_}" } sort keys %arg;
    my $res = http('GET', "/$file?$args", port => $Port);
    is $res->{status}, 200, "$file?$args" or return '';
    unlike $res->{body}, qr/an error occurred|<!--#/, 'without an error of SSI';
    return decode('UTF-8', $res->{body});
}

# what is the same in every language

sub skeleton {
    my ($html) = @_;

    $html =~ s/<!--.*?-->//gs;
    $html =~ s/ (?:aria-label|data-[a-z-]+|lang|dir)="[^"]*"//g;
    return join "\n", $html =~ /<[^>]*>/g;
}

my %Wrong = (error => 'Wrong.', map { ("error_$_" => 'Wrong.') }
             qw(username email phone channel password confirm_password));
my %Both = (field_username => 'optional', field_email => 'required',
            field_phone => 'optional');
my %Any = (field_email => 'optional', field_phone => 'optional');
my %Waits = (code_length => 6, expires_in => 300, expires_minutes => 5,
             resend_in => 30);
my %Mail = (%Waits, to => 's@example.net');
my %Sms = (%Waits, to => '%2B447700900018');

my @States = (
    ['login', {}],
    ['register', {}],
    ['register', { %Both }],
    ['register', { %Both, %Wrong, channel => 'sms' }],
    ['register', { %Any }],
    ['register', { field_phone => 'required' }],
    ['verify-otp', { %Mail }],
    ['verify-otp', { %Sms, resent => 1 }],
    ['verify-otp', { %Mail, changed => 1, site_name => 'Books' }],
    ['verify-otp', { %Sms, error => 'Wrong.', error_code => 'code_wrong',
                     attempts_left => 4 }],
    ['verify-otp', { %Mail, error_code => 'invalid_fields',
                     error => 'Wrong.', error_otp => 'Wrong.' }],
    ['verify-otp', { %Mail, expires_in => 0 }],
    map({ ['verify-otp', { error => 'Wrong.', error_code => $_ }] }
        qw(code_spent code_used no_signup undeliverable busy)),
);

for (@States) {
    my ($page, $arg) = @$_;
    my $expected = skeleton(rendered("pages/$page.html", %$arg));
    my %seen;

    for my $language (@Languages) {
        my $html = rendered("pages/$page.html", %$arg, lang => $language);
        my $texts = page_texts_of($language);

        is skeleton($html), $expected, 'the same markup as in English';
        like $html, qr/<html lang="\Q$texts->{lang}\E" dir="$texts->{dir}">/,
             'its language and direction';
        unlike $html, qr/<(h1|h2|title|label|legend|button|a)\b[^>]*>\s*<\/\1>/,
               'nothing is empty';
        ok !$seen{ $html =~ s/<[^>]*>//gr }++, 'another text';
        unlike $html =~ s/^<!DOCTYPE html>\n\n\n//r,    # two files end there
               qr/^\s*$|encoding="entity"/m,
               'no blank line, and nothing for the administrator';
    }
}

sub page_texts_of {
    my ($language) = @_;
    state %texts;

    return $texts{$language} //= {
        slurp("$Examples/pages/text/$language.html")
            =~ /var="t_(lang|dir)" value="([^"]*)"/g
    };
}

my $Register = rendered('pages/register.html', %Both);
like $Register, qr/<input id="phone"[^>]*type="tel"[^>]*autocomplete="tel"/,
     'a field for the phone number';
unlike $Register, qr/<input id="(?:phone|username)"[^>]*required/,
       'which may be left empty';
like $Register, qr/<input id="email"[^>]*required/, 'the address may not';
like $Register, qr/<input id="channel-email"[^>]*checked/,
     'where the code goes to, unless something else is chosen';
unlike rendered('pages/register.html', %Any), qr/checked/,
       'nothing is chosen when neither must be given';
unlike rendered('pages/register.html', %Any, channel => 'email'), qr/checked/,
       'nor is the default';
like rendered('pages/register.html', %Any, channel => 'email',
              phone => '%2B44'), qr/<input id="channel-sms"[^>]*checked/,
     'the number is, if it alone was given';
unlike rendered('pages/register.html', field_phone => 'required'),
       qr/name="(?:channel|email|username)"/, 'nothing but a phone number';
unlike rendered('pages/register.html'), qr/name="(?:channel|phone)"/,
       'no phone number unless it is asked for';
like rendered('pages/verify-otp.html', %Sms), qr/data-sms="1"/,
     'a code that came by a text message';
like rendered('pages/verify-otp.html', %Mail), qr/data-sms=""/, 'or by mail';


# ----- colours

# WCAG's contrast of two colours, #rrggbb or #rgb

sub contrast {
    my @luminance = map {
        my @rgb = map { hex($_) / 255 } s/^#(.)(.)(.)$/#$1$1$2$2$3$3/r
                                        =~ /([0-9a-f]{2})/g;
        my ($r, $g, $b) = map { $_ <= .04045 ? $_ / 12.92
                                             : (($_ + .055) / 1.055) ** 2.4 }
                          @rgb;
        .2126 * $r + .7152 * $g + .0722 * $b + .05;
    } @_;
    return $luminance[0] / $luminance[1];
}

my $Css = text_of('pages/otpreg.css');
my @Schemes = grep { /--wrong-tint/ } $Css =~ /:root \{(.*?)\}/gs;
is @Schemes, 2, 'light and dark';

for my $scheme (@Schemes) {
    my %colour = $scheme =~ /--([a-z-]+): (#[0-9a-f]+);/g;

    for (qw(wrong good)) {
        my $ratio = contrast(@colour{$_, "$_-tint"});
        cmp_ok $ratio > 1 ? $ratio : 1 / $ratio, '>=', 7,
               "$_: text on its notice";
    }
}


# ----- mails and text messages

# the longest that is one message, with the line that the module adds to a code

sub fits_in_one {
    my ($text, $name) = @_;

    my $unicode = $text =~ /[^\Q$Gsm$Gsm_extension\E]/;
    my $length = $unicode ? length(encode('UTF-16BE', $text)) / 2
               : length($text) + (() = $text =~ /[\Q$Gsm_extension\E]/g);

    cmp_ok $length, '<=', $unicode ? 70 : 160, "$name: one text message";
    return $unicode;
}

my %gsm = map { $_ => 1 } qw(en de es fr);

for my $language (@Languages) {
    for my $message (@Messages) {
        my $file = $message =~ s{/}{/$language/}r;
        my $source = text_of($file);
        my $encoding = $file =~ /html$/ ? 'entity' : 'none';

        unlike $source,
               qr/<!--\#\ *echo\ (?!var="\w+"\ encoding="$encoding"\ )/x,
               "$file: escaped as it must be";

        my $text = rendered($file, expires_minutes => 10, to => $To);
        is length($text) - length($text =~ s/\Q$Site\E//r), length $Site,
           "$file: names the site"
            if $file !~ m{^sms/ar/otp};
        like $text, qr/\b$Code\b/, "$file: the code" if $file =~ /otp/;
        unlike $text, qr/$Code/, "$file: no code" if $file =~ /taken/;
        like $text, qr/\Q$To\E/, "$file: the address"
            if $file =~ m{^mail/.*taken};
        like $text, qr/\b10\b/, "$file: minutes"
            if $file =~ /otp/ && $file !~ m{^sms/ar/};
        cmp_ok length encode('UTF-8', $text), '<', 4096,
               "$file: fits into subrequest_output_buffer_size";

        my $named = rendered($file, expires_minutes => 10, to => $To,
                             site_name => $Name);
        like $named, qr/\Q$Name\E/, "$file: names the site as it is called"
            if $file !~ m{^sms/ar/otp};
        unlike $named, qr/\Q$Site\E/, "$file: and not by its server";

        if ($file =~ m{^mail/.*txt$}) {
            like $text, qr/^\s*Subject: \S.*\n\n\S/, "$file: a subject";
            like $named, qr/^\s*Subject: .*\Q$Name\E/, "$file: names it";

        } elsif ($file =~ m{^sms/}) {
            unlike $text, qr/\@$Site|^\s|\n./, "$file: one line, no origin";
            $text =~ s/\n$//;
            $text .= "\n\n\@$Site #$Code" if $file =~ /otp/;
            my $unicode = fits_in_one($text, $file);
            ok !$unicode, "$file: GSM 7-bit characters" if $gsm{$language};
            $named .= "\n\@$Site #$Code" if $file =~ /otp/;
            fits_in_one($named, "$file, by name") if $gsm{$language};

        } else {
            my $lang = page_texts_of($language);
            like $text, qr/<html lang="\Q$lang->{lang}\E"/, "$file: language";
            is scalar(() = $text =~ / dir="rtl"/g),
               $lang->{dir} eq 'rtl' ? 2 : 0, "$file: direction";
            like $text, qr/<body[^>]*>\n<div style="display:none[^>]*>[^<]+</,
                 "$file: a line for the list of mails";
            like $named, qr/ <p[^>]*>\Q$Name\E<\/p> \s* <h1/x,
                 "$file: the name above it";
        }

        my @links = map { "https://$Site/$_" } qw(log-in recover);
        my $linked = rendered($file, expires_minutes => 10, to => $To,
                              login_link => $links[0],
                              recover_link => $links[1]);
        is join(' ', $linked =~ m{(https://[^"\s]+)}g),
           $file =~ /^mail.*taken/ ? "@links" : '', "$file: its links";
        unlike $text, qr{https?://}, "$file: none of its own";
    }
}

is_deeply [$Nginx->bad_log_lines], [], 'nothing bad in the log';
is_deeply [grep { /\[(?:error|warn)\]/ } $Nginx->error_log_lines], [],
          'and no error';
ok $Nginx->quit, 'nginx left by itself';

done_testing();
