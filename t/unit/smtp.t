#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# otpreg_smtp_send() against aiosmtpd (smtp_server.py) and against a server
# that misbehaves (smtp_stub.py).  SMTP_SEND is the binary to test, by default
# build/unit/smtp_send, which is made when needed.

use strict;
use warnings;
use utf8;

use Encode qw(decode encode);
use File::Basename qw(dirname);
use File::Temp;
use JSON::PP;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $here = dirname(__FILE__);
my $send = $ENV{SMTP_SEND} // make_send();
my $dir = File::Temp->newdir('smtp-XXXXXX', TMPDIR => 1);

# commands may be slower under a sanitizer or valgrind
my $slow = $ENV{SMTP_SLOW} // 1;

my %pids;

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

BAIL_OUT("no $send") unless -x $send || $send =~ / /;

END {
    my $status = $?;

    for my $pid (keys %pids) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }

    $? = $status;
}


sub make_send {
    my $top = "$here/../..";
    my $made = 'build/unit/smtp_send';

    local %ENV = %ENV;
    delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};

    system("make -s -C $top -f t/unit/smtp.mk $made 1>&2") == 0
        or BAIL_OUT("cannot make $made");

    return "$top/$made";
}


sub put {
    my ($name, $data) = @_;

    open my $fh, '>:raw', "$dir/$name" or die "$name: $!";
    print $fh encode('UTF-8', $data);
    close $fh;

    return "$dir/$name";
}


sub lines {
    my ($name) = @_;

    open my $fh, '<:raw', "$dir/$name" or return ();
    chomp(my @lines = <$fh>);

    return @lines;
}


# starts a server that prints its port; returns (pid, port)

sub start {
    my (@command) = @_;

    my $pid = open my $fh, '-|';
    die $! unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>', "$dir/server.stderr";
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    $pids{$pid} = $fh;

    my $port = <$fh>;
    BAIL_OUT("@command did not start") unless defined $port;

    return ($pid, $port + 0);
}


sub stop {
    my ($pid) = @_;

    kill 'KILL', $pid;
    close delete $pids{$pid};
}


# runs smtp_send; returns a list of [status, reply, seconds, error], one a
# mail, and what else it said

sub send_mail {
    my (%arg) = @_;

    my @command = ((split ' ', $send),
                   map { encode('UTF-8', "$_=$arg{$_}") } sort keys %arg);

    my $pid = open my $fh, '-|';
    die $! unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>', "$dir/stderr";
        delete @ENV{grep { /proxy/i } keys %ENV};
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    my (@mails, %more);

    while (<$fh>) {
        if (/^([A-Z]+) (\d+) (\d+) (.*)/) {
            push @mails, [$1, $2, $3 / 1000, $4];

        } elsif (/^(\w+) (\d+)/) {
            $more{$1} = $2;
        }
    }

    close $fh;
    $more{exit} = $?;
    $more{stderr} = join "\n", lines('stderr');

    return (\@mails, \%more);
}


sub clean {
    my ($name, $more) = @_;

    is($more->{exit}, 0, "$name: exit status");
    is($more->{stderr}, '', "$name: nothing on stderr");
}


sub received {
    my @mails = map { decode_json($_) } lines('mails');

    unlink "$dir/mails";

    return @mails;
}


# certificates

sub openssl {
    system("cd $dir && openssl $_[0] >openssl.log 2>&1") == 0
        or BAIL_OUT("openssl $_[0]: " . join "\n", lines('openssl.log'));
}


for my $ca (qw(ca other)) {
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca"
            . " -keyout $ca.key -out $ca.crt");
}

put('san', "subjectAltName=DNS:localhost\n");
openssl('req -newkey rsa:2048 -nodes -subj /CN=localhost'
        . ' -keyout server.key -out server.csr');
openssl('x509 -req -in server.csr -CA ca.crt -CAkey ca.key -set_serial 1'
        . ' -days 2 -extfile san -out server.crt');


# what is sent

my $subject = "Ihr Code für die Große Bank 🏦: 918273 "
              . "(eine längere Zeile, damit gefaltet wird 👩‍👧 äöü)";

my $text = ".a line that begins with a dot\n..two dots\n.\nGrüße 🎉 918273\n"
           . ('long ' x 300) . "\n" . ('ä' x 1200) . "\n"
           . "trailing space \nFrom here\n=3D is not an equals sign\n"
           . "tab\t\nno line end at the end";

my $html = "<!DOCTYPE html>\r\n<p>Größe &amp; <b>918273</b> 🎉</p>\r\n"
           . ".<br>\r\n" . ('<i>x</i>' x 400) . "\r\n";

my %mail = (
    from => 'Große Bank <no-reply@example.com>',
    address => 'bounce@example.com',
    to => 'someone@example.net',
    subject_file => put('subject', $subject),
    text_file => put('text', $text),
    html_file => put('html', $html),
    id => 'abc.123@example.com',
    date => 1795382568,
    helo => 'mx.example.com',
);

my %auth = (user => 'bank', password_file => put('password', 'pa ss=wörd'));


sub same_mail {
    my ($name, $got) = @_;

    my %headers = map { lc $_->[0] => $_->[1] } @{ $got->{headers} };
    (my $crlf = $text) =~ s/\r?\n/\n/g;
    (my $page = $html) =~ s/\r?\n/\n/g;

    is_deeply($got->{defects}, [], "$name: no defects");
    is_deeply($got->{to}, ['someone@example.net'], "$name: one recipient");
    is($got->{from}, 'bounce@example.com', "$name: envelope sender");
    is($got->{from_name}, 'Große Bank', "$name: display name");
    is($got->{from_address}, 'no-reply@example.com', "$name: From");
    is_deeply($got->{to_addresses}, ['someone@example.net'], "$name: To");
    is($headers{subject}, $subject, "$name: subject");
    is($got->{date}, 1795382568, "$name: date");
    is($headers{'message-id'}, '<abc.123@example.com>', "$name: message id");
    is($headers{'auto-submitted'}, 'auto-generated', "$name: auto-submitted");
    is($headers{'mime-version'}, '1.0', "$name: MIME-Version");
    is(scalar @{ $got->{headers} }, scalar keys %headers,
       "$name: no header twice");
    is($got->{helo}, 'mx.example.com', "$name: EHLO");
    is($got->{bare}, 0, "$name: no bare CR or LF");
    cmp_ok($got->{longest}, '<=', 100, "$name: no long line");
    ok(!$got->{eight}, "$name: seven bits");

    my @parts = map { (my $c = $_->[2]) =~ s/\r\n/\n/g; [@$_[0, 1], $c] }
                @{ $got->{parts} };

    is($got->{type}, 'multipart/alternative', "$name: type");
    is_deeply(\@parts, [['text/plain', 'utf-8', $crlf],
                        ['text/html', 'utf-8', $page]], "$name: parts");
}


sub later {
    my ($name, $mails, $more) = @_;

    unlike($mails->[0][3], qr/timed out/, "$name: at once");

    is($mails->[0][0], 'LATER', "$name: later, $mails->[0][3]");
    is_deeply([received()], [], "$name: no mail");
    clean($name, $more);
}


# a real server

my ($pid, $port) = start('/usr/bin/python3', "$here/smtp_server.py", $dir,
                         'starttls', 'bank', 'pa ss=wörd');
my %tls = (%mail, %auth, url => "smtp://localhost:$port", starttls => 1,
           ca => "$dir/ca.crt");

my ($mails, $more) = send_mail(%tls, count => 3, scan => '372819');
is_deeply([map { $_->[0] } @$mails], ['SENT', 'SENT', 'SENT'],
          'starttls: sent') or diag(explain($mails));
is($mails->[0][1], 250, 'starttls: reply');
is($more->{found}, 0, 'starttls: the code is not left in memory');
clean('starttls', $more);

my @got = received();
is(scalar @got, 3, 'starttls: three mails');
ok($got[0]{tls} && $got[0]{login}, 'starttls: by TLS and after AUTH');
same_mail('starttls', $got[0]);

($mails, $more) = send_mail(%tls, scan => 'ten.elpmaxe@enoemos');
cmp_ok($more->{found}, '>', 0, 'scan: finds the address, which is an argument');
received();

later('wrong password',
      send_mail(%tls, password_file => put('wrong', 'pa ss=word')));
later('no user', send_mail(%mail, url => $tls{url}, starttls => 1,
                           ca => $tls{ca}));
later('wrong CA', send_mail(%tls, ca => "$dir/other.crt"));
later('no such CA file', send_mail(%tls, ca => "$dir/none.crt"));
later('unknown CA', send_mail(%mail, %auth, url => $tls{url}, starttls => 1));
later('wrong name', send_mail(%tls, url => "smtp://127.0.0.1:$port"));
later('TLS spoken to a plain port',
      send_mail(%tls, url => "smtps://localhost:$port"));

my (%plain) = %mail;
delete $plain{html_file};
($mails, $more) = send_mail(%plain, %auth, url => $tls{url}, starttls => 1,
                            ca => $tls{ca},
                            from => 'Bank, "B" <b@example.com>');
is($mails->[0][0], 'SENT', 'text only: sent');
@got = received();
is_deeply([map { $_->[0] } @{ $got[0]{parts} }], ['text/plain'],
          'text only: one part');
is_deeply($got[0]{defects}, [], 'text only: no defects');
is($got[0]{from_name}, 'Bank, "B"', 'text only: display name with specials');

for (['Bank <b@example.com>', 'Bank'],
     ['"Bank, B" <b@example.com>', 'Bank, B'],
     ['"Große Bank" <b@example.com>', 'Große Bank'],
     ['A "B" \\ C <b@example.com>', 'A "B" \\ C'],
     ['  Bank  <b@example.com>', 'Bank'],
     ['<b@example.com>', ''],
     ['ä' x 100 . ' <b@example.com>', 'ä' x 100])
{
    my ($from, $shown) = @$_;

    send_mail(%tls, from => $from);
    @got = received();
    is($got[0]{from_name}, $shown, "display name of '$from'");
    is($got[0]{from_address}, 'b@example.com', "address of '$from'");
    is_deeply($got[0]{defects}, [], "no defects with '$from'");
}

($mails, $more) = send_mail(%tls, subject_file => put('empty', ''),
                            from => 'b@example.com', threads => 4,
                            count => 5);
is(scalar(grep { $_->[0] eq 'SENT' } @$mails), 20, 'threads: all sent');
clean('threads', $more);
@got = received();
is(scalar @got, 20, 'threads: all received');
is_deeply($got[0]{defects}, [], 'no subject: no defects');
is($got[0]{from_address}, 'b@example.com', 'no display name: From');
stop($pid);

($pid, $port) = start('/usr/bin/python3', "$here/smtp_server.py", $dir,
                      'smtps', 'bank', 'pa ss=wörd');
my %smtps = (%mail, %auth, url => "smtps://localhost:$port",
             ca => "$dir/ca.crt");
($mails, $more) = send_mail(%smtps, count => 2, scan => '372819');
is_deeply([map { $_->[0] } @$mails], ['SENT', 'SENT'], 'smtps: sent');
is($more->{found}, 0, 'smtps: the code is not left in memory');
clean('smtps', $more);
@got = received();
ok($got[0]{login}, 'smtps: after AUTH');
same_mail('smtps', $got[0]);
later('smtps, wrong CA', send_mail(%smtps, ca => "$dir/other.crt"));
later('smtps, wrong password',
      send_mail(%smtps, password_file => "$dir/wrong"));
stop($pid);

($pid, $port) = start('/usr/bin/python3', "$here/smtp_server.py", $dir,
                      'plain', '', '');
later('STARTTLS not offered',
      send_mail(%mail, url => "smtp://localhost:$port", starttls => 1,
                ca => "$dir/ca.crt"));

# the second mail must not take the first one's connection, which is in clear

($mails, $more) = send_mail(%mail, url => "smtp://localhost:$port",
                            starttls2 => 1, count => 2);
is($mails->[0][0], 'SENT', 'in clear first: sent');
is($mails->[1][0], 'LATER', 'STARTTLS after it: later');
is(scalar received(), 1, 'STARTTLS after it: no mail in clear');
stop($pid);

later('connection refused', send_mail(%mail, url => "smtp://127.0.0.1:$port"));
later('not a URL', send_mail(%mail, url => 'smtp://'));
later('another protocol', send_mail(%mail, url => "http://127.0.0.1:$port/"));


# a server that misbehaves
#
# name, its steps, arguments, expected statuses, reply, seconds at most,
# lines in its log: pattern and how often

my @hang = (timeout => 1000 * $slow, connect_timeout => 1000 * $slow);

my @cases = (
    ['RCPT 550', ['RCPT=550 no such user'], [], ['REFUSED'], 550],
    ['RCPT 550, two lines', ['RCPT=550-no\r\n550 no'], [], ['REFUSED'], 550],
    ['RCPT 451', ['RCPT=451 greylisted'], [], ['LATER'], 451],
    ['RCPT 530', ['RCPT=530 authenticate first'], [], ['LATER'], 530],
    ['AUTH wanted but not offered, the mail would be taken',
     ['EHLO=250 stub'], [%auth], ['LATER'], 0, undef, qr/^(?:DATA|mail)/,
     0],
    ['AUTH wanted but not offered, the recipient would be refused',
     ['EHLO=250 stub', 'RCPT=550 relaying denied'], [%auth], ['LATER'], 0],
    ['RCPT 550 after AUTH', ['RCPT=550 no'], [%auth], ['REFUSED'], 550],
    ['DATA 554', ['DATA=554 no'], [], ['REFUSED'], 554],
    ['DATA 451', ['DATA=451 no'], [], ['LATER'], 451],
    ['554 after the dot', ['END=554 spam'], [], ['REFUSED'], 554],
    ['452 after the dot', ['END=452 full'], [], ['LATER'], 452],
    ['greeting 554', ['GREETING=554 no'], [], ['LATER'], 554],
    ['greeting 421', ['GREETING=421 busy'], [], ['LATER'], 421],
    ['greeting is no SMTP', ['GREETING=HTTP/1.1 400 Bad Request'], [@hang],
     ['LATER'], undef, 2.5],
    ['EHLO and HELO 550', ['EHLO=550 no', 'HELO=550 no'], [], ['LATER'], 550],
    ['EHLO 502, HELO', ['EHLO=502 no'], [], ['SENT'], 250],
    ['STARTTLS offered, refused', ['EHLO=250-stub\r\n250 STARTTLS'],
     [starttls => 1], ['LATER'], 502, undef, qr/^MAIL/, 0],
    ['AUTH 535', ['AUTH=535 no', 'LINE=535 no'], [%auth], ['LATER'], 535,
     undef, qr/^MAIL/, 0],
    ['AUTH 454', ['AUTH=454 later', 'LINE=454 later'], [%auth], ['LATER'],
     454],
    ['MAIL 550', ['MAIL=550 who are you'], [], ['LATER'], 550],
    ['MAIL 421 on a new connection', ['MAIL=421 bye'], [], ['LATER'], 421,
     undef, qr/^connect/, 1],

    (map { ["hangs at $_", ["$_=hang"], [@hang, /AUTH|LINE/ ? %auth : ()],
            ['LATER'], undef, 2.5] }
         qw(GREETING EHLO AUTH LINE MAIL RCPT DATA END)),
    ['hangs at STARTTLS', ['EHLO=250-stub\r\n250 STARTTLS', 'STARTTLS=hang'],
     [@hang, starttls => 1], ['LATER'], undef, 2.5],
    ['hangs in the handshake',
     ['EHLO=250-stub\r\n250 STARTTLS', 'STARTTLS=220 go on', 'OTHER=hang',
      'LINE=hang'],
     [@hang, starttls => 1], ['LATER'], undef, 2.5],

    (map { ["closes at $_", ["$_=close"], [], ['LATER'], undef, undef,
            qr/^connect/, 1] }
         qw(GREETING EHLO MAIL RCPT DATA END)),

    (map { ["floods at $_", ["$_=flood"], [@hang], ['LATER'], undef, 2.5] }
         qw(GREETING EHLO RCPT END)),
    (map { ["endless line at $_", ["$_=longline"], [@hang], ['LATER'], undef,
            2.5] }
         qw(GREETING EHLO RCPT END)),

    ['RCPT 550, QUIT never answered', ['RCPT=550 no', 'QUIT=hang'], [],
     ['REFUSED'], 550, 3],
    ['QUIT never answered', ['QUIT=hang'], [], ['SENT'], 250, 1],

    ['one connection', [], [count => 3], [('SENT') x 3], 250, undef,
     qr/^connect/, 1],
    ['after a refusal', ['RCPT@1#1=550 no'], [count => 2],
     ['REFUSED', 'SENT'], 550, undef, qr/^mail/, 1],

    ['dead: closed while idle', ['END#1=idleclose'],
     [count => 2, pause => 500], ['SENT', 'SENT'], 250, undef,
     qr/^connect/, 2],
    ['dead: 421 while idle', ['END#1=idle421'], [count => 2, pause => 500],
     ['SENT', 'SENT'], 250, undef, qr/^connect/, 2],
    (map { my $step = $_;
           map { ["dead: $_ at $step", ["$step\@2=$_"], [count => 2],
                  ['SENT', 'SENT'], 250, undef, qr/^connect/, 2] }
               'close', '421 bye' }
         qw(MAIL RCPT DATA)),
    ['dead: replaced once', ['MAIL@2=close', 'MAIL#2=close'], [count => 2],
     ['SENT', 'LATER'], 250, undef, qr/^connect/, 2],
    ['in doubt: closed after the dot', ['END@2=close'], [count => 2],
     ['SENT', 'LATER'], 250, undef, qr/^mail/, 2],
    ['in doubt: 421 after the dot', ['END@2=421 bye'], [count => 2],
     ['SENT', 'LATER'], 250, undef, qr/^mail/, 2],
    ['450 on a reused connection', ['MAIL@2=450 no'], [count => 2],
     ['SENT', 'LATER'], 250, undef, qr/^connect/, 1],
    ['hang on a reused connection', ['MAIL@2=hang'], [count => 2, @hang],
     ['SENT', 'LATER'], 250, 2.5],

    (map { ["abort at $_", ["$_=hang"], [abort => 500], ['ABORTED'], undef,
            2.5] }
         qw(GREETING EHLO RCPT END)),
    ['abort before', [], [abort => 0, count => 2, pause => 300],
     [undef, 'ABORTED'], undef, 1],
    ['abort and QUIT never answered', ['RCPT=hang', 'QUIT=hang'],
     [abort => 500], ['ABORTED'], undef, 2.5],
);

for my $case (@cases) {
    my ($name, $steps, $args, $status, $reply, $seconds, $pattern, $times)
        = @$case;

    my ($pid, $port) = start('/usr/bin/python3', "$here/smtp_stub.py",
                             "$dir/log", @$steps);
    my ($mails, $more) = send_mail(%mail, url => "smtp://127.0.0.1:$port",
                                   @$args);

    is(scalar @$mails, scalar @$status, "$name: number of results");

    for my $i (0 .. $#$status) {
        is($mails->[$i][0], $status->[$i],
           "$name: $status->[$i], $mails->[$i][3]") if defined $status->[$i];
    }

    is($mails->[0][1], $reply, "$name: reply") if defined $reply;

    if (defined $seconds) {
        for (@$mails) {
            cmp_ok($_->[2], '<', $seconds * $slow, "$name: seconds");
        }
    }

    cmp_ok($more->{end} // 99999, '<', 500 * $slow,
           "$name: milliseconds to end");

    if (defined $pattern) {
        is(scalar(grep { /$pattern/ } lines('log')), $times,
           "$name: $times of $pattern");
    }

    clean($name, $more);
    stop($pid);
}


# one recipient, no injection: refused before any connection

($pid, $port) = start('/usr/bin/python3', "$here/smtp_stub.py", "$dir/log");

my @bad = (
    (map { [to => $_] } '', 'a', '@b', 'a@', "a\@b\n", "a\@b\r\nRCPT TO:<c\@d>",
     'a@b c@d', 'a@b,c@d', 'a@b;c@d', '<a@b>', 'a@b>', "a\@b\x01", "a\@b\x7f",
     "a\@b\t", "a\@b\x{2028}c", "a\@b\x{85}"),
    (map { [address => $_] } "a\@b\r\nDATA", 'a@b> SIZE=1', 'a b@c', ''),
    (map { [from => $_] } "A <a\@b>\r\nBcc: c\@d", 'A <a@b', 'A <a@b> x',
     'A <a@b,c@d>', "A\x00B <a\@b" =~ s/\x00/\x01/r, 'no address', ''),
    (map { [id => $_] } "x\@y\r\nBcc: c\@d", 'x@y>', 'xy'),
);

for (@bad) {
    my ($name, $value) = @$_;
    my ($mails) = send_mail(%mail, url => "smtp://127.0.0.1:$port",
                            $name => $value);

    (my $shown = "$name '$value'") =~ s/([^ -~])/sprintf '\x%x', ord $1/ge;
    is($mails->[0][0], 'REFUSED', "refused: $shown");
}

($mails) = send_mail(%mail, url => "smtp://127.0.0.1:$port",
                     subject_file => put('bad', "A\r\nBcc: c\@d"));
is($mails->[0][0], 'REFUSED', 'refused: a subject of two lines');
is_deeply([lines('log')], [], 'refused: no connection was made');
stop($pid);

done_testing();
