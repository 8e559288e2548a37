package OtpReg::SMTP;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# An SMTP server for tests: a real dialogue, many connections at once (a
# process each), every mail a file, and it misbehaves when asked to.  "use
# OtpReg" starts it; it exports
#
# smtp_start(%opt)   on a free port, or after smtp_stop() on the same again;
#                    auth => 'user:password' offers and requires AUTH PLAIN and
#                    LOGIN, ehlo => [...] are other extensions, port => number;
#                    returns the port, also in TEST_NGINX_SMTP_PORT
# smtp_stop()        connections break, the port refuses
# smtp_port()
# smtp_behave(@rules)   how to answer from now on, also in open connections;
#                    without rules: well.  The first that fits is used; a rule
#                    is { cmd => 'RCPT', reply => '451 4.3.0 later' } and so on:
#
#     cmd    CONNECT EHLO HELO AUTH MAIL RCPT DATA EOD RSET NOOP QUIT;
#            EOD is the end of the mail, CONNECT the greeting
#     match  regular expression for the whole command line (EOD: for the mail)
#     reply  a line or [lines]; the command has no effect unless it says 2xx
#     delay  seconds to wait before the reply
#     close  1: close the connection instead of a reply
#     store  1: EOD only: keep the mail although the reply says no
#     times  use the rule so many times only
#
# smtp_log()         the dialogues so far: "time pid C: command", "... S: reply"
# smtp_real($mode, $user, $password)   also start aiosmtpd, a real server, from
#                    t/unit/smtp_server.py; mode is starttls (required, as is
#                    AUTH), smtps (AUTH LOGIN required) or plain; returns
#                    { port, ca, user, password, pid }, or undef without
#                    aiosmtpd.  ca is a file, the name is localhost
#
# mails($to)         all received (by smtp_real too), or those to an address,
#                    the oldest first, each { to, rcpt, from, time, params,
#                    peer, raw, headers, subject, parts, text, html }: to is the
#                    first of rcpt; headers by lower-case name, unfolded;
#                    subject, text and html (the first part of that type) are
#                    characters, with \n for line ends; parts are the leaves,
#                    { type, charset, headers, body }, in bytes.  Those of
#                    smtp_real have tls, login, defects instead of raw, parts;
#                    peer is the port that the stub got it from
# mail_count($to)
# clear_mails()
# wait_mail($to, $seconds, $count)   the newest to the address as soon as there
#                    are $count (1); undef after $seconds (5)
# code_for($to, $seconds, $count)    the first number of 6 to 10 digits in that
#                    mail's text

use v5.10.1;
use strict;
use warnings;

use Encode ();
use Fcntl qw(:flock);
use File::Path qw(make_path);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use MIME::QuotedPrint qw(decode_qp);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);
use OtpReg::Env qw(root_dir test_dir free_port start_process stop_process
                   wait_until slurp spew at_end);
use Exporter 'import';

our @EXPORT = qw(smtp_start smtp_stop smtp_port smtp_behave smtp_log smtp_real
                 mails mail_count wait_mail code_for clear_mails);

my ($Pid, $Port, $Lifeline, %Option);

sub smtp_start {
    my (%opt) = @_;

    return $Port if $Pid;

    %Option = %opt if %opt;
    $Port //= $opt{port} // free_port();
    make_path(mail_dir(), test_dir() . '/mail.to');

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       LocalPort => $Port, Listen => 128,
                                       ReuseAddr => 1)
        or die "SMTP stub on port $Port: $@\n";

    # the stub ends when the writing end of this pipe closes, that is when
    # this process dies in whatever way

    pipe(my $watch, $Lifeline) or die "pipe: $!\n";

    $Pid = fork() // die "fork: $!\n";

    if (!$Pid) {
        close $Lifeline;
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        $SIG{__DIE__} = 'DEFAULT';
        eval { serve($listen, $watch); 1 } or print STDERR "# SMTP stub: $@";
        POSIX::_exit(0);
    }

    close $listen;
    close $watch;

    state $registered = at_end(\&smtp_stop);
    $ENV{TEST_NGINX_SMTP_PORT} = $Port;
    return $Port;
}

sub smtp_stop {
    my $pid = $Pid or return;
    $Pid = undef;
    kill 'KILL', -$pid;
    stop_process($pid, 'KILL', 5);
    close $Lifeline;
    return 1;
}

sub smtp_port { $Port }

sub mail_dir { test_dir() . '/mail' }

sub smtp_behave {
    my (@rules) = @_;
    state $serial = 0;

    for my $rule (@rules) {
        $rule->{id} = ++$serial;
        $rule->{match} = "$rule->{match}" if defined $rule->{match};
    }

    spew(test_dir() . '/smtp.control',
         JSON::PP->new->latin1->encode(\@rules));
}

sub smtp_log { slurp(test_dir() . '/smtp.log') // '' }

sub smtp_real {
    my ($mode, $user, $password) = @_;
    state $serial = 0;

    return if system('/usr/bin/python3 -c "import aiosmtpd" 2>/dev/null') != 0;

    my $dir = test_dir() . '/smtp-real' . ++$serial;
    my $log = "$dir/server.log";

    make_path($dir);
    make_certificates($dir);
    my ($pid, $out) = start_process({ log => $log, pipe => 1 },
        '/usr/bin/python3', root_dir() . '/t/unit/smtp_server.py', $dir,
        $mode, $user // 'user', $password // 'password');
    at_end(sub { stop_process($pid, 'KILL') });

    my $port = <$out> // die "smtp_server.py:\n", slurp($log);

    return { port => $port + 0, ca => "$dir/ca.crt", pid => $pid,
             user => $user // 'user', password => $password // 'password' };
}

sub make_certificates {
    my ($dir) = @_;

    # with all that OpenSSL's strict verification wants
    spew("$dir/san", "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                     . "authorityKeyIdentifier=keyid\n");

    my $key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

    for ("req -x509 $key -days 2 -subj /CN=ca -keyout ca.key -out ca.crt"
         . ' -addext keyUsage=critical,keyCertSign',
         "req $key -subj /CN=localhost -keyout server.key -out server.csr",
         'x509 -req -in server.csr -CA ca.crt -CAkey ca.key -set_serial 1'
         . ' -days 2 -extfile san -out server.crt')
    {
        system("cd '$dir' && openssl $_ >openssl.log 2>&1") == 0
            or die "openssl $_:\n", slurp("$dir/openssl.log");
    }
}

# ----- the server

sub serve {
    my ($listen, $watch) = @_;

    $SIG{CHLD} = 'IGNORE';
    my $select = IO::Select->new($listen, $watch);

    while (1) {
        for my $ready ($select->can_read) {
            if ($ready == $watch) {
                kill 'KILL', -$$;
                POSIX::_exit(0);
            }

            my $client = $listen->accept or next;
            my $pid = fork() // die "fork: $!\n";

            if (!$pid) {
                close $listen;
                $SIG{PIPE} = 'IGNORE';
                eval { dialogue($client) };
                print STDERR "# SMTP stub: $@" if $@ && $@ ne "closed\n";
                POSIX::_exit(0);
            }
        }
    }
}

sub dialogue {
    my ($sock) = @_;

    binmode $sock;
    $sock->autoflush(1);
    my $s = { sock => $sock, buf => '', rcpt => [] };

    reply($s, 'CONNECT', '', '220 stub ESMTP');

    while (defined(my $line = read_line($s))) {
        note($s, 'C', $line);
        my ($cmd, $rest) = $line =~ /^(\w+)\s*(.*)/ ? (uc $1, $2) : ('', '');
        my $code = __PACKAGE__->can("do_$cmd");

        $code ? $code->($s, $line, $rest)
              : reply($s, $cmd, $line, '500 5.5.2 unknown command');
        last if $cmd eq 'QUIT';
    }
}

sub read_line {
    my ($s) = @_;

    while ($s->{buf} !~ /\n/) {
        sysread($s->{sock}, $s->{buf}, 65536, length $s->{buf}) or return;
    }

    $s->{buf} =~ s/\A(.*?)\r?\n//;
    return $1;
}

sub note {
    my ($s, $who, $line) = @_;
    open my $log, '>>', test_dir() . '/smtp.log' or return;
    syswrite $log, sprintf "%.3f %d %s: %s\n", time(), $$, $who, $line;
}

# the first rule for this command, if it is not used up

sub rule_for {
    my ($cmd, $text) = @_;

    my $json = slurp(test_dir() . '/smtp.control') // return;

    for my $rule (@{ JSON::PP->new->latin1->decode($json) }) {
        next if $rule->{cmd} ne $cmd;
        next if defined $rule->{match} && $text !~ /$rule->{match}/;
        next if defined $rule->{times} && !take($rule);
        return $rule;
    }

    return;
}

sub take {
    my ($rule) = @_;

    open my $count, '>>', test_dir() . "/smtp.rule.$rule->{id}" or return;
    flock($count, LOCK_EX);
    return 0 if -s $count >= $rule->{times};
    syswrite $count, '.';
    return 1;
}

# Answer, or do what the rule says.  True if the command shall have its effect.

sub reply {
    my ($s, $cmd, $text, @lines) = @_;

    @lines = by_rule($s, scalar(rule_for($cmd, $text)), @lines);
    return send_lines($s, @lines);
}

sub by_rule {
    my ($s, $rule, @lines) = @_;

    return @lines if !$rule;

    sleep($rule->{delay}) if $rule->{delay};

    if ($rule->{close}) {
        note($s, 'S', '(close)');
        die "closed\n";
    }

    return @lines if !defined $rule->{reply};
    return ref $rule->{reply} ? @{ $rule->{reply} } : $rule->{reply};
}

sub send_lines {
    my ($s, @lines) = @_;

    my $last = pop @lines;
    send_line($s, s/^(\d+) /$1-/r) for @lines;
    send_line($s, $last);

    return $last =~ /^[23]/;
}

sub send_line {
    my ($s, $line) = @_;
    note($s, 'S', $line);
    print { $s->{sock} } "$line\r\n" or die "closed\n";
}

sub do_EHLO {
    my ($s, $line) = @_;

    my @ext = @{ $Option{ehlo} // [qw(PIPELINING 8BITMIME SMTPUTF8
                                      ENHANCEDSTATUSCODES), 'SIZE 10485760'] };
    push @ext, 'AUTH PLAIN LOGIN' if $Option{auth};
    reset_mail($s);
    reply($s, 'EHLO', $line, '250 stub', map { "250 $_" } @ext);
}

sub do_HELO {
    my ($s, $line) = @_;
    reset_mail($s);
    reply($s, 'HELO', $line, '250 stub');
}

sub do_AUTH {
    my ($s, $line, $rest) = @_;

    my ($how, $word) = split / /, $rest;
    my $given = '';

    if (uc $how eq 'PLAIN') {
        $word //= ask($s, '334 ');
        $given = join ':', (split /\0/, decode_base64($word // ''), -1)[1, 2];

    } elsif (uc $how eq 'LOGIN') {
        $word //= ask($s, '334 VXNlcm5hbWU6');
        $given = decode_base64($word // '') . ':'
                 . decode_base64(ask($s, '334 UGFzc3dvcmQ6') // '');
    }

    my $ok = defined $Option{auth} && $given eq $Option{auth};
    $s->{auth} = reply($s, 'AUTH', $line, $ok ? '235 2.7.0 welcome'
                                              : '535 5.7.8 refused') && $ok;
}

sub ask {
    my ($s, $line) = @_;
    send_line($s, $line);
    return read_line($s);
}

sub do_MAIL {
    my ($s, $line, $rest) = @_;

    return reply($s, 'MAIL', $line, '530 5.7.0 authenticate first')
        if $Option{auth} && !$s->{auth};
    return reply($s, 'MAIL', $line, '501 5.5.4 bad sender')
        if $rest !~ /^FROM:\s*<([^>]*)>(.*)/i;

    my ($from, $params) = ($1, $2);
    return if !reply($s, 'MAIL', $line, '250 2.1.0 ok');

    reset_mail($s);
    $s->{from} = $from;
    $s->{params} = $params =~ s/^\s+//r;
}

sub do_RCPT {
    my ($s, $line, $rest) = @_;

    return reply($s, 'RCPT', $line, '503 5.5.1 MAIL first')
        if !defined $s->{from};
    return reply($s, 'RCPT', $line, '501 5.5.4 bad recipient')
        if $rest !~ /^TO:\s*<([^>]+)>/i;

    my $to = $1;
    push @{ $s->{rcpt} }, $to if reply($s, 'RCPT', $line, '250 2.1.5 ok');
}

sub do_DATA {
    my ($s, $line) = @_;

    return reply($s, 'DATA', $line, '503 5.5.1 RCPT first')
        if !@{ $s->{rcpt} };
    return if !reply($s, 'DATA', $line, '354 go on');

    while ($s->{buf} !~ /\A\.\r\n/ && $s->{buf} !~ /\r\n\.\r\n/) {
        sysread($s->{sock}, $s->{buf}, 65536, length $s->{buf})
            or die "closed\n";
    }

    $s->{buf} =~ s/\A(|.*?\r\n)\.\r\n//s;
    my $raw = $1 =~ s/^\.//gmr;

    my $rule = rule_for('EOD', $raw);
    my $store = $rule && $rule->{store};

    keep($s, $raw) if $store;
    my @lines = by_rule($s, $rule, '250 2.0.0 queued');

    # first, so that who sees the reply also sees the mail
    keep($s, $raw) if !$store && $lines[-1] =~ /^2/;
    send_lines($s, @lines);
    reset_mail($s);
}

sub do_RSET {
    my ($s, $line) = @_;
    reset_mail($s);
    reply($s, 'RSET', $line, '250 2.0.0 ok');
}

sub do_NOOP { reply($_[0], 'NOOP', $_[1], '250 2.0.0 ok') }
sub do_VRFY { reply($_[0], 'VRFY', $_[1], '252 2.0.0 perhaps') }
sub do_QUIT { reply($_[0], 'QUIT', $_[1], '221 2.0.0 bye') }

sub reset_mail {
    my ($s) = @_;
    @$s{qw(from params rcpt)} = (undef, '', []);
}

sub keep {
    my ($s, $raw) = @_;

    state $n = 0;
    my $name = sprintf '%017.6f-%d-%05d', time(), $$, $n++;
    my $envelope = JSON::PP->new->latin1->canonical->encode({
        from => $s->{from}, rcpt => $s->{rcpt}, params => $s->{params},
        time => time(), auth => $s->{auth} ? 1 : 0,
        peer => $s->{sock}->peerport,
    });

    spew(mail_dir() . "/$name", "$envelope\n$raw");

    for my $to (@{ $s->{rcpt} }) {
        open my $list, '>>', list_file($to) or die "mail list: $!\n";
        syswrite $list, "$name\n";
    }
}

# the names of the mails to an address: nobody has to read all of them

sub list_file { test_dir() . '/mail.to/' . (lc $_[0]) =~ s/[^\w.+\@-]/%/gr }

# ----- what was received

sub mails {
    my ($to) = @_;

    my @files = defined $to
        ? map { mail_dir() . "/$_" } split /\n/, slurp(list_file($to)) // ''
        : glob mail_dir() . '/*';
    my @stub = map { parse_mail($_) } grep { defined } map { slurp($_) }
               grep { !/\.tmp$/ } sort @files;
    my @real = map { parse_real($_) }
               map { split /^/, slurp($_) // '' } real_files();

    return grep { my $m = $_;
                  !defined $to || grep { lc eq lc $to } @{ $m->{rcpt} } }
           @stub, @real;
}

sub real_files { glob(test_dir() . '/smtp-real*/mails') }

# what smtp_server.py wrote; it may be writing right now

sub parse_real {
    my ($line) = @_;

    my $got = eval { JSON::PP->new->utf8->decode($line) } or return;
    my %headers = map { lc $_->[0] => $_->[1] } reverse @{ $got->{headers} };
    my %mail = (%$got, rcpt => $got->{to}, to => $got->{to}[0],
                headers => \%headers, subject => $headers{subject},
                time => $got->{date}, params => '');

    for my $part (reverse @{ delete $mail{parts} }) {
        my ($type, undef, $body) = @$part;
        $body =~ s/\r\n/\n/g;
        $mail{text} = $body if $type eq 'text/plain';
        $mail{html} = $body if $type eq 'text/html';
    }

    return \%mail;
}

sub mail_count { scalar(my @all = mails(@_)) }

sub clear_mails { unlink glob(mail_dir() . '/*'), real_files() }

sub wait_mail {
    my ($to, $seconds, $count) = @_;

    my $found = wait_until(sub {
        my @mails = mails($to);
        @mails >= ($count // 1) ? \@mails : undef;
    }, $seconds // 5, 0.02);

    return $found ? $found->[-1] : undef;
}

sub code_for {
    my ($to, $seconds, $count) = @_;

    my $mail = wait_mail($to, $seconds, $count) or return;
    my $text = $mail->{text} // '';
    return $text =~ /(?<!\d)(\d{6,10})(?!\d)/ ? $1 : undef;
}

sub parse_mail {
    my ($file) = @_;

    my ($envelope, $raw) = split /\n/, $file, 2;
    my $mail = JSON::PP->new->latin1->decode($envelope);

    $mail->{raw} = $raw;
    $mail->{to} = $mail->{rcpt}[0];
    ($mail->{headers}, my $body) = parse_entity($raw);
    $mail->{subject} = eval {
        Encode::decode('MIME-Header', $mail->{headers}{subject} // '');
    };
    $mail->{parts} = [leaves($mail->{headers}, $body)];

    for my $part (reverse @{ $mail->{parts} }) {
        my $text = characters($part->{body}, $part->{charset});
        $mail->{text} = $text if $part->{type} eq 'text/plain';
        $mail->{html} = $text if $part->{type} eq 'text/html';
    }

    return $mail;
}

sub characters {
    my ($body, $charset) = @_;

    my $encoding = Encode::find_encoding($charset // 'utf-8')
                   // Encode::find_encoding('latin1');
    return $encoding->decode($body) =~ s/\r\n/\n/gr;
}

sub parse_entity {
    my ($raw) = @_;

    my ($head, $body) = $raw =~ /\A\r\n/ ? ('', substr $raw, 2)
                                         : split /\r\n\r\n/, $raw, 2;
    my %headers;

    for (split /\r\n(?![ \t])/, $head // '') {
        my ($name, $value) = /^([^:\s]+):\s*(.*)/s or next;
        $value =~ s/\r\n(?=[ \t])//g;
        $headers{lc $name} = exists $headers{lc $name}
                             ? "$headers{lc $name}, $value" : $value;
    }

    return (\%headers, $body // '');
}

sub leaves {
    my ($headers, $body) = @_;

    my $type = $headers->{'content-type'} // 'text/plain';
    my ($media) = $type =~ m{^\s*([^\s;]+)};
    $media = lc($media // 'text/plain');

    if ($media =~ m{^multipart/}
        && $type =~ /boundary=(?:"([^"]+)"|([^\s;]+))/i)
    {
        my $boundary = quotemeta($1 // $2);
        my (undef, @parts) = split /(?:\A|\r\n)--$boundary(?:--)?[ \t]*(?:\r\n|\z)/,
                                   $body, -1;
        pop @parts;    # what follows the last boundary
        return map { leaves(parse_entity($_)) } @parts
            if $body =~ /--$boundary--/;
    }

    my $encoding = lc($headers->{'content-transfer-encoding'} // '7bit');
    $body = decode_base64($body) if $encoding =~ /base64/;
    $body = decode_qp($body) if $encoding =~ /quoted-printable/;
    my ($charset) = $type =~ /charset="?([^\s;"]+)/i;

    return { type => $media, charset => $charset, headers => $headers,
             body => $body };
}

1;
