package OtpReg::Storm;

# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Faults, one after the other, while a load runs.
#
# OtpReg::Storm->new(proxy => { database, smtp, provider }, nodes => [...])
# begin()     connections begin to fail
# strike($fault)   one fault, and a pause; whatever it took away is back
#             afterwards; which one is left to chance unless it is named
# end()       connections fail no more, all servers are up and behave
# outage($seconds)  the mail server stalls for so long while the load goes on
# kills()     when workers were killed, each [time, pid]
# summary()   how often each fault happened

use v5.10.1;
use strict;
use warnings;

use Time::HiRes qw(sleep time);
use OtpReg::DB;
use OtpReg::Env qw(wait_until);
use OtpReg::Provider;
use OtpReg::SMTP;

# how often each one of them comes

my %Faults = (worker => 10, node => 2, reload => 2, shutdown => 3,
              smtp_stall => 4, provider_stall => 4, db_kill => 4, db_stop => 1,
              db_freeze => 2, db_full => 3, db_read_only => 3, db_lock => 5,
              db_deadlock => 6, db_disconnect => 5, smtp_stop => 3,
              smtp_refuse => 5, provider_stop => 3, provider_refuse => 5,
              connections => 5, nothing => 3);
my @Faults = map { ($_) x $Faults{$_} } sort keys %Faults;

# bytes between two faults of a connection, and which they are

my %Rate = (database => 50_000, smtp => 4_000, provider => 2_500);
my @Kinds = qw(delay delay delay cut cut reset reset half mute stall);

sub new {
    my ($class, %opt) = @_;
    return bless { %opt, kills => [], count => {} }, $class;
}

sub begin {
    my ($self) = @_;
    smtp_behave(refused());
    provider_behave_as('refused', { status => 400 });
    $self->{proxy}{$_}->faults($Rate{$_}, @Kinds) for sort keys %Rate;
}

sub strike {
    my ($self, $fault) = @_;
    $fault //= $Faults[rand @Faults];

    eval { $self->can("do_$fault")->($self); 1 }
        or $self->{count}{"$fault failed"}++;
    $self->{count}{$fault}++;
    sleep 0.1 + rand 0.4;
}

sub end {
    my ($self) = @_;
    $self->{proxy}{$_}->faults(0) for sort keys %Rate;
    $self->{proxy}{$_}->all('cut') for sort keys %Rate;
    waitpid $_, 0 for @{ delete $self->{children} // [] };
    $self->revive;
}

sub kills    { @{ $_[0]{kills} } }

sub summary {
    my ($self) = @_;
    my $count = $self->{count};
    my $deadlocks = eval { deadlocks() } // 0;
    return join(', ', map { "$_ $count->{$_}" } sort keys %$count)
           . sprintf '; %d workers killed, %d deadlocks',
                     scalar @{ $self->{kills} },
                     $deadlocks + ($self->{deadlocks} // 0);
}

# a server counts its own only

sub deadlocks {
    return db_status('Innodb_deadlocks') if !db_is_mysql();
    return sql("SELECT count FROM information_schema.innodb_metrics
                WHERE name = 'lock_deadlocks'");
}

# ----- the faults

sub refused { { cmd => 'RCPT', match => 'refused',
                reply => '550 5.1.1 no such user' } }

# up again, whatever state it is in

sub revive {
    my ($self) = @_;
    db_thaw();
    db_unfill();

    for (1 .. 3) {
        if (db_running() && kill(0, db_running())
            && eval { sql('SET GLOBAL read_only = 0'); 1 })
        {
            last;
        }

        db_kill();
        eval { db_start() };
    }

    smtp_start();
    smtp_behave(refused());
    provider_start() if $self->{provider_down};
    $self->{provider_down} = 0;
    provider_behave();
}

sub do_nothing { }

sub do_worker {
    my ($self) = @_;
    my $node = $self->{nodes}[rand @{ $self->{nodes} }];
    my @workers = $node->workers(old => 1) or return;
    my $pid = $workers[rand @workers];
    kill 'KILL', $pid;
    push @{ $self->{kills} }, [time(), $pid];
}

sub do_node {
    my ($self) = @_;
    my $node = $self->{nodes}[rand @{ $self->{nodes} }];
    push @{ $self->{kills} }, map { [time(), $_] } $node->workers(old => 1);
    $node->kill9;
    $node->run;
}

sub do_reload {
    my ($self) = @_;
    kill 'HUP', $self->{nodes}[rand @{ $self->{nodes} }]->pid;
}

# The old workers end by worker_shutdown_timeout (1s) while messages of theirs
# are sent and others wait for a thread: as if they were killed then.

sub do_shutdown {
    my ($self) = @_;
    my $node = $self->{nodes}[rand @{ $self->{nodes} }];
    my @old = $node->workers;

    smtp_behave(refused(), { cmd => 'MAIL', delay => 1.8 });
    provider_behave({ status => 200, close => 1, delay => 1.8 });
    sleep 1 + rand 1;
    kill 'HUP', $node->pid;
    my $time = time();
    push @{ $self->{kills} }, map { my $s = $_; map { [$time + $s, $_] } @old }
                              1 .. 4;
    sleep 1 + rand 2;
    smtp_behave(refused());
    provider_behave();
}

sub do_db_kill {
    my ($self) = @_;
    $self->{deadlocks} += eval { deadlocks() } // 0;
    db_kill();
    sleep rand 1;
    db_start();
}

sub do_db_stop {
    my ($self) = @_;
    $self->{deadlocks} += eval { deadlocks() } // 0;
    db_stop();
    sleep rand 1;
    db_start();
}

sub do_db_freeze {
    db_freeze();
    sleep 1 + rand 3;
    db_thaw();
}

sub do_db_full {
    my ($self) = @_;
    db_fill() or return $self->{count}{'no disk of its own'}++;
    sleep 1 + rand 2;
    db_unfill();
    $self->revive;
}

sub do_db_read_only {
    sql('SET GLOBAL read_only = 1');
    sleep 0.5 + rand 1;
    sql('SET GLOBAL read_only = 0');
}

# another client of the database, until it is done or the server dies

sub other_client {
    my ($self, $statements) = @_;

    $self->{children} = [grep { !waitpid $_, 1 }
                         @{ $self->{children} // [] }];

    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        eval { sql($statements) };
        POSIX::_exit(0);
    }

    push @{ $self->{children} }, $pid;
}

sub do_db_lock {
    my ($self) = @_;
    my ($table) = (qw(users otps messages))[rand 3];
    my $seconds = 0.5 + rand 3;
    $self->other_client("BEGIN; SELECT id FROM $table FOR UPDATE;
                         DO SLEEP($seconds); ROLLBACK");
}

# the rows of a sign-up in the order that is not the module's

sub do_db_deadlock {
    my ($self) = @_;
    my $newest = 'ORDER BY created_at DESC LIMIT 30';
    $self->other_client(join ';', map {
        "BEGIN; UPDATE users SET created_at = created_at + INTERVAL 1
                MICROSECOND WHERE is_active = 0 $newest;
         DO SLEEP(0.03);
         UPDATE otps SET sends = sends + 1 WHERE consumed_at IS NULL $newest;
         UPDATE messages SET attempts = attempts + 1 WHERE 0; COMMIT"
    } 1 .. 10);
}

sub do_db_disconnect {
    sql(join ';', 'DO 0', map { "KILL $_->[0]" }
        sql("SELECT id FROM " . db_processlist() . "
             WHERE user = 'otpreg' ORDER BY RAND() LIMIT 6"));
}

sub do_smtp_stop {
    my ($self) = @_;
    smtp_stop();
    sleep 0.2 + rand 1.5;
    smtp_start();
}

sub do_smtp_refuse {
    my $how = ([reply => '451 4.3.0 later'], [close => 1, store => 1],
               [delay => 0.5])[rand 3];
    smtp_behave(refused(), {
        cmd => (qw(CONNECT MAIL RCPT DATA EOD))[rand 5], @$how });
    sleep 0.3 + rand 1;
    smtp_behave(refused());
}

# longer than the couriers wait

sub do_smtp_stall {
    my $cmd = (qw(CONNECT MAIL RCPT DATA EOD))[rand 5];
    smtp_behave(refused(), { cmd => $cmd, delay => 2.5 + rand 2,
                             $cmd eq 'EOD' ? (close => 1) : () });
    sleep 3 + rand 3;
    smtp_behave(refused());
}

sub do_provider_stall {
    provider_behave({ status => 200, close => 1, delay => 2.5 + rand 2 });
    sleep 3 + rand 3;
    provider_behave();
}

# It answers so late that those who wait for a thread are out of time.

sub outage {
    my ($self, $seconds) = @_;
    smtp_behave(refused(), { cmd => 'MAIL', delay => 28 });
    sleep $seconds;
    smtp_behave(refused());
    $self->{count}{outage}++;
}

sub do_provider_stop {
    my ($self) = @_;
    provider_stop();
    $self->{provider_down} = 1;
    sleep 0.2 + rand 1.5;
    provider_start();
    $self->{provider_down} = 0;
}

sub do_provider_refuse {
    my @answers = ({ status => 500 }, { status => 503 }, { close => 1 },
                   { reset => 1 }, { status => 429,
                                     headers => { 'Retry-After' => 1 } });
    provider_behave(map({ $answers[rand @answers] } 1 .. 3 + rand 8), 200);
}

sub do_connections {
    my ($self) = @_;
    my $name = (sort keys %Rate)[rand 3];
    $self->{proxy}{$name}->all((qw(cut reset half stall))[rand 4]);
}

1;
