# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# What was committed is sent, given up with a reason, or expires: SMTP and HTTP
# couriers that fail, workers that die.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Env qw(is_alive);
use OtpReg::Nginx;
use OtpReg::Provider;
use OtpReg::SignUp ();
use POSIX ();
use Test::More;

my $http = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n";
my $nginx = OtpReg::Nginx->start(default_config()
                                 . "location = /status { otpreg_status; }\n",
                                 http_config => $http,
                                 log_level => 'info');

# to whom its message goes

sub signup {
    my $node = $_[0] // $nginx;
    return OtpReg::SignUp::signup(via => sub { $node->http(@_) })->{to};
}

sub message {
    my ($to) = @_;
    my ($row) = sql("SELECT LOWER(HEX(id)), attempts, sent_at IS NOT NULL,
                     failed_at IS NOT NULL, last_error, due_at IS NULL
                     FROM messages WHERE address = '$to'");
    my %message;
    @message{qw(id attempts sent failed error done)} = @$row;
    return \%message;
}

sub wait_message {
    my ($to, $field, $seconds) = @_;
    ok wait_until(sub { message($to)->{$field} }, $seconds // 20),
       "$to: $field";
    return message($to);
}

# whatever waits is due now

sub hurry {
    sql("UPDATE messages SET due_at = NOW(6), lease = NULL
         WHERE due_at IS NOT NULL AND lease IS NULL");
}


subtest 'a mail' => sub {
    my $to = signup();
    my $message = wait_message($to, 'sent');
    is $message->{attempts}, 1, 'at the first attempt';
    my $mail = wait_mail($to);
    like $mail->{headers}{'message-id'}, qr/^<\Q$message->{id}\E@/,
         'the Message-ID is the message';
    is $mail->{headers}{'auto-submitted'}, 'auto-generated', 'RFC 3834';
    ok $nginx->wait_log(qr/\[info\].*message $message->{id} sent/), 'logged';
};


subtest 'temporary errors' => sub {
    smtp_behave({ cmd => 'RCPT', reply => '451 4.3.0 later', times => 2 });
    my $to = signup();
    ok wait_until(sub { message($to)->{attempts} == 1
                        && message($to)->{error} }, 10), 'not the first time';
    like message($to)->{error}, qr/^SMTP: .*451/, 'the reason';
    wait_until(sub { hurry(); message($to)->{sent} }, 20, 0.3);
    my $message = message($to);
    is $message->{sent}, 1, 'sent';
    is $message->{attempts}, 3, 'at the third attempt';
    is mail_count($to), 1, 'once';
    ok $nginx->wait_log(qr/\[warn\].*message $message->{id} not sent, attempt 1: SMTP: .*; next in \d+ ms/),
       'a warning with the reason';
};


subtest 'a refused address' => sub {
    smtp_behave({ cmd => 'RCPT', reply => '550 5.1.1 no such user' });
    my $to = signup();
    my $message = wait_message($to, 'failed');
    is $message->{attempts}, 1, 'no second attempt';
    like $message->{error}, qr/550/, 'the reason';
    ok $nginx->wait_log(qr/\[error\].*message $message->{id} given up, attempt 1/),
       'an error with the id';
    unlike $nginx->error_log, qr/\Q$to\E/, 'and without the address';
    smtp_behave();
};


subtest 'SMTP is away' => sub {
    smtp_stop();
    my @to = map { signup() } 1 .. 20;
    pass 'twenty sign-ups are answered';
    ok wait_until(sub { message($to[0])->{error} }, 10), 'mails wait';
    is mail_count(), 2, 'none was sent';
    smtp_start();
    wait_until(sub { hurry(); !grep { !mail_count($_) } @to }, 30, 0.3);
    is_deeply [map { mail_count($_) } @to], [(1) x 20],
              'then all arrive, each once';
};


subtest 'attack 33: a message that expired is not sent' => sub {
    smtp_stop();
    my $to = signup();
    ok wait_until(sub { message($to)->{error} }, 10), 'it waits';
    sql("UPDATE messages SET expires_at = NOW(6) - INTERVAL 1 SECOND
         WHERE address = '$to'");
    hurry();
    smtp_start();
    wait_message($to, 'failed');
    is mail_count($to), 0, 'not sent';
    ok $nginx->wait_log(qr/\[error\].*1 messages expired/), 'logged';
    like $nginx->http('GET', '/status')->{body},
         qr/^otpreg_messages_expired_total\{channel="email"\} 1$/m, 'counted';
};


subtest 'a code whose key is gone' => sub {
    my $keys = $ENV{TEST_NGINX_KEY_FILE};
    OtpReg::key_file($keys, 'k0');
    my $node = OtpReg::Nginx->start(default_config(), http_config => $http);

    smtp_stop();
    my $to = signup($node);
    ok wait_until(sub { message($to)->{error} }, 10), 'it waits';
    my $id = message($to)->{id};
    OtpReg::key_file($keys, 'k1');
    ok $node->reload, 'the key is removed';
    smtp_start();
    hurry();
    is wait_message($to, 'failed')->{error}, 'no key "k0" in the key file',
       'the reason';
    ok wait_until(sub {
           grep { $_->error_log =~ /\[error\].*message $id given up, attempt \d: no key "k0" in the key file/ }
               $nginx, $node }, 10), 'an error';
    is mail_count($to), 0, 'nothing was sent';
    ok $node->quit(20), 'quit';
};


subtest 'a code that was used is not sent' => sub {
    smtp_behave({ cmd => 'CONNECT', reply => '421 later', times => 1 });
    my $to = signup();
    ok wait_until(sub { message($to)->{error} }, 10), 'it waits';
    sql("UPDATE otps SET consumed_at = NOW(6) WHERE address = '$to'");
    hurry();
    wait_message($to, 'failed');
    is mail_count($to), 0, 'not sent';
    smtp_behave();
};


subtest 'attack 33: a worker is killed before the mail is sent' => sub {
    smtp_behave({ cmd => 'CONNECT', delay => 60 });
    my $to = signup();
    ok wait_until(sub { message($to)->{attempts} }, 5),
       'the worker is about to send';
    is mail_count($to), 0, 'nothing was sent';
    smtp_behave();
    ok $nginx->kill_worker, 'kill -9';
    wait_message($to, 'sent', 15);
    is mail_count($to), 1, 'the next worker sent it, once';
    ok $nginx->wait_log(qr/messages taken over from dead workers/), 'logged';
};


subtest 'attack 33: a lost connection after the end of the mail' => sub {
    smtp_behave({ cmd => 'EOD', close => 1, store => 1, times => 1 });
    my $to = signup();
    ok wait_until(sub { message($to)->{error} }, 10), 'nobody knows';
    wait_until(sub { hurry(); message($to)->{sent} }, 20, 0.3);
    is mail_count($to), 2, 'it is repeated, once';
    smtp_behave();
};


subtest 'attack 33: the database is away when a worker ends after SMTP 250' =>
sub {
    smtp_behave({ cmd => 'EOD', delay => 2 });
    my $to = signup();
    my $id = message($to)->{id};
    my ($old) = $nginx->workers;
    ok wait_until(sub { smtp_log() =~ /RCPT TO:<\Q$to\E>.*DATA/s }, 10),
       'it is being sent';
    db_stop();
    kill 'HUP', $nginx->pid;
    ok $nginx->wait_log(qr/message $id sent/, 10), 'sent';
    wait_until(sub { !is_alive($old) }, 4);
    ok is_alive($old), 'the worker waits for the database';
    db_start();
    ok wait_until(sub { !is_alive($old) }, 20), 'and ends';
    wait_message($to, 'sent');
    is mail_count($to), 1, 'nobody sends it again';
    smtp_behave();
};


subtest 'a graceful end waits for what is being sent' => sub {
    smtp_behave({ cmd => 'EOD', delay => 2 });
    my $to = signup();
    ok $nginx->quit(20), 'quit';
    is mail_count($to), 1, 'sent';
    is message($to)->{sent}, 1, 'and marked';
    smtp_behave();
};


subtest 'an HTTP courier' => sub {
    my $port = provider_start();
    my $config = default_config();
    $config =~ s/otpreg_smtp.*?;/<<"END"/se;
proxy_pass http:\/\/127.0.0.1:$port\/send;
        proxy_set_header X-To \$otpreg_to;
        proxy_set_header X-Code \$otpreg_code;
        proxy_set_header Idempotency-Key \$otpreg_message_id;
        proxy_read_timeout 1s;
END
    my $nginx = OtpReg::Nginx->start($config, http_config => $http,
                                     log_level => 'info');

    my $to = signup($nginx);
    my $message = wait_message($to, 'sent');
    my ($req) = provider_requests();
    is $req->{method}, 'POST', 'POST';
    is $req->{path}, '/send', 'path';
    is $req->{headers}{'content-type'}, 'application/json', 'type';
    is_deeply [sort keys %{ $req->{json} }],
              [qw(channel code html message_id subject template text to)],
              'members';
    is $req->{json}{to}, $to, 'to';
    like $req->{json}{text}, qr/\b$req->{json}{code}\b/, 'text has the code';
    is $req->{headers}{'x-to'}, $to, 'variable: to';
    is $req->{headers}{'x-code'}, $req->{json}{code}, 'variable: code';
    is $req->{headers}{'idempotency-key'}, $message->{id},
       'variable: message id';

    my $key = $message->{id};
    my $before = provider_requests();
    provider_behave(500, { close => 1 }, { reset => 1 }, 408, 202);
    $to = signup($nginx);
    wait_until(sub { hurry(); message($to)->{sent} }, 30, 0.3);
    is message($to)->{sent}, 1, 'sent after 500, close, reset and 408';
    is message($to)->{attempts}, 5, 'at the fifth attempt';
    my @keys = map { $_->{headers}{'idempotency-key'} }
               (provider_requests())[$before .. $before + 4];
    is_deeply \@keys, [(message($to)->{id}) x 5], 'always the same key';

    provider_behave({ status => 429, headers => { 'Retry-After' => 1000 } });
    $to = signup($nginx);
    ok wait_until(sub { message($to)->{error} }, 10), 'too many';
    cmp_ok sql("SELECT TIMESTAMPDIFF(SECOND, NOW(6), due_at) FROM messages
                WHERE address = '$to'"), '>', 900, 'Retry-After is obeyed';

    provider_behave({ status => 429, headers => {
        'Retry-After' => POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT',
                                         gmtime(time + 1200)) } });
    $to = signup($nginx);
    ok wait_until(sub { message($to)->{error} }, 10), 'too many, again';
    my $wait = sql("SELECT TIMESTAMPDIFF(SECOND, NOW(6), due_at) FROM messages
                    WHERE address = '$to'");
    ok $wait > 1100 && $wait <= 1201, "Retry-After as a date, too: $wait";

    for my $value ('soon', '-5', 'Thu, 01 Jan 1970 00:00:00 GMT') {
        provider_behave({ status => 503,
                          headers => { 'Retry-After' => $value } });
        $to = signup($nginx);
        ok wait_until(sub { message($to)->{error} }, 10), "'$value'";
        cmp_ok sql("SELECT TIMESTAMPDIFF(SECOND, NOW(6), due_at)
                    FROM messages WHERE address = '$to'"), '<', 10,
               'says nothing';
    }

    for my $status (400, 302, 409, 422) {
        provider_behave($status);
        $to = signup($nginx);
        like wait_message($to, 'failed')->{error}, qr/answered $status/,
             "$status: given up";
        is message($to)->{attempts}, 1, 'at once';
    }

    # no final answer, and none else: nginx has passed on 1xx, or says 502

    for my $status (102, 199) {
        provider_behave($status, 200);
        $to = signup($nginx);
        ok wait_until(sub { message($to)->{error} }, 10), "$status: tried";
        like message($to)->{error}, qr/answered (?:$status|502)$/,
             'the reason';
        is message($to)->{failed}, 0, 'and not given up';
        wait_until(sub { hurry(); message($to)->{sent} }, 20, 0.3);
        is message($to)->{attempts}, 2, 'sent by the next attempt';
    }

    # what is up to us: a key, credit, a location

    for my $status (401 .. 405, 407, 420) {
        provider_behave($status, 200);
        $to = signup($nginx);
        my $id = message($to)->{id};
        ok wait_until(sub { message($to)->{error} }, 10), "$status: tried";
        is message($to)->{failed}, 0, 'and not given up';
        my $level = $status == 420 ? 'warn' : 'error';
        ok $nginx->wait_log(qr/\[$level\].*message $id not sent, attempt 1: the courier answered $status; /),
           "[$level]";
        wait_until(sub { hurry(); message($to)->{sent} }, 20, 0.3);
        is message($to)->{attempts}, 2, 'sent by the next attempt';
    }

    provider_behave({ status => 200, size => 1_000_000 });
    $to = signup($nginx);
    is wait_message($to, 'sent')->{attempts}, 1, 'a huge answer is an answer';

    provider_behave({ status => 200, delay => 3 }, 200);
    $to = signup($nginx);
    ok wait_until(sub { message($to)->{error} }, 10), 'no answer in time';
    like message($to)->{error}, qr/answered 504/, 'is a gateway timeout';

    provider_stop();
    $to = signup($nginx);
    ok wait_until(sub { message($to)->{error} }, 10), 'refused';
    like message($to)->{error}, qr/answered 502/, 'is a bad gateway';
    is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';
    ok $nginx->stop, 'stopped';
};


subtest 'an answer that drips its body' => sub {
    my $port = provider_start();
    my $nginx = OtpReg::Nginx->start(
        default_config() =~ s{otpreg_smtp.*?;}
                             {proxy_pass http://127.0.0.1:$port/send;
                              proxy_read_timeout 10s;}sr,
        http_config => $http, log_level => 'info');

    # more than may be on their way at once: nobody waits until the time of a
    # delivery is over

    provider_behave({ status => 200, size => 2000, drip => 0.2 });
    my @to = map { signup($nginx) } 1 .. 40;
    ok wait_until(sub { @to == grep { message($_)->{sent} } @to }, 80),
       'all that were accepted are sent';
    is_deeply [map { message($_)->{attempts} } @to], [(1) x @to],
       'at the first attempt';
    is_deeply [map { scalar provider_requests($_) } @to], [(1) x @to],
       'once each';

    provider_behave({ status => 503, size => 2000, drip => 0.2 });
    my $to = signup($nginx);
    ok wait_until(sub { message($to)->{error} }, 30), 'an error, too, counts';
    like message($to)->{error}, qr/answered 503/, 'by its status';
    ok $nginx->stop, 'stopped';
    provider_behave();
};


subtest 'a template that cannot be sent is not taken for sent' => sub {
    my $config = default_config()
                 . "otpreg_mail_text /bad;\n"
                 . "location = /bad { return 200 'not UTF-8: \$otpreg_code \xff'; }\n";
    my $nginx = OtpReg::Nginx->start($config, http_config => $http);

    my $to = signup($nginx);
    ok wait_until(sub { message($to)->{error} }, 10), 'it waits';
    is message($to)->{error}, 'a template is not UTF-8', 'the reason';
    is message($to)->{sent}, 0, 'it is not marked';
    is mail_count($to), 0, 'nothing was sent';
    ok $nginx->stop, 'stopped';
};


# SSI was forgotten, or the code: the right text goes out after a reload

my %template = (
    'SSI is off' => [
        ssi => 'off', txt => "Subject: A\n\nCode: ECHO\n", html => '<p>ECHO',
        error => 'the text template holds "<!--#", so SSI is off there: '
                 . '/tpl/otp.txt' ],
    'SSI is off for text/plain' => [
        ssi => 'on; ssi_types text/css', txt => "Subject: A\n\nCode: ECHO\n",
        html => '<p>ECHO',
        error => 'the text template holds "<!--#", so SSI is off there: '
                 . '/tpl/otp.txt' ],
    'a subject without SSI' => [
        ssi => 'off', txt => "Subject: ECHO\n\n", html => '<p>ECHO',
        error => 'the text template holds "<!--#", so SSI is off there: '
                 . '/tpl/otp.txt' ],
    'a text without the code' => [
        ssi => 'on', txt => "Subject: ECHO\n\nType it.\n",
        html => '<p>ECHO',
        error => 'the text template lacks the code: /tpl/otp.txt' ],
    'HTML without the code' => [
        ssi => 'on', txt => "Subject: A\n\nECHO\n", html => '<p>Type it',
        error => 'the html template lacks the code: /tpl/otp.html' ],
);

for my $what (sort keys %template) {
    subtest "a template is not sent: $what" => sub {
        my %t = @{ $template{$what} };
        my $html = test_dir() . '/tpl';
        my $echo = '<!--# echo var="otpreg_code" -->';
        my $conf = default_config() . <<'END';
otpreg_mail_text /tpl/$otpreg_template.txt;
otpreg_mail_html /tpl/$otpreg_template.html?to=$otpreg_to;
location /tpl/ { internal; root TEST; }
END
        $conf =~ s/TEST/test_dir()/e;
        mkdir $html;
        spew("$html/otp.txt", $t{txt} =~ s/ECHO/$echo/r);
        spew("$html/otp.html", $t{html} =~ s/ECHO/$echo/r);

        my $more = $http . "types { text/html html; text/plain txt; }\n";
        my $types = $t{ssi} =~ /ssi_types/ ? '' : 'ssi_types text/plain;';
        my $nginx = OtpReg::Nginx->start($conf,
            log_level => 'info',
            http_config => "$more ssi $t{ssi}; $types");

        my $to = signup($nginx);
        my $id = message($to)->{id};
        ok wait_until(sub { message($to)->{error} }, 10), 'it waits';
        is message($to)->{error}, $t{error}, 'the reason';
        ok $nginx->wait_log(qr/\[error\].*message $id not sent, attempt 1: \Q$t{error}\E; next in/),
           'is an error in the log';
        is message($to)->{failed}, 0, 'it is not given up';
        is mail_count($to), 0, 'nothing was sent';

        spew("$html/otp.txt", "Subject: A\n\n$echo\n");
        spew("$html/otp.html", "<p>$echo");
        ok $nginx->reload(http_config => "$more ssi on; ssi_types text/plain;"),
           'the administrator mends it';
        wait_until(sub { hurry(); message($to)->{sent} }, 20, 0.3);
        my $mail = wait_mail($to);
        like $mail->{text}, qr/^\d{6}\s*\z/, 'then it is sent';
        is mail_count($to), 1, 'once';
        unlike $nginx->error_log, qr/\Q$to\E/, 'no address in the log';
        ok $nginx->stop, 'stopped';
    };
}


subtest 'attack 33: two nodes: each message is sent once' => sub {
    my @nodes = map { OtpReg::Nginx->start(default_config(), workers => 2,
                                           http_config => $http) } 1, 2;
    smtp_stop();
    my @to = map { signup($nodes[$_ % 2]) } 1 .. 40;
    smtp_start();
    sql("UPDATE messages SET due_at = NOW(6), lease = NULL
         WHERE sent_at IS NULL AND failed_at IS NULL AND lease IS NULL");
    wait_until(sub { hurry(); !grep { !mail_count($_) } @to }, 60, 0.5);
    is_deeply [map { mail_count($_) } @to], [(1) x 40], 'once';
    ok $_->quit(20), 'quit' for @nodes;
    is_deeply [map { mail_count($_) } @to], [(1) x 40], 'still once';
    is_deeply [map { $_->bad_log_lines } @nodes], [], 'nothing bad';
};


is_deeply [$nginx->bad_log_lines(qr/exited on signal 9/)], [],
          'nothing bad in the log';

done_testing();
