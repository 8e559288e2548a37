# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Rows that are over are deleted by a job of its own: by one worker, also when
# there are no messages to look for, and a failure of it stops nothing.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain;
use OtpReg::Nginx;
use Test::More;

my $password = 'correct horse battery staple';
my $n = 0;

my $http = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n";

# sign-ups of three days ago, each with an OTP

sub over {
    my ($first, $last) = @_;

    sql("INSERT INTO users (id, username, email, email_key, password,
                            created_at)
         WITH RECURSIVE n (i) AS (SELECT $first UNION ALL SELECT i + 1 FROM n
                                  WHERE i < $last)
         SELECT 1000000 + i, CONCAT('over', i), 'a\@example.com',
                'a\@example.com', 'over', NOW(6) - INTERVAL 3 DAY FROM n;
         INSERT INTO otps (id, purpose, user_id, channel, address, address_key,
                           key_name, digits, created_at, sent_at, expires_at)
         SELECT UNHEX(LPAD(HEX(id), 32, '0')), 1, id, 1, email, email_key,
                'k1', 6, created_at, created_at, created_at + INTERVAL 600
                SECOND
         FROM users WHERE password = 'over' AND id >= 1000000 + $first");
}

sub left { sql("SELECT COUNT(*) FROM users WHERE password = 'over'") }

sub register {
    my ($nginx) = @_;
    $n++;
    return $nginx->http('POST', '/register', json => {
        username => "u$n", email => "u$n\@example.com",
        password => $password, confirm_password => $password })->{status};
}

# how often one of its statements was executed since the log was switched on

sub runs {
    return sql("SELECT COUNT(*) FROM mysql.general_log WHERE command_type =
                'Execute' AND argument LIKE 'DELETE FROM budgets%'");
}


over(1, 10);
sql("SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log;
     SET GLOBAL general_log = 1");

my $nginx = OtpReg::Nginx->start(default_config(), workers => 4,
                                 http_config => $http, log_level => 'info');

subtest 'attack 37: one worker of four' => sub {
    ok wait_until(sub { left() == 0 }, 30, 0.2), 'it deletes';
    is sql('SELECT COUNT(*) FROM otps'), 0, 'and not users alone';

    over(11, 20);
    sleep 3;
    is runs(), 1, 'one worker did, once';
    is left(), 10, 'the next time is later';
};


subtest 'attack 37: a failure' => sub {
    sql("TRUNCATE mysql.general_log; RENAME TABLE sms_sends TO away");
    $nginx->reload;

    ok $nginx->wait_log(qr/rows that are over were not deleted: /), 'logged';
    ok wait_until(sub { left() == 0 }, 30, 0.2), 'the other kinds are deleted';
    is register($nginx), 201, 'a sign-up';
    sleep 3;
    is runs(), 1, 'it is not repeated at once';
    unlike $nginx->error_log, qr/database is not available/,
           'nobody is told that the database is away';
    sql('RENAME TABLE away TO sms_sends');
};


subtest 'a worker that is replaced' => sub {
    over(101, 110);
    $nginx->reload;
    ok wait_until(sub { left() == 0 }, 30, 0.2), 'the new one deletes';
};

sql('SET GLOBAL general_log = 0');
$nginx->quit;

done_testing();
