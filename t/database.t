# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# The database goes away, hangs, crashes, locks and comes back.

use v5.10.1;
use strict;
use warnings;

use lib 't/lib';
use OtpReg -plain, db_disk => '512m';
use IO::Handle;
use OtpReg::Nginx;
use Test::More;

my $password = 'correct horse battery staple';
my $http = default_http_config()
           . "otpreg_password_hash memory=7m operations=5;\n";
$http =~ s/(name=\w+)/$1 connect_timeout=1s read_timeout=2s/;

my $nginx = OtpReg::Nginx->start(default_config() . <<'END',
location = /static { return 200 "static"; }
END
    http_config => $http, log_level => 'info');

my $n = 0;

sub register {
    $n++;
    return $nginx->http('POST', '/register', timeout => 30, json => {
        username => "u$n", email => "u$n\@example.com",
        password => $password, confirm_password => $password });
}

# as soon as it is served again: a thread that saw the database away does not
# ask again for a second

sub registered {
    my $res;
    wait_until(sub { $res = register(); $res->{status} == 201 }, 10, 0.2)
        or die "no sign-up: $res->{raw}";
    return $res;
}

sub verified {
    my (@args) = @_;
    my $res;
    wait_until(sub { $res = verify(@args); $res->{status} != 503 }, 10, 0.2);
    return $res->{status};
}

sub verify {
    my ($res, $code) = @_;
    return $nginx->http('POST', '/verify-otp', timeout => 30,
                        cookie => $res->{cookie}, json => { otp => $code });
}

sub unavailable {
    my ($res, $what) = @_;
    is $res->{status}, 503, "$what: 503";
    is $res->{headers}{'retry-after'}, 5, "$what: Retry-After";
    is $res->{json}{code}, 'unavailable', "$what: code";
}


subtest 'attack 32: stopped and started' => sub {
    my $pending = registered();
    my $to = "u$n\@example.com";
    my $code = code_for($to);

    db_stop();
    unavailable(register(), 'register');
    unavailable(verify($pending, $code), 'verify');
    unavailable($nginx->http('POST', '/resend-otp', json => {},
                             cookie => $pending->{cookie}), 'resend');
    is $nginx->http('GET', '/register', headers => {
                        Accept => 'application/json' })->{status} < 500, 1,
       'the form itself needs no database';

    db_start();
    ok wait_until(sub { register()->{status} == 201 }, 10, 0.2),
       'back without a reload';
    is verified($pending, $code), 200, 'no attempt was burned';
    ok wait_mail("u$n\@example.com"), 'mails are sent again';
    ok $nginx->wait_log(qr/database is not available/), 'logged when it went';
    ok $nginx->wait_log(qr/database is available again/), 'and came';
};


subtest 'attack 32: killed and started' => sub {
    my $pending = registered();
    my $code = code_for("u$n\@example.com");
    db_kill();
    unavailable(register(), 'register');
    db_start();
    is verified($pending, $code), 200,
       'what was answered with success is there';
};


subtest 'attack 32: it hangs' => sub {
    my $pending = registered();
    my $code = code_for("u$n\@example.com");
    sleep 2;                            # every thread may ask again
    db_freeze();
    my @res = $nginx->http_many([
        ['POST', '/verify-otp', cookie => $pending->{cookie}, timeout => 60,
         json => { otp => $code }],
        map { ['GET', '/static'] } 1 .. 20]);
    is $res[0]{status}, 503, 'verify gives up';
    is_deeply [map { $_->{status} } @res[1 .. 20]], [(200) x 20],
              'a static file is served meanwhile';
    cmp_ok $_->{time}, '<', $res[0]{time}, 'and sooner' for @res[1 .. 3];
    db_thaw();
    ok wait_until(sub { register()->{status} == 201 }, 20, 0.2), 'back';
    like verified($pending, $code), qr/^(?:200|409)$/,
         'the attempt was made once, or is made now';
    is sql("SELECT is_active FROM users WHERE email =
            (SELECT address FROM otps WHERE attempts = 1
             ORDER BY sent_at DESC LIMIT 1)"), 1, 'active';
};


subtest 'attack 32: it is read-only' => sub {
    sql('SET GLOBAL read_only = 1; REVOKE ALL ON *.* FROM otpreg@localhost;
         GRANT SELECT, INSERT, UPDATE, DELETE ON otpreg.* TO
         otpreg@localhost');
    unavailable(register(), 'register');
    sql('SET GLOBAL read_only = 0');
    ok wait_until(sub { register()->{status} == 201 }, 10, 0.2), 'back';
};


subtest 'another schema version' => sub {
    sql('INSERT INTO otpreg_schema (version, applied_at)
         VALUES (99, NOW(6))');
    db_stop();
    db_start();
    unavailable(register(), 'register');
    ok $nginx->wait_log(qr/schema/), 'logged';
    sql('DELETE FROM otpreg_schema WHERE version = 99');
    ok wait_until(sub { register()->{status} == 201 }, 10, 0.2), 'back';
};


subtest 'attack 32: a lock is held for a while' => sub {
    my $pending = registered();
    my $to = "u$n\@example.com";
    my $code = code_for($to);
    my $pid = fork() // die $!;
    if (!$pid) {
        sql("BEGIN; SELECT * FROM otps WHERE address = '$to' FOR UPDATE;
             DO SLEEP(1); ROLLBACK");
        POSIX::_exit(0);
    }
    wait_until(sub { sql("SELECT COUNT(*) FROM information_schema.innodb_trx") },
               5);
    is verified($pending, $code), 200, 'it waits';
    waitpid $pid, 0;
};


# another client holds locks until it is told to let go

sub with_lock {
    my ($statement, $sub) = @_;

    my $file = test_dir() . '/lock.out';
    unlink $file;
    open my $client, '|-', join(' ', db_client()) . " -uroot -N -n"
        . " -S '$ENV{TEST_NGINX_DB_SOCKET}' otpreg >'$file'" or die "$!\n";
    $client->autoflush(1);
    print {$client} "$statement; SELECT 'held';\n";
    wait_until(sub { (slurp($file) // '') =~ /held/ }, 10) or die "no lock\n";

    $sub->();
    close $client;
}

sub lock_waits {
    return db_status('Innodb_row_lock_waits');
}


subtest 'attack 32: a lock is never released' => sub {
    my $pending = registered();
    my $to = "u$n\@example.com";
    my $code = code_for($to);

    my $id = sql("SELECT HEX(id) FROM otps WHERE address = '$to'");

    with_lock("BEGIN; SELECT 1 FROM otps WHERE id = X'$id' FOR UPDATE", sub {
        my $before = lock_waits();
        unavailable(verify($pending, $code), 'verify');
        cmp_ok lock_waits() - $before, '<=', 3,
               'it does not begin to wait again and again';
        is register()->{status}, 201, 'others sign up meanwhile';
    });

    # as ALTER TABLE does

    with_lock('LOCK TABLES otps WRITE', sub {
        my $lost = () = $nginx->error_log =~ /server has gone|2013/g;
        unavailable(verify($pending, $code), 'a locked table');
        is scalar(() = $nginx->error_log =~ /server has gone|2013/g), $lost,
           'the server gave up first, no connection was lost';
    });

    is verified($pending, $code), 200, 'no attempt was burned';
};


subtest 'attack 32: nobody waits behind those who wait for a lock' => sub {
    my $small = OtpReg::Nginx->start(default_config(), http_config => $http,
        main_config => join '', map {
            "thread_pool otpreg_$_ threads=2 max_queue=1000;\n"
        } qw(hash database mail));

    my $sign_up = sub {
        my ($count, $timeout) = @_;
        return $small->http_many([map {
            $n++;
            ['POST', '/register', timeout => $timeout, json => {
                username => "u$n", email => "u$n\@example.com",
                password => $password, confirm_password => $password }]
        } 1 .. $count]);
    };

    is +($sign_up->(1, 30))[0]{status}, 201, 'two threads serve';

    with_lock('LOCK TABLES users WRITE', sub {
        my @answers = $sign_up->(16, 60);
        is_deeply [grep { $_ != 503 } map { $_->{status} } @answers], [],
                  '16 sign-ups while a table is locked: 503';
        my ($last) = sort { $b <=> $a } map { $_->{time} } @answers;
        cmp_ok $last, '<', 10, 'in about two times the timeout, not in eight';

        my ($busy) = grep { $_->{json}{code} eq 'busy' } @answers;
        ok $busy, 'for most no thread was free';
        cmp_ok $busy->{headers}{'retry-after'}, '>', 0, 'Retry-After';
    });

    my $users = sql('SELECT COUNT(*) FROM users');

    with_lock('LOCK TABLES users WRITE', sub {
        $sign_up->(16, 0.5);
        sleep 7;
    });

    is +($sign_up->(1, 30))[0]{status}, 201, 'the next is served';
    is sql('SELECT COUNT(*) FROM users'), $users + 1,
       'and nothing is written late for those who have given up';
    ok $small->quit(20), 'ends';
    is_deeply [$small->bad_log_lines], [], 'nothing bad in the log';
};


subtest 'attack 32: its disk is full' => sub {
    my $pending = registered();
    my $code = code_for("u$n\@example.com");

    plan skip_all => 'no file system may be mounted here' if !db_fill();

    my $res;
    wait_until(sub { $res = register(); $res->{status} != 201 }, 60, 0.001);
    unavailable($res, 'register');
    is scalar(my @lines = $nginx->error_log =~ /\[error\].*1114/g), 1,
       'one line in the log';
    db_unfill();
    is registered()->{status}, 201, 'back';
    is verified($pending, $code), 200, 'no attempt was burned';
};


subtest 'equal otpreg_database of many locations share connections' => sub {
    my ($database) = $http =~ /(otpreg_database [^;]*;)/;
    my $other = $database =~ s/read_timeout=2s/read_timeout=3s/r;
    my @at = map { "/r$_" } 1 .. 12;
    my $config = default_config() . join '', map {
        "location = $_ { otpreg_register /pages/register.html; $database }\n"
    } @at;

    my $connections = sub {
        my ($config) = @_;
        my $nginx = OtpReg::Nginx->start($config, http_config => $http,
            main_config => join '', map {
                "thread_pool otpreg_$_ threads=2 max_queue=1000;\n"
            } qw(hash database mail));

        my @status = map { $_->{status} } map {
            $nginx->http_many([map {
                $n++;
                ['POST', $_, timeout => 30, json => {
                    username => "u$n", email => "u$n\@example.com",
                    password => $password, confirm_password => $password }]
            } @at])
        } 1 .. 2;
        is scalar(grep { $_ == 201 } @status), 24, '24 sign-ups';

        my $connections = sql("SELECT COUNT(*) FROM " . db_processlist()
                              . " WHERE user = 'otpreg'");
        ok $nginx->quit(20), 'ends';
        return $connections;
    };

    ok $nginx->quit(20), 'nobody else is connected';
    is $connections->($config), 2, 'one for each thread';
    cmp_ok $connections->($config =~ s/\Q$database/$other/r), '>', 2,
       'and more where a parameter is another';
    ok $nginx->run, 'back';
};


is_deeply [$nginx->bad_log_lines], [], 'nothing bad in the log';
unlike $nginx->error_log, qr/otpreg-test|\Q$password\E/, 'no secret either';
ok $nginx->quit(20), 'ends by itself';

done_testing();
