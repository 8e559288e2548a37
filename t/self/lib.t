#!/usr/bin/perl

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The helpers of t/lib by themselves, with nginx's own modules only.

use v5.10.1;
use strict;
use warnings;
use utf8;

use lib 't/lib';
use OtpReg -plain, -nomodule, -tcp;
use OtpReg::Env qw(free_port is_alive root_dir start_process stop_process);
use OtpReg::Nginx;
use Encode qw(encode);
use File::Path qw(remove_tree);
use IO::Socket::INET;
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(sleep time);


# an SMTP client of a few lines: returns the last reply, undef if cut off

sub smtp {
    my ($port, @lines) = @_;

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', Timeout => 5,
                                     PeerPort => $port) or return;
    local $SIG{PIPE} = 'IGNORE';
    my $reply = answer($sock);

    for my $line (@lines) {
        return if !defined $reply;
        print $sock encode('UTF-8', $line) . "\r\n";
        $reply = answer($sock);
        last if defined $reply && $reply =~ /^[45]/;
    }

    return $reply;
}

sub answer {
    my ($sock) = @_;

    my $line;
    1 while defined($line = <$sock>) && $line =~ /^\d+-/;
    $line =~ s/\r\n\z// if defined $line;
    return $line;
}

sub mail_lines {
    my ($to, $body) = @_;
    return ('EHLO me', 'MAIL FROM:<a@b.test> BODY=8BITMIME', "RCPT TO:<$to>",
            'DATA', "$body\r\n.");
}

sub db_answers { eval { sql('SELECT 1') } // 0 }

sub refused {
    my ($class, %to) = @_;
    return !$class->new(%to);
}

# the statement's rows, or nothing if it takes too long

sub sql_within {
    my ($seconds, $statement) = @_;

    my ($pid, $out) = start_process({ pipe => 1 }, db_client(), '-uroot', '-N',
                                    "-S$ENV{TEST_NGINX_DB_SOCKET}", '-e',
                                    $statement);
    my $ready = IO::Select->new($out)->can_read($seconds);
    my $row = $ready ? <$out> : undef;
    stop_process($pid, 'KILL');
    return $row;
}


subtest 'database' => sub {
    cmp_ok(sql('SELECT COUNT(*) FROM users'), '==', 0, 'schema is loaded');

    my $user = "INSERT INTO users (username, password, created_at) VALUES";
    sql("$user ('ä\"b\\\\c', '', NOW(6)), (NULL, 'x', NOW(6))");

    my @rows = sql('SELECT username, password FROM users ORDER BY id');
    is_deeply(\@rows, [[encode('UTF-8', 'ä"b\\c'), ''], [undef, 'x']], 'rows');
    ok(!eval { sql('SELECT nothing'); 1 }, 'an error dies');
    like($@, qr/Unknown column/, 'with the message of the server');

    my $mode = (stat $ENV{TEST_NGINX_DB_SOCKET})[2];
    ok($mode, 'the socket is there');
    # without TLS a password of MySQL is encrypted by the server's key
    my $client = join ' ', db_client(),
                           db_is_mysql() ? '--get-server-public-key' : ();
    is(`$client -N -h127.0.0.1 -P$ENV{TEST_NGINX_DB_PORT} \\
        -u$ENV{TEST_NGINX_DB_USER} -p$ENV{TEST_NGINX_DB_PASSWORD} \\
        $ENV{TEST_NGINX_DB_NAME} -e 'SELECT COUNT(*) FROM users'`, "2\n",
       'over TCP as the user of nginx');

    my $pid = db_running();
    ok(db_stop(), 'stopped');
    ok(!db_answers(), 'no answer');
    ok(!is_alive($pid) && !db_running(), 'no process');
    ok(refused('IO::Socket::UNIX', Peer => $ENV{TEST_NGINX_DB_SOCKET}),
       'no connection');
    ok(db_start(), 'started');
    cmp_ok(sql('SELECT COUNT(*) FROM users'), '==', 2, 'with the same rows');

    ok(db_kill(), 'killed');
    ok(!db_answers(), 'no answer');
    ok(db_start('--read-only'), 'started, with an argument');
    cmp_ok(sql('SELECT COUNT(*) FROM users'), '==', 2, 'with the same rows');
    cmp_ok(sql('SELECT @@read_only'), '==', 1, 'and the argument');

    db_freeze();
    is(sql_within(0.3, 'SELECT 7'), undef, 'frozen: no answer');
    db_thaw();
    is(sql_within(5, 'SELECT 7'), "7\n", 'thawed');

    db_reset();
    cmp_ok(sql('SELECT COUNT(*) FROM users'), '==', 0, 'rows are gone');
    cmp_ok(sql('SELECT COUNT(*) FROM otpreg_schema'), '>', 0,
           'but not the version of the schema');
    like(db_log(), qr/ready for connections/, 'log');

    spew(test_dir() . '/a.sql', "CREATE DATABASE other; USE other;\n"
         . "CREATE TABLE t (a INT); INSERT INTO t VALUES (5);\n");
    sql_file(test_dir() . '/a.sql');
    is(sql('SELECT a FROM t', 'other'), 5, 'a file, another database');
};


subtest 'SMTP stub' => sub {
    my $port = smtp_port();
    is($port, $ENV{TEST_NGINX_SMTP_PORT}, 'port');

    my $text = "Subject: =?UTF-8?B?w6Qgw7Y=?=\r\nX-Long: a\r\n b\r\n"
               . "Content-Type: multipart/alternative; boundary=\"==x\"\r\n\r\n"
               . "--==x\r\nContent-Type: text/plain; charset=utf-8\r\n"
               . "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
               . "C=C3=B6de: 012345\r\n..dot\r\n"
               . "--==x\r\nContent-Type: text/html; charset=utf-8\r\n"
               . "Content-Transfer-Encoding: base64\r\n\r\n"
               . encode_base64('<b>012345</b>', "\r\n") . "--==x--\r\n";

    is(smtp($port, mail_lines('u@x.test', $text), 'QUIT'), '221 2.0.0 bye',
       'a mail');
    my ($mail, @more) = mails('U@X.test');
    is(@more, 0, 'is one mail');
    is($mail->{to}, 'u@x.test', 'to');
    is($mail->{from}, 'a@b.test', 'from');
    is($mail->{params}, 'BODY=8BITMIME', 'parameters');
    is($mail->{subject}, 'ä ö', 'subject');
    is($mail->{headers}{'x-long'}, 'a b', 'unfolded header');
    is($mail->{text}, "Cöde: 012345\n.dot", 'text');
    is($mail->{html}, '<b>012345</b>', 'html');
    is(code_for('u@x.test', 1), '012345', 'code');
    is(code_for('nobody@x.test', 0.1), undef, 'no code for another');
    like(smtp_log(), qr/C: EHLO me\n.*S: 250-stub\n.*S: 250 2\.0\.0 queued/s,
         'log');

    clear_mails();
    is(mail_count(), 0, 'cleared');

    # rules

    my @mail = mail_lines('r@x.test', 'x');

    for ([CONNECT => '421 4.3.2 full'], [EHLO => '502 no'],
         [MAIL => '452 4.3.1 full'], [RCPT => '550 5.1.1 unknown'],
         [DATA => '451 4.3.0 later'], [EOD => '554 5.7.1 spam'])
    {
        my ($cmd, $reply) = @$_;
        smtp_behave({ cmd => $cmd, reply => $reply });
        is(smtp($port, $cmd eq 'CONNECT' ? () : @mail), $reply, $reply);
    }

    is(mail_count(), 0, 'no mail came through');
    smtp_behave({ cmd => 'EOD', reply => '451 4.3.0 later', store => 1 });
    like(smtp($port, @mail), qr/^451/, 'a mail refused');
    is(mail_count(), 1, 'but kept');

    smtp_behave({ cmd => 'RCPT', reply => '450 4.2.1 once', times => 1 });
    like(smtp($port, @mail), qr/^450/, 'once');
    like(smtp($port, @mail), qr/^250/, 'not twice');

    smtp_behave({ cmd => 'RCPT', match => 'other@', close => 1 });
    like(smtp($port, @mail), qr/^250/, 'no match');
    is(smtp($port, mail_lines('other@x.test', 'x')), undef, 'cut off');

    smtp_behave({ cmd => 'EOD', delay => 0.4 });
    my $begin = time();
    like(smtp($port, @mail), qr/^250/, 'late');
    cmp_ok(time() - $begin, '>', 0.4, 'by so much');
    is(mail_count('r@x.test'), 4, 'all in all');
    smtp_behave();

    # at once, wait_mail

    clear_mails();
    my @pid = map {
        my $n = $_;
        my $pid = fork() // die $!;

        if (!$pid) {
            sleep 0.2;
            smtp($port, mail_lines('w@x.test', "\r\ncode 10000$n"));
            POSIX::_exit(0);
        }

        $pid;
    } 1 .. 8;

    ok(wait_mail('w@x.test', 5, 8), 'eight mails');
    like(code_for('w@x.test', 1, 8), qr/^10000\d$/, 'a code of them');
    waitpid $_, 0 for @pid;

    # outage

    ok(smtp_stop(), 'stopped');
    ok(refused('IO::Socket::INET', PeerAddr => '127.0.0.1',
               PeerPort => $port), 'refused');
    is(smtp_start(auth => 'me:secret'), $port, 'on the same port again');
    like(smtp($port, @mail), qr/^530/, 'without AUTH');

    my $word = encode_base64("\0me\0secret", '');
    like(smtp($port, 'EHLO me', "AUTH PLAIN $word"), qr/^235/, 'AUTH PLAIN');
    like(smtp($port, 'EHLO me', 'AUTH PLAIN ' . encode_base64("\0me\0no", '')),
         qr/^535/, 'a wrong password');
    like(smtp($port, 'EHLO me', 'AUTH LOGIN', encode_base64('me', ''),
              encode_base64('secret', '')), qr/^235/, 'AUTH LOGIN');
    smtp_stop();
    is(smtp_start(auth => undef), $port, 'without AUTH again');
    like(smtp($port, @mail), qr/^250/, 'a mail');
};


subtest 'aiosmtpd' => sub {
    my $real = smtp_real('starttls', 'me', 'secret')
        or plan skip_all => 'aiosmtpd is not installed';

    like(smtp($real->{port}, mail_lines('a@b.test', 'x')), qr/^530/,
         'STARTTLS is required');

    my $client = "import smtplib, ssl, sys\n"
        . "s = smtplib.SMTP('localhost', $real->{port})\n"
        . "c = ssl.create_default_context(cafile='$real->{ca}')\n"
        . "c.verify_flags |= ssl.VERIFY_X509_STRICT\n"
        . "s.starttls(context=c)\n"
        . "s.login(sys.argv[1], sys.argv[2])\n"
        . "s.sendmail('f\@x.test', ['t\@x.test'], '''From: F <f\@x.test>\n"
        . "To: t\@x.test\nSubject: =?UTF-8?B?w6Qgw7Y=?=\n"
        . "Date: Mon, 23 Nov 2026 06:00:00 +0000\n\ncode 654321\n''')\n"
        . "s.quit()\n";
    my $file = spew(test_dir() . '/client.py', $client);

    isnt(system("/usr/bin/python3 $file me wrong 2>/dev/null"), 0,
         'a wrong password');
    is(system("/usr/bin/python3 $file me secret"), 0, 'a mail');
    is(code_for('t@x.test', 5), '654321', 'its code');

    my ($mail) = mails('t@x.test');
    is($mail->{subject}, 'ä ö', 'its subject');
    ok($mail->{tls} && $mail->{login}, 'TLS and login');
    is(mail_count('t@x.test'), 1, 'one mail');
};


my $config = <<'EOC';
location = /t { return 200 "$request_method $http_cookie|$http_a|$pid\n"; }
location = /set { add_header Set-Cookie "a=1; Path=/"; add_header Set-Cookie "b=2"; return 204; }
location = /clear { add_header Set-Cookie "a=; Max-Age=0"; return 204; }
location = /json { default_type application/json; return 200 '{"a":[1]}'; }
location = /slow { limit_rate 1; return 200 "0123456789"; }
location = /echo { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/back; }
location = /back { return 200 "$content_type $content_length"; }
EOC

subtest 'HTTP client' => sub {
    my $nginx = OtpReg::Nginx->start($config);

    my %jar;
    my $res = $nginx->http('GET', '/set', jar => \%jar);
    is($res->{status}, 204, 'status');
    is($res->{cookie}, 'a=1; b=2', 'cookies to send');
    is(@{ $res->{set_cookie} }, 2, 'cookies as sent');
    like($nginx->http('GET', '/t', jar => \%jar)->{body}, qr/^GET a=1; b=2\|/,
         'sent from the jar');
    $nginx->http('GET', '/clear', jar => \%jar);
    is_deeply(\%jar, { b => 2 }, 'one is cleared');
    like($nginx->http('PUT', '/t', cookie => 'x=y', headers => { A => 'h' })
         ->{body}, qr/^PUT x=y\|h\|/, 'cookie, header');

    is_deeply($nginx->http('GET', '/json')->{json}, { a => [1] }, 'JSON');
    is($nginx->http('POST', '/echo', json => { b => 'ü' })->{body},
       'application/json 10', 'JSON sent');
    is($nginx->http('POST', '/echo', form => { b => 'ü' })->{body},
       'application/x-www-form-urlencoded 8', 'form sent');
    is($nginx->http('GET', '/', raw => "GARBAGE\r\n\r\n")->{status}, 400,
       'raw');
    is($nginx->http('GET', '/slow', timeout => 0.3)->{error}, 'timeout',
       'timeout');
    my $gone = http('GET', '/', port => free_port());
    is($gone->{status}, 0, 'nobody there');
    like($gone->{error}, qr/^connect: /, 'and why');

    my @res = $nginx->http_many([map { ['GET', "/t?$_"] } 1 .. 50]);
    is(scalar(grep { $_->{status} == 200 } @res), 50, 'fifty at once');
    ok($nginx->stop, 'stopped');
};


subtest 'nginx' => sub {
    my $nginx = OtpReg::Nginx->start($config, workers => 3);

    is($nginx->workers, 3, 'three workers');
    is(scalar(grep { $_ > 500 } $nginx->rss), 3, 'memory of each');
    cmp_ok($nginx->rss($nginx->pid), '>', 500, 'memory of the master');

    my @old = $nginx->workers;
    my $new = $nginx->kill_worker(1);
    ok($new && !grep({ $_ == $new } @old), 'a new worker');
    ok(!is_alive($old[1]), 'the old one is gone');
    is($nginx->workers, 3, 'three again');
    ok($nginx->wait_log(qr/exited on signal 9/), 'it is in the log');
    is(scalar(my @bad = $nginx->bad_log_lines), 1, 'a bad line');
    is_deeply([$nginx->bad_log_lines(qr/exited on signal 9/)], [], 'allowed');

    ok($nginx->reload, 'reload');
    is($nginx->workers, 3, 'three workers');
    ok($nginx->reload(config => 'location = /new { return 202; }',
                      workers => 1, wait => 5), 'with another configuration');
    is($nginx->workers(old => 1), 1, 'one worker');
    is($nginx->http('GET', '/new')->{status}, 202, 'the new one');
    is($nginx->http('GET', '/t')->{status}, 404, 'not the old one');
    like($nginx->access_log, qr/GET .new/, 'access log');

    my ($status, $out) = $nginx->test_config;
    is($status, 0, 'nginx -t') or diag $out;

    my ($master, @workers) = ($nginx->pid, $nginx->workers);
    ok($nginx->kill9, 'all killed');
    ok(!grep({ is_alive($_) } $master, @workers), 'all gone');
    is($nginx->http('GET', '/new')->{status}, 0, 'no answer');
    ok($nginx->run, 'again');
    is($nginx->http('GET', '/new')->{status}, 202, 'on the same port');
    ok($nginx->quit, 'left');
    is($nginx->status, 0, 'with status 0');

    is(OtpReg::Nginx->start('nonsense;', must_start => 0), undef,
       'one that does not start');
    ok(!eval { OtpReg::Nginx->start('nonsense;'); 1 }, 'or dies');
    like($@, qr/unknown directive "nonsense"/, 'with the reason');

    my @two = map { OtpReg::Nginx->start("return 20$_;") } 1, 2;
    is(join(' ', map { $_->http('GET', '/')->{status} } @two), '201 202',
       'two nodes');
    is($_->bad_log_lines, 0, 'nothing bad in the log') for @two;
};


# a process that ends takes all its children along

subtest 'nothing is left' => sub {
    my $dir = root_dir();
    my $file = spew(test_dir() . '/child.t', <<"EOF");
use lib '$dir/t/lib';
use OtpReg -plain, -nomodule;
use OtpReg::Nginx;
use Test::More;
my \$nginx = OtpReg::Nginx->start('', workers => 2);
smtp_real('plain');
\$| = 1;
print join(' ', 'ready', test_dir()), "\\n";
if (\$ARGV[0] eq 'end') { sleep 1; pass(); done_testing(); exit }
sleep 60;
EOF

    for my $how (qw(INT TERM HUP KILL end)) {
        my ($pid, $out) = start_process({ log => "$file.err", pipe => 1 }, $^X,
                                        $file, $how);
        my ($child_dir) = (<$out> // '') =~ m{^ready (\S+)};
        ok($child_dir, "$how: a child is up") or diag(slurp("$file.err"));

        # mariadbd, the SMTP stub, aiosmtpd, nginx and two workers
        my @pids = descendants($pid);
        is(@pids, 6, "$how: with servers");

        kill $how eq 'end' ? 0 : $how, $pid;
        waitpid $pid, 0;
        ok(wait_until(sub { !grep { is_alive($_) } @pids }, 10),
           "$how: no servers any more")
            or diag join "\n", map { slurp("/proc/$_/cmdline") } @pids;
        ok(!-d $child_dir, "$how: no files any more") if $how ne 'KILL';
        remove_tree($child_dir);
    }
};

sub descendants {
    my ($parent) = @_;

    return map { ($_, descendants($_)) } OtpReg::Nginx::children($parent);
}

done_testing();
