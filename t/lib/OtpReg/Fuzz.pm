package OtpReg::Fuzz;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Requests, valid and broken, for t/fuzz-http.t; each from a seed, so that what
# was found comes again.  A request is
#
#     { method, path, headers => [[name, value], ...], body, chunked }
#
# request($role, %opt)   a valid one; role: signup, verify, resend, look;
#                        fields => {}, json => 1, cookie, path
# mutate($request)       change one thing; it can still be told where it ends
# bytes($request)        as it goes over the wire
# shatter($bytes)        break it so that nobody can tell where it ends
# show($bytes)           for a message
# rnd($n)  pick(@list)   the random numbers of rand(), after srand()
#
# A new field of a form needs a line in %Values, a new location one in @Paths.

use v5.10.1;
use strict;
use warnings;

use JSON::PP ();
use OtpReg::HTTP qw(form_encode);
use Exporter 'import';

our @EXPORT = qw(request mutate bytes shatter hidden show rnd pick $Password);

# every password that is sent in a request that nginx can read begins so: the
# search for it in answers and logs is for this

our $Password = 'QzPwGeheim';

our @Paths = qw(/register /both /guarded /guarded /challenge /verify-otp /resend-otp /pages/register.html
                /pages/verify-otp.html /courier/mail /courier/open
                /courier/console /mail/en/otp.txt /status /nothing / //register
                /register/ /REGISTER /register%00 /../register /register?a=b
                /register?username=x&%zz /verify-otp?resent=1 * register);

my @Nasty = (
    '', ' ', "\0", "a\0b", "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82",
    "a\r\nX-Evil: 1", "\n.\r\nQUIT", '"><script>fz1</script>', "'; DROP TABLE",
    "' OR 1=1 -- ", '<!--# echo var="otpreg_code" encoding="none" -->',
    '${otpreg_code}', '$otpreg_code', '{{7*7}}', '%00%0d%0a', '%', '%zz',
    "\xe2\x80\xae", "\xf0\x9f\x98\x80" x 40, "a\xcc\x88", "\xef\xbc\xa0",
    "\xe2\x80\x8b", '-1', '0', '1e400', '99999999999999999999', '000000',
    '123456', '1' x 300, 'x' x 151, 'y' x 5000, 'z' x 17000, '../../etc',
    'true', 'null', '[]', '{}', "\t", '+', '&=&', '=', ';',
);

my %Values = (
    username => sub { pick(@Nasty, 'u' . rnd(30), 'A.b_c@d+e-f', 'w' x 150) },
    email => sub {
        my $n = pick(@Nasty, rnd(30));
        pick($n, "u$n\@example.com", "$n\@$n", "$n\@example.com",
             "a\@$n.example", "<$n\@b.example>", "a\@b.example,$n\@c.example",
             "\"$n\"\@b.example", "a\@\xc3\xbc$n.example",
             'l' x rnd(70) . '@' . ('d' x rnd(66) . '.') x rnd(5) . 'test')
    },
    phone => sub { pick(@Nasty, '+1202555' . rnd(10000), '+49 (170) 1.2-3',
                        '+' . '9' x rnd(20), '0' x rnd(20), '+1' . pick(@Nasty)) },
    password => sub { $Password . pick(@Nasty, 'a' x rnd(300)) },
    confirm_password => sub { $Password . pick(@Nasty, 'a' x rnd(300)) },
    channel => sub { pick(@Nasty, qw(email sms SMS eMail fax)) },
    otp => sub { pick(@Nasty, map { rnd(1e6) } 1 .. 20) },
    homepage => sub { pick('', @Nasty) },
    form_token => sub { pick(@Nasty, 'A' x 87, 'Ag' . 'A' x rnd(100)) },
    challenge => sub { pick(@Nasty, 'good', 'x' x 9000) },
    'cf-turnstile-response' => sub { pick(@Nasty, 'good') },
);

my @Headers = (
    sub { [Cookie => pick("otpreg=" . pick(@Nasty), 'otpreg', '=', ';;;',
        'otpreg=' . join('', map { pick('A' .. 'Z', '_', '-') } 1 .. rnd(900)),
        '__Host-otpreg=x; otpreg=y', 'a=b; ' x rnd(100) . 'otpreg=z')] },
    sub { [Accept => pick('application/json', '*/*', 'text/html', 'x/y;q=',
        'application/json;q=0.' . rnd(1e6), ',' x rnd(500), pick(@Nasty),
        'text/html;q=0,application/problem+json')] },
    sub { ['Accept-Language' => pick('de', 'ar;q=0.9,*;q=0.1', 'x' x 40,
        'de-' x rnd(50), pick(@Nasty), join(',', map { "l$_;q=1" } 1 .. 99))] },
    sub { ['Content-Type' => pick('application/json', 'text/plain', 'a/b/c',
        'application/x-www-form-urlencoded; charset=utf-16', '',
        'multipart/form-data; boundary=x', 'application/json;' x 50,
        'APPLICATION/JSON', 'application/x-www-form-urlencoded',
        'application/problem+json', pick(@Nasty))] },
    sub { ['Content-Encoding' => pick(qw(gzip deflate br identity x))] },
    sub { ['Sec-Fetch-Site' => pick(qw(cross-site same-site same-origin none),
                                    pick(@Nasty))] },
    sub { [Origin => pick('http://localhost', 'https://evil.test', 'null',
                          '://localhost', pick(@Nasty))] },
    sub { [Host => pick('evil.test', 'localhost:1', '', 'a b', '[::1]',
                        'localhost', pick(@Nasty))] },
    sub { [Range => pick('bytes=0-1', 'bytes=-5', 'bytes=9-1', 'x')] },
    sub { ['If-Modified-Since' => pick('Thu, 01 Jan 1970 00:00:00 GMT',
                                       'Thu, 01 Jan 2099 00:00:00 GMT', 'x')] },
    sub { ['If-None-Match' => pick('*', '"x"')] },
    sub { [Expect => pick('100-continue', 'x')] },
    sub { ['X-Forwarded-For' => pick('1.2.3.4', '::1', pick(@Nasty))] },
    sub { [Upgrade => pick('h2c', 'websocket')] },
    sub { [Authorization => 'Basic ' . pick(@Nasty)] },
    sub { ['User-Agent' => pick(@Nasty)] },
    sub { [Referer => pick(@Nasty)] },
    sub { ['X-' . 'h' x rnd(300) => 'v' x rnd(3000)] },
);

sub rnd  { int rand $_[0] }
sub pick { $_[rand @_] }

sub request {
    my ($role, %opt) = @_;
    my %path = (signup => '/register', verify => '/verify-otp',
                resend => '/resend-otp', look => pick('/register', '/both',
                                                      '/verify-otp'));
    my @headers = [Host => 'localhost'];
    push @headers, [Cookie => $opt{cookie}] if defined $opt{cookie};

    return { method => pick(qw(GET GET HEAD)), headers => \@headers,
             path => $opt{path} // $path{look} } if $role eq 'look';

    my $fields = $opt{fields} // {};
    push @headers, ['Content-Type' => $opt{json} ? 'application/json'
                    : 'application/x-www-form-urlencoded'];
    push @headers, [Accept => 'text/html'] if !$opt{json} && rnd(2);

    return { method => 'POST', path => $opt{path} // $path{$role},
             headers => \@headers, json => $opt{json}, chunked => !rnd(4),
             body => $opt{json} ? JSON::PP->new->utf8->encode($fields)
                                : form_encode(%$fields), fields => $fields };
}

# a body of any fields with any values, well-formed or nearly so

sub any_body {
    my ($r) = @_;
    my %field = %{ $r->{fields} // {} };

    for (0 .. rnd(4)) {
        my $name = pick(sort keys %Values);
        rnd(5) ? ($field{$name} = $Values{$name}->()) : delete $field{$name};
    }

    my @pairs = map { [$_, $field{$_}] } sort keys %field;
    push @pairs, pick(@pairs) if @pairs && !rnd(6);
    push @pairs, map { ["n$_", $_] } 1 .. pick(10, 1000, 10_000) if !rnd(20);
    push @pairs, [pick(@Nasty), pick(@Nasty)] if !rnd(5);

    # with others than "&" all is one value, that of a name perhaps

    my $joint = pick('&', '&', '&', '&&', ';');
    my $body = join $joint, map { form_encode(@$_) } @pairs;
    return $joint eq ';' ? hidden($body) : $body if !$r->{json};

    my @members = map { json_string($_->[0]) . ':' . json_value($_->[1]) }
                  @pairs;
    return pick('', ' ', "\xef\xbb\xbf", '[') . '{' . join(',', @members)
           . '}' . pick('', '', '', ' ', 'x', ']', '}') if !rnd(6);
    return '{' . join(',', @members) . '}';
}

sub json_string {
    my ($text) = @_;
    $text =~ s/([\\"\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return qq{"$text"};
}

sub json_value {
    my ($value) = @_;
    return json_string($value) if rnd(8);
    my $depth = pick(1, 5, 200, 3000);
    return pick(qw(null true 0 -1e999 {} []), '[' x $depth . ']' x $depth,
                '{"a":' x $depth . '1' . '}' x $depth, '"\\ud800"',
                '"\\u0000"', '"\\x"', '{"$gt":""}');
}

# a password that may stand in a name, or be half of a line: not looked for

sub hidden { $_[0] =~ s/\Q$Password\E/BrokenPw/gr }

sub mutate {
    my ($r) = @_;
    my $what = rnd(12);

    if ($what < 4) {
        $r->{body} = any_body($r);

    } elsif ($what < 7) {
        my $header = pick(@Headers)->();
        $header->[1] =~ s/[\r\n\0]/ /g;
        $header->[1] =~ s/\Q$Password\E//g;
        @{ $r->{headers} } = grep { lc $_->[0] ne lc $header->[0] }
                             @{ $r->{headers} } if rnd(5);
        push @{ $r->{headers} }, $header;

    } elsif ($what == 7) {
        $r->{path} = pick(@Paths);

    } elsif ($what == 8) {
        $r->{method} = pick(qw(GET HEAD POST PUT DELETE PATCH OPTIONS TRACE
                               PROPFIND MKCOL LOCK));

    } elsif ($what == 9) {
        $r->{chunked} = !$r->{chunked};

    } elsif ($what == 10 && length($r->{body} // '')) {
        $r->{body} = hidden($r->{body});
        substr $r->{body}, rnd(length $r->{body}), rnd(4),
               pick(@Nasty, chr rnd(256));

    } else {
        splice @{ $r->{headers} }, rnd(scalar @{ $r->{headers} }), 1;
        unshift @{ $r->{headers} }, [Host => 'localhost']
            if !grep { $_->[0] eq 'Host' } @{ $r->{headers} };
    }

    return $r;
}

sub chunks {
    my ($body) = @_;
    my $text = '';

    while (length $body) {
        my $part = substr $body, 0, 1 + rnd(pick(3, 40, 5000)), '';
        $text .= sprintf("%x%s\r\n%s\r\n", length $part,
                         rnd(9) ? '' : ';ext="x"', $part);
    }

    return $text . "0\r\n" . (rnd(9) ? '' : "Trailer: x\r\n") . "\r\n";
}

sub bytes {
    my ($r) = @_;
    my $body = $r->{body};
    my @headers = @{ $r->{headers} };

    if (defined $body) {
        push @headers, $r->{chunked} ? ['Transfer-Encoding' => 'chunked']
                                     : ['Content-Length' => length $body];
        $body = chunks($body) if $r->{chunked};
    }

    my $head = join '', map { "$_->[0]: $_->[1]\r\n" } @headers;
    my $text = "$r->{method} $r->{path} HTTP/1.1\r\n$head\r\n" . ($body // '');
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

my @Shatter = (
    sub { substr $_[0], 0, rnd(length $_[0]) },
    sub { my $t = $_[0];
          substr $t, rnd(length $t), 1, chr rnd(256) for 0 .. rnd(5); $t },
    sub { my $t = $_[0];
          substr $t, rnd(length $t), rnd(20), pick(@Nasty, "\r", "\n"); $t },
    sub { $_[0] =~ s/Content-Length: (\d+)/'Content-Length: '
                     . pick($1 + 1 + rnd(50), int($1 \/ 2), -1, 'x', '1,1',
                            '99999999999999999999', '2147483648', '')/er },
    sub { $_[0] =~ s/\r\n\r\n/\r\nTransfer-Encoding: @{[
              pick('chunked', 'gzip', 'x', 'chunked,chunked')]}\r\n\r\n/r },
    sub { $_[0] =~ s/\r\n\r\n/\r\nContent-Length: @{[rnd(99)]}\r\n\r\n/r },
    sub { $_[0] =~ s/\r\n[0-9a-f]+\r\n/"\r\n" . pick('fffffffffffffffff', '-1',
              'g', '', '7fffffffffffffff', '0') . "\r\n"/er },
    sub { $_[0] =~ s/\r\n/\n/gr },
    sub { $_[0] =~ s/\r\n/\r\n folded: x\r\n/r },
    sub { $_[0] =~ s/: /pick(' : ', ':', ' ', "\0:", ':' x 9)/er },
    sub { $_[0] =~ s{ HTTP/1.1}{pick(' HTTP/1.0', ' HTTP/2.0', ' HTTP/0.9',
              ' HTTP/1.9', ' HTTP/', ' ' x 3000, ' x HTTP/1.1')}er },
    sub { my $h = "H: v\r\n" x pick(50, 3000);
          $_[0] =~ s/\r\n/\r\n$h/r },
    sub { my $v = 'v' x pick(1000, 9000, 40_000);
          $_[0] =~ s/\r\n/\r\nLong: $v\r\n/r },
    sub { my $v = 'v' x pick(1000, 9000, 40_000); $_[0] =~ s{/}{/$v}r },
    sub { "\x16\x03\x01\x02\x00\x01\x00\x01\xfc" . $_[0] },
    sub { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . $_[0] },
    sub { join '', map { chr rnd(256) } 0 .. rnd(2000) },
    sub { "\r\n" x rnd(5) . $_[0] . $_[0] },
);

sub shatter {
    my ($bytes) = @_;
    $bytes = hidden($bytes);
    $bytes = pick(@Shatter)->($bytes) for 0 .. rnd(2);
    return $bytes;
}

sub show {
    my ($bytes) = @_;
    $bytes = substr($bytes, 0, 3000) . '...' if length $bytes > 3000;
    return $bytes =~ s/([^\n -~])/sprintf '\\x%02x', ord $1/ger;
}

1;
